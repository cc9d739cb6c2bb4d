"""Sufficient? Whether the landing area is worth preparing."""

from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.catalog import load
from ratchet.extraction.sufficiency import check_sufficiency

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, ports: Any = wiring) -> dict[str, Any]:
    """Event and result: docs/contracts.md."""
    logger.append_keys(pipeline=event["pipeline"], run_ts=event["run_ts"])
    asked = (load(event["pipeline"]), event["run_ts"], event.get("month"))
    answer = check_sufficiency(ports.store(), *asked, scheduled=event["scheduled"])
    logger.info("Sufficiency judged", status=answer.status, reason=answer.reason)
    return {"status": answer.status, "reason": answer.reason}
