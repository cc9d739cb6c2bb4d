"""Promote: moves the pointer to the challenger, against the very champion that it was judged with."""

from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.catalog import load
from ratchet.errors import ChampionMoved
from ratchet.instants import Clock, utc_now
from ratchet.promote import promote, wish_of
from ratchet.registry.package import insist
from ratchet.settings import settings

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, ports: Any = wiring, clock: Clock = utc_now) -> dict[str, Any]:
    """Event and result: docs/contracts.md."""
    logger.append_keys(pipeline=event["pipeline"], run_ts=event["run_ts"])
    wish = wish_of(event)
    fence = {name: event[name] for name in ("execution", "token", "champion_etag")}
    pipeline, store = load(event["pipeline"]), ports.store()
    insist(store, ports.registry, pipeline, wish.run_ts, stack=settings().stack)
    try:
        pointer = promote(store, pipeline.keys, clock, wish, **fence)
    except ChampionMoved as moved:
        logger.warning("Verdict void", reason=str(moved))
        return {"status": "champion_moved", "seq": None}
    logger.info("Promoted", seq=pointer.seq, previous=pointer.previous)
    return {"status": "promoted", "seq": pointer.seq}
