"""The claim of a run: what makes a repeated trigger for the same instant one run, and a failed run resumable."""

import re
from collections.abc import Collection, Mapping
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
ASKED = ("scheduled", "limit", "skip_data_prep", "since_ts", "month", "sample")
"""What the first attempt was asked for, and all later ones do."""
EVERY = ("limit", "sinceTs", "month", "sample")
"""Fields of an input that only some pipelines take."""
MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


@dataclass(frozen=True)
class Request:
    """An execution's input, checked. `limit`, `sample` 0 mean all rows; without `instant` its start names the run."""

    scheduled: bool = False
    instant: datetime | None = None
    resume: bool = False
    limit: int = 0
    skip_data_prep: bool = False
    since: datetime | None = None
    month: str | None = None
    sample: int = 0


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
    month: str | None = None
    sample: int = 0


def parse_request(document: object, takes: Collection[str] = EVERY) -> Request:
    """The request in an execution's input; `takes` are the fields that only some pipelines take and this one does.

    Raises BadInput naming every field that cannot be used.
    """
    if not isinstance(document, Mapping):
        raise BadInput('The execution input must be a JSON object such as {"limit": 0}.')
    known = {*takes, "skipDataPrep", "scheduledTime", "at", "resume"}
    faults = [f"'{name}' is unknown (known: {', '.join(sorted(known))})" for name in document if name not in known]
    limit, sample = (_rows(document, name, faults) for name in ("limit", "sample"))
    skip, month = document.get("skipDataPrep", False), document.get("month")
    if not isinstance(skip, bool):
        faults.append(f"skipDataPrep is {skip!r}, not true or false")
    if month is not None and not (isinstance(month, str) and MONTH.fullmatch(month)):
        faults.append(f"month is {month!r}, not a month such as 2025-06")
    instants = {name: _instant(document, name, faults) for name in ("sinceTs", "scheduledTime", "at", "resume")}
    named = [name for name in ("scheduledTime", "at", "resume") if instants[name]]
    if len(named) > 1:
        faults.append(f"{' and '.join(named)} name the run more than once")
    own = [name for name in ("limit", "skipDataPrep", "sinceTs", "month", "sample") if document.get(name)]
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
        month=month,
        sample=sample,
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
    takes: Collection[str],
    execution: str,
    started: datetime,
    outcome: str,
) -> str | None:
    """Closes the run of an execution that ended without doing so; its name, or None where the input names none of ours.

    The claim is taken in the execution's name first: one that is still on its way then finds that the run has ended.
    """
    try:
        request = parse_request(document, takes)
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
    asked = (request.scheduled, request.limit, request.skip_data_prep, since, request.month, request.sample)
    return Claim(run_name(request.instant or started), execution, 1, "running", None, iso(clock()), None, *asked)


def _resumable(standing: Claim, executions: Executions) -> bool:
    if standing.state == "ended":
        return standing.outcome in RESUMABLE
    return not executions.is_running(standing.execution)


def _rows(document: Mapping[str, Any], name: str, faults: list[str]) -> int:
    value = document.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        faults.append(f"{name} is {value!r}, not a whole number of rows (0 for all)")
        return 0
    return value


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
