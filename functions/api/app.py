"""API: the routes of docs/api.md behind an API Gateway HTTP API, for the pipeline that the settings name."""

from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.adapters.metrics import measure
from ratchet.api.routes import respond
from ratchet.instants import Clock, utc_now
from ratchet.settings import settings

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, ports: Any = wiring, clock: Clock = utc_now) -> dict[str, Any]:
    """Event and result: the payload format 2.0 of HTTP APIs."""
    reply = respond(event, context, ports, clock, pipeline := settings().api_pipeline)
    http, status = event["requestContext"]["http"], reply.response["statusCode"]
    logger.append_keys(pipeline=pipeline, method=http["method"], path=http["path"], status=status)
    (logger.error if reply.failure else logger.info)("A request was answered", exc_info=reply.failure)
    if reply.champion and reply.champion.fault:
        logger.error("A newer champion does not serve", reason=reply.champion.fault)
        measure("ChampionNotServing", 1, pipeline=pipeline, service=logger.service)
    return reply.response
