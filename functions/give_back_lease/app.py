"""Give back the lease: records how the run ended and lets the next one start."""

from typing import Any

from aws_lambda_powertools import Logger
from ratchet import claim, lease, wiring
from ratchet.catalog import load
from ratchet.instants import Clock, utc_now

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, ports: Any = wiring, clock: Clock = utc_now) -> dict[str, Any]:
    """Event and result: docs/contracts.md."""
    store, keys, execution = ports.store(), load(event["pipeline"]).keys, event["execution"]
    # The claim first: once the lease is free, the next run may look at how this one ended.
    claim.close(store, keys, clock, run_ts=event["run_ts"], execution=execution, outcome=event["outcome"])
    given_back = lease.give_back(store, keys, execution=execution)
    logger.append_keys(pipeline=event["pipeline"], run_ts=event["run_ts"])
    logger.info("Lease given back" if given_back else "Lease is not ours", outcome=event["outcome"])
    return {"status": "given_back" if given_back else "not_ours"}
