"""Evaluate: judges a run's bundle against the champion of this moment and leaves the evidence and the card."""

from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.catalog import load, names
from ratchet.disk import named_when_full
from ratchet.evaluate import Request, evaluate
from ratchet.gate.floors import parse
from ratchet.instants import Clock, utc_now
from ratchet.settings import settings

logger = Logger()
FACTS = ("verdict", "reason", "champion_run_ts")


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, ports: Any = wiring, clock: Clock = utc_now) -> dict[str, Any]:
    """Event and result: docs/contracts.md."""
    request, pipeline = Request.of(event), event["pipeline"]
    logger.append_keys(pipeline=pipeline, run_ts=request.run_ts)
    allowed, floors = settings().allow_synthetic, parse(settings().floors, names()).get(pipeline)
    with named_when_full("EvaluateFunction"):
        result = evaluate(ports.store(), clock, load(pipeline), request, allow_synthetic=allowed, floors=floors)
    logger.info("Challenger judged", **{name: result[name] for name in FACTS})
    return result
