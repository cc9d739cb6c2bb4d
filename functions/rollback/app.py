"""Roll back: proves an earlier champion anew and puts it into service. Called by a person, not by a machine."""

from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.catalog import load
from ratchet.evaluation.reproof import prove
from ratchet.instants import Clock, utc_now
from ratchet.pointer import Pointer
from ratchet.promote import rollback
from ratchet.registry.package import insist
from ratchet.settings import settings

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, ports: Any = wiring, clock: Clock = utc_now) -> dict[str, Any]:
    """Event and result: docs/contracts.md."""
    pipeline, store = load(event["pipeline"]), ports.store()
    logger.append_keys(pipeline=pipeline.name)

    def proof(target: Pointer) -> None:
        insist(store, ports.registry, pipeline, target.run_ts, stack=settings().stack)
        prove(store, pipeline.name, target)

    who, why = str(event.get("who", "unknown")), str(event.get("why", ""))
    to, of = event.get("to"), event.get("of")
    before, after = rollback(store, pipeline.keys, clock, proof, to=to, of=of, who=who, why=why)
    logger.warning("Rolled back", from_run=before.run_ts, to_run=after.run_ts, who=who, why=why)
    moved = {"from_run_ts": before.run_ts, "to_run_ts": after.run_ts, "seq": after.seq}
    return {"status": "rolled_back", **moved}
