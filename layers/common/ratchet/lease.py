"""The lease: at most one run of a pipeline at a time, with a fencing token that only grows.

A holder whose token is behind may still run; it cannot write, because every writer of shared state calls `check`.
"""

from dataclasses import asdict, dataclass
from datetime import timedelta

from ratchet.errors import LeaseLost, Unavailable
from ratchet.executions import Executions
from ratchet.instants import Clock, iso, parse_instant
from ratchet.keys import Keys
from ratchet.records import record
from ratchet.store import ObjectStore, create, decode, encode, replace

ATTEMPTS = 5


@dataclass(frozen=True)
class Lease:
    """`lease.json`."""

    state: str
    execution: str
    run_ts: str
    token: int
    taken_at: str
    expires_at: str


@dataclass(frozen=True)
class Answer:
    """What came of asking for the lease: ours (`taken`) or still another's."""

    taken: bool
    lease: Lease


def read(store: ObjectStore, keys: Keys) -> tuple[Lease, str] | None:
    """The lease and its tag, or None before the first run. Raises ForeignDocument."""
    key = keys.lease()
    stored = store.get(key)
    if stored is None:
        return None
    return record(Lease, decode(stored, key), key, instants=("taken_at", "expires_at")), stored.etag


def take(
    store: ObjectStore, keys: Keys, executions: Executions, clock: Clock, *, execution: str, run_ts: str, ttl: timedelta
) -> Answer:
    """Takes the lease for an execution, or says who holds it.

    `ttl` must exceed the machine's own time-out: nothing can renew a lease while the machine waits for a job.
    Raises Unavailable when other writers win the swap again and again.
    """
    for _ in range(ATTEMPTS):
        found = read(store, keys)
        if found and found[0].state == "held":
            if found[0].execution == execution:
                return Answer(True, found[0])
            if not _expired(found[0], clock) and executions.is_running(found[0].execution):
                return Answer(False, found[0])
            executions.stop_leftovers(found[0].execution)
        now = clock()
        ours = Lease("held", execution, run_ts, (found[0].token if found else 0) + 1, iso(now), iso(now + ttl))
        if _write(store, keys, ours, found[1] if found else None):
            return Answer(True, ours)
    raise Unavailable(f"Other runs moved {keys.lease()} {ATTEMPTS} times in a row.")


def give_back(store: ObjectStore, keys: Keys, *, execution: str) -> bool:
    """Frees the lease if that execution holds it; false when it is another's or free already."""
    found = read(store, keys)
    if found is None or found[0].state != "held" or found[0].execution != execution:
        return False
    return _write(store, keys, Lease(**{**asdict(found[0]), "state": "free"}), found[1])


def free(store: ObjectStore, keys: Keys, executions: Executions, *, execution: str) -> bool:
    """Frees the lease of an execution that has ended, once what it left running is stopped; false if it holds none."""
    found = read(store, keys)
    if found is None or (found[0].state, found[0].execution) != ("held", execution):
        return False
    executions.stop_leftovers(execution)
    return give_back(store, keys, execution=execution)


def check(store: ObjectStore, keys: Keys, *, execution: str, token: int) -> None:
    """Raises LeaseLost unless that execution holds the lease with that token."""
    found = read(store, keys)
    lease = found[0] if found else None
    if lease is None or (lease.state, lease.execution, lease.token) != ("held", execution, token):
        holder = f"{lease.execution} (token {lease.token}, {lease.state})" if lease else "nobody"
        raise LeaseLost(f"The lease is {holder}'s, this run's token is {token}; it must not write any more.")


def _expired(lease: Lease, clock: Clock) -> bool:
    return clock() >= parse_instant(lease.expires_at)


def _write(store: ObjectStore, keys: Keys, lease: Lease, etag: str | None) -> bool:
    body = encode(asdict(lease))
    written = create(store, keys.lease(), body) if etag is None else replace(store, keys.lease(), body, etag)
    return written is not None
