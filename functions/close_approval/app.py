"""Close the approval: the time is over, unless a decision came just before."""

from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.catalog import load
from ratchet.instants import Clock, utc_now
from ratchet.registry.asking import close_question

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, ports: Any = wiring, clock: Clock = utc_now) -> dict[str, Any]:
    """Event and result: docs/contracts.md."""
    logger.append_keys(pipeline=event["pipeline"], run_ts=event["run_ts"])
    decision, why = close_question(ports, load(event["pipeline"]), clock, event["package_arn"])
    logger.info("Approval closed", decision=decision, package_arn=event["package_arn"])
    return {"decision": decision, "why": why}
