"""Evaluate: judges a run's bundle against the champion of this moment and leaves the evidence and the card."""

from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.catalog import load
from ratchet.disk import named_when_full
from ratchet.evaluate import Request, evaluate
from ratchet.instants import Clock, utc_now
from ratchet.settings import settings

logger = Logger()
FACTS = ("verdict", "reason", "champion_run_ts")


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, ports: Any = wiring, clock: Clock = utc_now) -> dict[str, Any]:
    """Event and result: docs/contracts.md."""
    request = Request.of(event)
    logger.append_keys(pipeline=request.pipeline, run_ts=request.run_ts)
    allowed = settings().allow_synthetic
    with named_when_full("EvaluateFunction"):
        result = evaluate(ports.store(), clock, load(request.pipeline), request, allow_synthetic=allowed)
    logger.info("Challenger judged", **{name: result[name] for name in FACTS})
    return result
