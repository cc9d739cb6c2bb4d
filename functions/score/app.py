"""Score: new slots, rows in the event or the lines of a file, with the model in service."""

from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.adapters.metrics import measure
from ratchet.instants import Clock, utc_now
from ratchet.serving.champion import age_hours, follower
from ratchet.serving.request import Slots, parse
from ratchet.serving.service import serve

logger = Logger()


@logger.inject_lambda_context
def handler(event: Any, context: object, ports: Any = wiring, clock: Clock = utc_now) -> Any:
    """Event and result: docs/contracts.md, Scoring."""
    request = parse(event)
    champion = (following := follower(request.pipeline)).current(ports.reader())
    logger.append_keys(pipeline=request.pipeline, run_ts=champion.pointer.run_ts)
    about = {"pipeline": request.pipeline, "service": logger.service}
    if champion.fault:
        logger.error("A newer champion does not serve", reason=champion.fault)
        measure("ChampionNotServing", 1, **about)
    if isinstance(request, Slots):
        measure("ChampionAgeHours", age_hours(champion, clock()), **about)
    return serve(request, following.pipeline, champion, ports, clock)
