"""Decide: a package was approved or rejected, whoever did it and where; whoever waits for it hears of it."""

from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.instants import Clock, utc_now
from ratchet.registry.asking import hear, package_of
from ratchet.settings import settings

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, ports: Any = wiring, clock: Clock = utc_now) -> dict[str, Any]:
    """Event: EventBridge's "SageMaker Model Package State Change". Result: docs/contracts.md."""
    arn = package_of(event)
    answer = hear(ports, clock, arn, stack=settings().stack)
    logger.info("A decision was heard", answer=answer, package_arn=arn)
    return {"status": answer}
