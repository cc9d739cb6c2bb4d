"""Claim the run: checks the execution's input and makes its instant this execution's own."""

from typing import Any

from aws_lambda_powertools import Logger
from ratchet import claim, wiring
from ratchet.catalog import load
from ratchet.instants import Clock, parse_instant, utc_now

logger = Logger()
FACTS = ("run_ts", "attempt", "scheduled", "limit", "skip_data_prep", "since_ts", "month", "sample")


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, ports: Any = wiring, clock: Clock = utc_now) -> dict[str, Any]:
    """Event and result: docs/contracts.md."""
    pipeline = load(event["pipeline"])
    request = claim.parse_request(event["input"], pipeline.source.takes)
    whose = {"execution": event["execution"], "started": parse_instant(event["started"])}
    ours, standing = claim.take(ports.store(), pipeline.keys, ports.executions(), clock, request=request, **whose)
    logger.append_keys(pipeline=pipeline.name, run_ts=standing.run_ts)
    logger.info("Run claimed" if ours else "Run claimed before", attempt=standing.attempt, holder=standing.execution)
    facts = {name: getattr(standing, name) for name in FACTS}
    return {"status": "claimed" if ours else "same_run", "holder": standing.execution, **facts}
