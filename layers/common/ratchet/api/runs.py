"""Runs that are asked for through the API: started unless one is under way, and looked at by their name."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ratchet import claim, lease
from ratchet.catalog import Pipeline
from ratchet.errors import AlreadyRunning, UnknownRun
from ratchet.executions import Execution, Machine, message_in
from ratchet.instants import Clock, iso, run_name
from ratchet.store import ObjectStore

UNDER_WAY = {"RUNNING", "PENDING_REDRIVE"}


@dataclass(frozen=True)
class Started:
    """The name of an execution and that of its run."""

    name: str
    run: str


def start(pipeline: Pipeline, store: ObjectStore, machine: Machine, clock: Clock, wishes: Mapping[str, Any]) -> Started:
    """Starts a run of this second with the `wishes` that the kind of source takes; asked twice, it is one run.

    Raises BadInput for other wishes, AlreadyRunning while an execution holds the lease, ForeignDocument, Unavailable.
    """
    run = run_name(clock())
    document = {**wishes, "at": run}
    claim.parse_request(document, pipeline.source.takes)
    found = lease.read(store, pipeline.keys)
    if found and found[0].state == "held":
        holder = found[0].execution.rpartition(":")[2]
        standing = machine.describe_execution(holder)
        if standing and standing.status in UNDER_WAY:
            raise AlreadyRunning(f"Run {found[0].run_ts} is under way as '{holder}': ask for it, or wait for its end.")
    name = f"api-{run}"
    machine.start_execution(name, document)
    return Started(name, run)


def look(machine: Machine, name: str) -> dict[str, Any]:
    """How an execution stands: `{name, run, state, started_at, ended_at, outcome, reason, verdict, card_uri}`.

    `outcome` is `failed` for one that ended red, whose error is the reason. Raises UnknownRun.
    """
    found = machine.describe_execution(name)
    if found is None:
        raise UnknownRun(f"There is no execution '{name}' of this pipeline's machine; they are kept for 90 days.")
    asked, told = _object(found.input), _object(found.output)
    red = found.ended is not None and found.status != "SUCCEEDED"
    return {
        "name": name,
        "run": told.get("run_ts") or asked.get("at") or asked.get("resume"),
        "state": found.status.lower(),
        "started_at": iso(found.started),
        "ended_at": iso(found.ended) if found.ended else None,
        "outcome": "failed" if red else told.get("outcome"),
        "reason": _failure(found) if red else told.get("reason"),
        "verdict": told.get("verdict"),
        "card_uri": told.get("card_uri"),
    }


def _failure(found: Execution) -> str:
    name = found.error or found.status
    return f"{name}: {message_in(found.cause)}" if found.cause else name


def _object(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
