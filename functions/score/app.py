"""Score: new slots, rows in the event or the lines of a file, with the model in service."""

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.catalog import load
from ratchet.instants import Clock, utc_now
from ratchet.serving.champion import Follower
from ratchet.serving.request import parse
from ratchet.serving.service import serve

logger = Logger()


@cache
def follower(pipeline: str) -> Follower:
    """This process's hold on a pipeline's champion."""
    return Follower(load(pipeline))


@logger.inject_lambda_context
def handler(event: Any, context: object, ports: Any = wiring, clock: Clock = utc_now) -> Any:
    """Event and result: docs/contracts.md, Scoring."""
    request = parse(event)
    following = follower(request.pipeline)
    champion = following.current(ports.reader())
    logger.append_keys(pipeline=request.pipeline, run_ts=champion.pointer.run_ts)
    if champion.fault:
        logger.error("A newer champion does not serve", reason=champion.fault)
    answer = serve(request, following.pipeline, champion, ports, clock)
    logger.info("Scored", request=type(request).__name__)
    return answer
