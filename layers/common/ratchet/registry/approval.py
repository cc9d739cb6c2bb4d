"""An approval: somebody waits for a person's decision about one package, hears it once, and no longer than agreed.

`approvals/<package>.json` moves by compare-and-swap from `waiting` to `approved`, `rejected` or `expired` and stays so:
what comes later is told and changes nothing. The decision itself stands in the registry, whoever made it and where.
"""

from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Protocol

from ratchet.errors import ForeignDocument, Unavailable
from ratchet.instants import Clock, iso
from ratchet.keys import Keys
from ratchet.records import record
from ratchet.registry.package import APPROVED, REJECTED, Package, name_of
from ratchet.store import ObjectStore, Stored, create, decode, encode
from ratchet.store import replace as swap

ATTEMPTS = 5
STATES = {APPROVED: "approved", REJECTED: "rejected"}
STANDING = {"waiting", "expired", *STATES.values()}
EXPIRED_WHY = "Nobody decided in time."


@dataclass(frozen=True)
class Approval:
    """Who waits, until when, and what was decided with which words.

    `tokens` are those of all calls that asked, the newest first: which of them still waits only the task knows.
    """

    package_arn: str
    run_ts: str
    state: str
    tokens: list[str]
    asked_at: str
    expires_at: str
    decided_at: str | None = None
    why: str | None = None
    told: bool = False


class Tasks(Protocol):
    """Whoever waits. Raises Unavailable."""

    def succeed(self, token: str, output: dict[str, str]) -> bool:
        """Hands over the result; false where nobody waits by that token any more."""


def ask(
    store: ObjectStore, keys: Keys, clock: Clock, *, package_arn: str, run_ts: str, token: str, seconds: int
) -> Approval:
    """Somebody waits from now on, by that token too: a call that was given up may ask later than the one after it.

    What was decided already of that run stays so, `expired` included; what another run's package of the same name came
    to is over, the group has been made anew since. Raises Unavailable, ForeignDocument.
    """
    now = clock()
    asked = Approval(package_arn, run_ts, "waiting", [token], iso(now), iso(now + timedelta(seconds=seconds)))
    for _ in range(ATTEMPTS):
        found = read(store, keys, package_arn)
        # The bound stands from when it was first asked: a retry does not prolong it.
        again = found is not None and (found[0].package_arn, found[0].run_ts) == (package_arn, run_ts)
        wanted = replace(found[0], tokens=_with(token, found[0]), told=False) if found and again else asked
        if _write(store, keys, wanted, found[1] if found else None):
            return wanted
    raise _busy(keys, package_arn)


def settle(store: ObjectStore, keys: Keys, tasks: Tasks, clock: Clock, package: Package) -> str:
    """Passes a decision on to whoever waits for it, once.

    The answer is `approved` or `rejected` where it was passed on, `unheard` where whoever waited has ended,
    `undecided`, `unknown` where nobody ever asked, `repeated` for a decision that is known already, `late` for one
    after another, or after the time. Of two decisions the first stands: whoever was not told of it yet is told now.
    """
    decided = STATES.get(package.status)
    if decided is None:
        return "undecided"
    for _ in range(ATTEMPTS):
        found = read(store, keys, package.arn)
        if found is None or (found[0].package_arn, found[0].run_ts) != (package.arn, package.facts.get("run_ts")):
            return "unknown"
        approval, etag = found
        if approval.state != "waiting":
            heard = None if approval.told else _tell(store, keys, tasks, approval, etag)
            return "late" if approval.state != decided else heard or "repeated"
        ours = replace(approval, state=decided, decided_at=iso(clock()), why=package.why)
        if written := _write(store, keys, ours, etag):
            return _tell(store, keys, tasks, ours, written)
    raise _busy(keys, package.arn)


def close(store: ObjectStore, keys: Keys, clock: Clock, package_arn: str, package: Package | None) -> Approval | None:
    """The time is over: what stands then, None where asking was never written down.

    That is `expired`, unless there is a decision, which may stand in the registry alone: an event takes its time.
    """
    decided = STATES.get(package.status) if package else None
    why = package.why if package and decided else EXPIRED_WHY
    for _ in range(ATTEMPTS):
        found = read(store, keys, package_arn)
        if found is None or found[0].package_arn != package_arn:
            return None
        if found[0].state != "waiting":
            return found[0]
        # Whoever waited closes it, so there is nobody to be told.
        closed = replace(found[0], state=decided or "expired", decided_at=iso(clock()), why=why, told=True)
        if _write(store, keys, closed, found[1]):
            return closed
    raise _busy(keys, package_arn)


def read(store: ObjectStore, keys: Keys, package_arn: str) -> tuple[Approval, str] | None:
    """The approval and its tag, None where nobody asked. Raises ForeignDocument."""
    key = keys.approval(name_of(package_arn))
    stored = store.get(key)
    return (of(stored, key), stored.etag) if stored else None


def of(stored: Stored, key: str) -> Approval:
    """The approval that an object holds. Raises ForeignDocument."""
    found = record(Approval, decode(stored, key), key, instants=("asked_at", "expires_at", "decided_at"))
    if found.state not in STANDING or not all(isinstance(token, str) for token in found.tokens):
        raise ForeignDocument(f"{key} is no approval of Ratchet's (its state or its tokens); move it away.")
    return found


def _tell(store: ObjectStore, keys: Keys, tasks: Tasks, approval: Approval, etag: str) -> str:
    """After the state: a death in between leaves it untold, and the next call tells it."""
    decision = {"decision": approval.state, "why": approval.why or ""}
    heard = [tasks.succeed(token, decision) for token in approval.tokens]
    _write(store, keys, replace(approval, told=True), etag)
    return approval.state if any(heard) else "unheard"


def _with(token: str, approval: Approval) -> list[str]:
    return [token, *(other for other in approval.tokens if other != token)]


def _write(store: ObjectStore, keys: Keys, approval: Approval, etag: str | None) -> str | None:
    key, body = keys.approval(name_of(approval.package_arn)), encode(asdict(approval))
    return create(store, key, body) if etag is None else swap(store, key, body, etag)


def _busy(keys: Keys, package_arn: str) -> Unavailable:
    return Unavailable(f"{keys.approval(name_of(package_arn))} was changed by others {ATTEMPTS} times in a row.")
