"""Take the lease: at most one run of a pipeline at a time."""

from datetime import timedelta
from typing import Any

from aws_lambda_powertools import Logger
from ratchet import lease, wiring
from ratchet.catalog import load
from ratchet.instants import Clock, utc_now
from ratchet.settings import settings

logger = Logger()
# Beyond the machine's own time-out: even by two clocks 10 minutes wrong, only an execution that ended loses the lease.
MARGIN = timedelta(minutes=30)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, ports: Any = wiring, clock: Clock = utc_now) -> dict[str, Any]:
    """Event and result: docs/contracts.md."""
    keys, run = load(event["pipeline"]).keys, {"execution": event["execution"], "run_ts": event["run_ts"]}
    ttl = timedelta(seconds=settings().machine_timeout_seconds) + MARGIN
    answer = lease.take(ports.store(), keys, ports.executions(), clock, ttl=ttl, **run)
    held = answer.lease
    logger.append_keys(pipeline=event["pipeline"], run_ts=event["run_ts"])
    logger.info("Lease taken" if answer.taken else "Lease is held", token=held.token, holder=held.execution)
    status = "taken" if answer.taken else "held"
    holder = {"holder": held.execution, "holder_run": held.run_ts, "expires_at": held.expires_at}
    return {"status": status, "token": held.token, **holder}
