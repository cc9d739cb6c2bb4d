"""A package of the model registry, the port to the registry, and a run's registration: the document that names both."""

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Protocol

from ratchet.catalog import Pipeline
from ratchet.errors import ForeignDocument, NotApproved, NotRegistered
from ratchet.keys import Keys
from ratchet.records import record
from ratchet.store import ObjectStore, create, decode, encode

PENDING, APPROVED, REJECTED = "PendingManualApproval", "Approved", "Rejected"
LONGEST = 1024
"""Characters that the registry takes of a text."""
FACTS = ("pipeline", "run_ts", "sha256", "stack")
"""What a package says of itself, so that it and a run's documents can be held against each other."""


@dataclass(frozen=True)
class Package:
    """A package as the registry knows it: `facts`, those of `FACTS` and more for people; `why` of the last decision."""

    arn: str
    status: str
    facts: Mapping[str, str]
    model_uri: str
    why: str = ""


@dataclass(frozen=True)
class Registration:
    """`model/run_ts=<run>/package.json`: a run's package, and with what it is judged anew once it is approved."""

    package_arn: str
    pipeline: str
    run_ts: str
    sha256: str
    bundle_uri: str
    train_uri: str
    holdout_uri: str
    manifest_uri: str
    evaluation_uri: str
    card_uri: str
    reason: str
    job_name: str | None
    registered_at: str


class Registry(Protocol):
    """The model registry, one group of it. Raises Unavailable when it does not answer, BadConfiguration."""

    def create(self, token: str, model_uri: str, evaluation_uri: str, facts: Mapping[str, str], about: str) -> str:
        """Registers a model as pending and returns its package's ARN; the same one for the same `token`."""

    def find(self, arn: str) -> Package | None:
        """The package of that ARN, or None."""

    def decide(self, arn: str, status: str, why: str) -> None:
        """Approves or rejects a package."""


def name_of(arn: str) -> str:
    """A package in an object's key: `<group>-<version>`, of `…:model-package/<group>/<version>`."""
    return "-".join(arn.rpartition(":")[2].split("/")[1:])


def registration(store: ObjectStore, keys: Keys, run_ts: str) -> Registration:
    """What is registered of a run. Raises NotRegistered, ForeignDocument."""
    key = keys.package(run_ts)
    stored = store.get(key)
    if stored is None:
        raise NotRegistered(f"Run {run_ts} has no package: only a model that passed the gate is registered.")
    return record(Registration, decode(stored, key), key)


def keep(store: ObjectStore, keys: Keys, registered: Registration, tags: Mapping[str, str]) -> Registration:
    """Writes a registration, once: of two calls the first stands. Returns the one that does."""
    if create(store, keys.package(registered.run_ts), encode(asdict(registered)), tags=dict(tags)):
        return registered
    return standing(store, keys, registered.run_ts, registered.sha256)


def standing(store: ObjectStore, keys: Keys, run_ts: str, sha256: str) -> Registration:
    """What is registered of a run and that very bundle. Raises NotRegistered, ForeignDocument."""
    found = registration(store, keys, run_ts)
    if found.sha256 != sha256:
        raise ForeignDocument(f"{keys.package(run_ts)} is of another bundle; run the pipeline again.")
    return found


def reason(why: str, by: str) -> str:
    """What stands in the registry beside a decision; a long text is cut, never who it was."""
    who = f"({by})"
    return f"{one_line(why, LONGEST - len(who) - 1)} {who}".strip()


def one_line(text: str, longest: int = LONGEST) -> str:
    """A text as the registry takes it: it refuses breaks and other characters that nobody sees."""
    seen = "".join(" " if unicodedata.category(letter).startswith("C") else letter for letter in text)
    return " ".join(seen.split())[:longest]


def is_of(package: Package, registered: Registration) -> bool:
    """Whether a package is of that run's bundle: a group that is made anew gives its packages' names once more."""
    facts = {name: getattr(registered, name) for name in FACTS if name != "stack"}
    same = {name: package.facts.get(name) for name in facts} == facts
    return same and package.model_uri == registered.bundle_uri


def insist(
    store: ObjectStore, registry: Callable[[], Registry], pipeline: Pipeline, run_ts: str, *, stack: str
) -> None:
    """Lets a run's model pass where nobody signs for its pipeline, or its very package is approved at this moment.

    Raises NotApproved, NotRegistered, ForeignDocument, Unavailable.
    """
    if not pipeline.serving.endpoint:
        return
    registered = registration(store, pipeline.keys, run_ts)
    refused = check(registry().find(registered.package_arn), registered, stack)
    if refused:
        raise NotApproved(f"Run {run_ts} is not put into service: {refused}.")


def check(package: Package | None, registered: Registration, stack: str) -> str | None:
    """Why a package must not be deployed for that registration; None where it may. The one place that decides it."""
    if package is None:
        return "its package is gone from the registry"
    if not is_of(package, registered) or package.facts.get("stack") != stack:
        return "its package is of another model"
    return None if package.status == APPROVED else f"its package is {package.status}, not {APPROVED}"
