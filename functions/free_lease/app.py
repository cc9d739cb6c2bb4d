"""Free the lease of an execution that ended without giving it back: aborted, timed out, or failed beyond any Catch."""

from typing import Any

from aws_lambda_powertools import Logger
from ratchet import claim, lease, wiring
from ratchet.catalog import load, names
from ratchet.instants import Clock, utc_now
from ratchet.keys import Keys

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, ports: Any = wiring, clock: Clock = utc_now) -> dict[str, Any]:
    """Event: EventBridge's Step Functions status change. Result: docs/contracts.md."""
    execution, outcome = event["detail"]["executionArn"], event["detail"]["status"].lower()
    freed = [name for name in names() if _free(ports, load(name).keys, clock, execution, outcome)]
    logger.info("Execution ended", execution=execution, outcome=outcome, freed=freed)
    return {"status": "freed" if freed else "not_held"}


def _free(ports: Any, keys: Keys, clock: Clock, execution: str, outcome: str) -> bool:
    held = lease.read(ports.store(), keys)
    if held is None or held[0].execution != execution or held[0].state != "held":
        return False
    ports.executions().stop_leftovers(execution)
    claim.close(ports.store(), keys, clock, run_ts=held[0].run_ts, execution=execution, outcome=outcome)
    return lease.give_back(ports.store(), keys, execution=execution)
