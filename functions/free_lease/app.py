"""Free the lease of an execution that ended without giving it back: aborted, timed out, or failed beyond any Catch."""

import json
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger
from ratchet import claim, lease, wiring
from ratchet.catalog import load
from ratchet.instants import Clock, utc_now

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, ports: Any = wiring, clock: Clock = utc_now) -> dict[str, Any]:
    """Event: EventBridge's Step Functions status change. Result: docs/contracts.md."""
    detail, store, executions = event["detail"], ports.store(), ports.executions()
    execution, started = detail["executionArn"], datetime.fromtimestamp(detail["startDate"] / 1000, UTC)
    document, machine = json.loads(detail["input"] or "null"), detail["stateMachineArn"].rpartition("-")[2]
    # Machines are named <stack>-<pipeline>; a deployment's input names its own.
    pipeline = load(document["pipeline"] if machine == "deployment" else machine)
    keys = pipeline.keys
    end = {"execution": execution, "outcome": detail["status"].lower()}
    # The claim first, and whether or not the lease is held: an execution may die between the two.
    asked = {"document": document, "takes": pipeline.source.takes}
    run_ts = claim.bury(store, keys, executions, clock, **asked, started=started, **end)
    freed = lease.free(store, keys, executions, execution=execution)
    logger.info("Execution ended", run_ts=run_ts, freed=freed, **end)
    return {"status": "freed" if freed else "not_held"}
