"""The claim of a run: what makes a repeated trigger for the same instant one run, and a failed run resumable."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from dataclasses import replace as changed
from datetime import datetime
from typing import Any

from ratchet.errors import BadInput, Unavailable, UnknownRun
from ratchet.executions import Executions
from ratchet.instants import Clock, iso, parse_instant, run_name
from ratchet.keys import Keys
from ratchet.records import record
from ratchet.retention import EXPIRES
from ratchet.store import ObjectStore, create, decode, encode, replace

ATTEMPTS = 5
RESUMABLE = {"failed", "aborted", "timed_out"}
ASKED = ("scheduled", "limit", "skip_data_prep", "since_ts")
"""What the first attempt was asked for, and all later ones do."""


@dataclass(frozen=True)
class Request:
    """An execution's input, checked. `limit` 0 means all rows; without an `instant` its start names the run."""

    scheduled: bool = False
    instant: datetime | None = None
    resume: bool = False
    limit: int = 0
    skip_data_prep: bool = False
    since: datetime | None = None


@dataclass(frozen=True)
class Claim:
    """`runs/<run>.json`; `scheduled` and what follows it come from the first attempt's input."""

    run_ts: str
    execution: str
    attempt: int
    state: str
    outcome: str | None
    claimed_at: str
    ended_at: str | None
    scheduled: bool
    limit: int = 0
    skip_data_prep: bool = False
    since_ts: str | None = None


def parse_request(document: object) -> Request:
    """The request in an execution's input. Raises BadInput naming every field that cannot be used."""
    if not isinstance(document, Mapping):
        raise BadInput('The execution input must be a JSON object such as {"limit": 0}.')
    faults: list[str] = []
    known = {"limit", "skipDataPrep", "sinceTs", "scheduledTime", "at", "resume"}
    faults += [f"'{name}' is unknown (known: {', '.join(sorted(known))})" for name in document if name not in known]
    limit = document.get("limit", 0)
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        faults.append(f"limit is {limit!r}, not a whole number of rows (0 for all)")
    skip = document.get("skipDataPrep", False)
    if not isinstance(skip, bool):
        faults.append(f"skipDataPrep is {skip!r}, not true or false")
    instants = {name: _instant(document, name, faults) for name in ("sinceTs", "scheduledTime", "at", "resume")}
    named = [name for name in ("scheduledTime", "at", "resume") if instants[name]]
    if len(named) > 1:
        faults.append(f"{' and '.join(named)} name the run more than once")
    own = [name for name in ("limit", "skipDataPrep", "sinceTs") if document.get(name)]
    if instants["resume"] and own:
        faults.append(f"a resumed run has the input of its first attempt: leave out {' and '.join(own)}")
    if faults:
        raise BadInput(f"Execution input: {'; '.join(faults)}.")
    return Request(
        scheduled=bool(instants["scheduledTime"]),
        instant=instants[named[0]] if named else None,
        resume=bool(instants["resume"]),
        limit=limit,
        skip_data_prep=skip,
        since=instants["sinceTs"],
    )


def take(
    store: ObjectStore,
    keys: Keys,
    executions: Executions,
    clock: Clock,
    *,
    request: Request,
    execution: str,
    started: datetime,
) -> tuple[bool, Claim]:
    """Claims the request's run for an execution. Returns whether it is ours, and the claim that stands.

    Raises UnknownRun when a run to resume was never claimed, Unavailable when others change the claim again and again.
    """
    ours = _claim(request, execution, started, clock)
    key = keys.claim(ours.run_ts)
    if not request.resume and create(store, key, encode(asdict(ours)), tags=EXPIRES):
        return True, ours
    for _ in range(ATTEMPTS):
        found = read(store, keys, ours.run_ts)
        if found is None:
            raise UnknownRun(f"There is no run {ours.run_ts} to resume; `ratchet status` names the runs there are.")
        standing, etag = found
        if standing.execution == execution:
            return True, standing
        if not request.resume or not _resumable(standing, executions):
            return False, standing
        ours = changed(ours, attempt=standing.attempt + 1, **{name: getattr(standing, name) for name in ASKED})
        if replace(store, key, encode(asdict(ours)), etag, tags=EXPIRES) is not None:
            return True, ours
    raise Unavailable(f"Others changed {key} {ATTEMPTS} times in a row.")


def close(store: ObjectStore, keys: Keys, clock: Clock, *, run_ts: str, execution: str, outcome: str) -> bool:
    """Records how an execution ended its run; false when the claim is another's or closed already."""
    found = read(store, keys, run_ts)
    if found is None or found[0].execution != execution or found[0].state != "running":
        return False
    ended = changed(found[0], state="ended", outcome=outcome, ended_at=iso(clock()))
    return replace(store, keys.claim(run_ts), encode(asdict(ended)), found[1], tags=EXPIRES) is not None


def bury(
    store: ObjectStore,
    keys: Keys,
    executions: Executions,
    clock: Clock,
    *,
    document: object,
    execution: str,
    started: datetime,
    outcome: str,
) -> str | None:
    """Closes the run of an execution that ended without doing so; its name, or None where the input names none of ours.

    The claim is taken in the execution's name first: one that is still on its way then finds that the run has ended.
    """
    try:
        request = parse_request(document)
        ours, standing = take(store, keys, executions, clock, request=request, execution=execution, started=started)
    except BadInput:
        return None
    if ours:
        close(store, keys, clock, run_ts=standing.run_ts, execution=execution, outcome=outcome)
    return standing.run_ts


def read(store: ObjectStore, keys: Keys, run_ts: str) -> tuple[Claim, str] | None:
    """The claim of a run and its tag, or None. Raises ForeignDocument."""
    key = keys.claim(run_ts)
    stored = store.get(key)
    if stored is None:
        return None
    return record(Claim, decode(stored, key), key), stored.etag


def _claim(request: Request, execution: str, started: datetime, clock: Clock) -> Claim:
    since = iso(request.since) if request.since else None
    asked = (request.scheduled, request.limit, request.skip_data_prep, since)
    return Claim(run_name(request.instant or started), execution, 1, "running", None, iso(clock()), None, *asked)


def _resumable(standing: Claim, executions: Executions) -> bool:
    if standing.state == "ended":
        return standing.outcome in RESUMABLE
    return not executions.is_running(standing.execution)


def _instant(document: Mapping[str, Any], name: str, faults: list[str]) -> datetime | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        faults.append(f"{name} is {value!r}, not an instant")
        return None
    try:
        return parse_instant(value)
    except BadInput as error:
        faults.append(f"{name}: {error}")
        return None
