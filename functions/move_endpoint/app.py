"""Move the endpoint: one look, and the one call that brings it nearer to a configuration; called until it is there."""

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.endpoint.move import move

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, ports: Any = wiring) -> dict[str, Any]:
    """Event and result: docs/contracts.md."""
    logger.append_keys(pipeline=event["pipeline"], endpoint=event["endpoint"])
    progress = asdict(move(ports.hosting(), event["endpoint"], event["config"], asked=event["asked"]))
    logger.info("Moved", config=event["config"], **progress)
    return progress
