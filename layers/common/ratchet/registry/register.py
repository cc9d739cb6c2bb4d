"""The step Register: a challenger that passed the gate becomes a pending package, in place of the pointer's move.

Repeating it finds the run's registration; a package whose registration was never written is created with the same
token, which gives the same package.
"""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ratchet import lease, promote
from ratchet.catalog import Pipeline
from ratchet.errors import AlreadyRunning, ContractError
from ratchet.executions import Machine
from ratchet.instants import Clock, iso
from ratchet.pointer import Move
from ratchet.registry import package
from ratchet.registry.package import Registration, Registry
from ratchet.retention import EXPIRES
from ratchet.store import ObjectStore


@dataclass(frozen=True)
class Wish:
    """What is to be registered, where its rows lie, and whose lease it is."""

    move: Move
    card_uri: str
    holdout_uri: str
    manifest_uri: str
    execution: str
    token: int
    champion_etag: str | None


def wish_of(event: Mapping[str, Any]) -> Wish:
    """The wish in the function's event (docs/contracts.md)."""
    others = ("card_uri", "holdout_uri", "manifest_uri", "execution", "token", "champion_etag")
    return Wish(promote.wish_of(event), **{name: event[name] for name in others})


def register(
    store: ObjectStore,
    registry: Registry,
    pipeline: Pipeline,
    clock: Clock,
    wish: Wish,
    *,
    stack: str,
    allow_synthetic: bool,
) -> Registration:
    """A run's registration.

    Raises BadBundle and ContractError as `promote` does where the evidence does not speak for these very bytes, and for
    synthetic data in a stack that does not allow it; ForeignDocument where another bundle of that run is registered;
    LeaseLost, Unavailable.
    """
    move, keys = wish.move, pipeline.keys
    evidence = promote.check_evidence(store, move, wish.champion_etag)
    if evidence["data"]["synthetic"] and not allow_synthetic:
        raise ContractError("A model of synthetic data is registered only where the stack says AllowSynthetic=true.")
    lease.check(store, keys, execution=wish.execution, token=wish.token)
    if store.head(keys.package(move.run_ts)):
        return package.standing(store, keys, move.run_ts, move.sha256)
    facts = {"pipeline": pipeline.name, "run_ts": move.run_ts, "sha256": move.sha256, "stack": stack}
    shown = {"card_uri": wish.card_uri, "train_uri": move.train_uri, "manifest_uri": wish.manifest_uri}
    shown |= {"job_name": move.job_name} if move.job_name else {}
    about = _about(pipeline, move.why)
    arn = registry.create(_token({**facts, "about": about}), move.model_uri, move.evaluation_uri, facts | shown, about)
    registered = Registration(
        package_arn=arn,
        pipeline=pipeline.name,
        run_ts=move.run_ts,
        sha256=move.sha256,
        bundle_uri=move.model_uri,
        train_uri=move.train_uri,
        holdout_uri=wish.holdout_uri,
        manifest_uri=wish.manifest_uri,
        evaluation_uri=move.evaluation_uri,
        card_uri=wish.card_uri,
        reason=move.why,
        job_name=move.job_name,
        registered_at=iso(clock()),
    )
    return package.keep(store, keys, registered, EXPIRES)


def begin(machine: Machine, registered: Registration) -> str:
    """Lets an execution wait for a person's decision, whose name it returns; begun before, nothing happens."""
    name = execution_name(registered)
    with suppress(AlreadyRunning):
        machine.start_execution(name, approval_input(registered))
    return name


def approval_input(registered: Registration) -> dict[str, Any]:
    """What the machine that waits for a person takes."""
    names = ("pipeline", "run_ts", "package_arn", "bundle_uri", "holdout_uri", "manifest_uri", "job_name")
    return {name: getattr(registered, name) for name in names}


def execution_name(registered: Registration, attempt: int = 1) -> str:
    """The execution that waits for a decision about that package: the same one however often it is begun."""
    about = hashlib.sha256(registered.package_arn.encode()).hexdigest()[:8]
    return f"{registered.pipeline}-{registered.run_ts}-{about}-a{attempt}"


def _token(facts: Mapping[str, str]) -> str:
    """Of the same model always the same; a ClientToken has 36 characters at most."""
    return hashlib.sha256("\n".join(facts.values()).encode()).hexdigest()[:36]


def _about(pipeline: Pipeline, reason: str) -> str:
    """For whoever looks at the package in the console, which shows 1,024 characters."""
    return package.one_line(f"{pipeline.title}. {reason}")
