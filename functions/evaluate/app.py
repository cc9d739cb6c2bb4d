"""Judge a run's bundle against the champion: the state `Evaluate` of release.asl.yaml."""

from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.catalog import load
from ratchet.evaluate import Request, evaluate
from ratchet.instants import utc_now
from ratchet.settings import settings
from ratchet.store import ObjectStore

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, store: ObjectStore | None = None) -> dict[str, Any]:
    """The verdict and where its evidence lies; docs/contracts.md, function `evaluate`."""
    request = Request.of(event)
    logger.append_keys(pipeline=request.pipeline, run_ts=request.run_ts)
    allowed = settings().allow_synthetic
    result = evaluate(store or wiring.store(), utc_now, load(request.pipeline), request, allow_synthetic=allowed)
    logger.info("Challenger judged", extra={name: result[name] for name in ("verdict", "reason", "champion_run_ts")})
    return result
