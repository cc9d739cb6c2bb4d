"""Approval page: what stands behind the signed link in a message; looking at it decides nothing."""

from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.instants import Clock, utc_now
from ratchet.registry.visit import respond

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, ports: Any = wiring, clock: Clock = utc_now) -> dict[str, Any]:
    """Event and result: the payload format 2.0 of HTTP APIs."""
    http = event["requestContext"]["http"]
    answer = respond(event, ports, clock)
    logger.info("A visit", method=http["method"], path=http["path"], status=answer["statusCode"])
    return answer
