"""Tidy up: the candidate and all but the newest configurations of an endpoint go."""

from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.endpoint.tidy import tidy

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, ports: Any = wiring) -> dict[str, Any]:
    """Event and result: docs/contracts.md."""
    removed = tidy(ports.hosting(), event["endpoint"])
    logger.info("Tidied up", pipeline=event["pipeline"], endpoint=event["endpoint"], removed=removed)
    return {"removed": removed}
