"""Register: a challenger that passed the gate becomes a pending package; the place of Promote where a person signs."""

from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.catalog import load
from ratchet.instants import Clock, utc_now
from ratchet.registry.register import begin, register, wish_of
from ratchet.settings import settings

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, ports: Any = wiring, clock: Clock = utc_now) -> dict[str, Any]:
    """Event and result: docs/contracts.md."""
    logger.append_keys(pipeline=event["pipeline"], run_ts=event["run_ts"])
    told, pipeline = settings(), load(event["pipeline"])
    given = (ports.store(), ports.registry(), pipeline, clock, wish_of(event))
    found = register(*given, stack=told.stack, allow_synthetic=told.allow_synthetic)
    approval = begin(ports.approvals(), found)
    logger.info("Registered", package_arn=found.package_arn, approval=approval)
    return {"status": "pending_approval", "package_arn": found.package_arn, "approval": approval}
