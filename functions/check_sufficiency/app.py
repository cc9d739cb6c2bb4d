"""Sufficient? Whether the landing area is worth preparing."""

from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.catalog import load
from ratchet.extraction.sufficiency import check_sufficiency
from ratchet.files import sufficiency

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, ports: Any = wiring) -> dict[str, Any]:
    """Event and result: docs/contracts.md."""
    logger.append_keys(pipeline=event["pipeline"], run_ts=event["run_ts"])
    pipeline, scheduled = load(event["pipeline"]), event["scheduled"]
    if pipeline.source.kind == "tables":
        answer = check_sufficiency(ports.store(), pipeline, scheduled=scheduled)
    else:
        span = (event["run_ts"], event.get("month"))
        answer = sufficiency.check_sufficiency(ports.store(), pipeline, *span, scheduled=scheduled)
    logger.info("Sufficiency judged", status=answer.status, reason=answer.reason)
    return {"status": answer.status, "reason": answer.reason}
