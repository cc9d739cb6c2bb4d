"""`model/tests.json`: which runs were tested against which champion, and on rows up to when.

The gate spends alpha over the tests since the last promotion and asks for new rows since the last test; both come from
here. Entries are keyed by run, so judging a run again finds its own entry and counts once.
"""

from dataclasses import asdict, dataclass

from ratchet import lease
from ratchet.errors import ForeignDocument, Unavailable
from ratchet.keys import Keys
from ratchet.store import ObjectStore, create, decode, encode, replace

KEPT = 200
"""Entries kept; numbers grow on when older ones are dropped."""
_ATTEMPTS = 5


@dataclass(frozen=True)
class Entry:
    """One run's test: its number (from 1) against champion `champion_seq` (0: none yet), on rows in (since, until].

    `since` and `until` are minutes since the epoch; `since` is null for the first test ever.
    """

    run_ts: str
    champion_seq: int
    number: int
    since: int | None
    until: int


def plan(store: ObjectStore, keys: Keys, run_ts: str, champion_seq: int, until: int) -> Entry:
    """The test that this run would be, or was if it is in the ledger."""
    return _plan(_read(store, keys)[0], run_ts, champion_seq, until)


def record(store: ObjectStore, keys: Keys, test: Entry, *, execution: str, token: int) -> None:
    """Writes a planned test down, once per run and champion.

    Raises LeaseLost when the lease is not that execution's any more, Unavailable when a run that lost its lease wrote
    one down after this was planned (it has the number) or other writers keep winning.
    """
    for _ in range(_ATTEMPTS):
        tests, etag = _read(store, keys)
        if test in tests:
            return
        if _plan(tests, test.run_ts, test.champion_seq, test.until) != test:
            raise Unavailable(f"Another run's test came into {keys.tests()} meanwhile; this run is judged again.")
        lease.check(store, keys, execution=execution, token=token)
        others = [entry for entry in tests if (entry.run_ts, entry.champion_seq) != (test.run_ts, test.champion_seq)]
        body = encode({"tests": [asdict(entry) for entry in [*others, test][-KEPT:]]})
        written = create(store, keys.tests(), body) if etag is None else replace(store, keys.tests(), body, etag)
        if written:
            return
    raise Unavailable(f"{keys.tests()} was changed by others {_ATTEMPTS} times in a row.")


def _plan(tests: list[Entry], run_ts: str, champion_seq: int, until: int) -> Entry:
    own = [entry for entry in tests if entry.run_ts == run_ts]
    same = next((entry for entry in own if entry.champion_seq == champion_seq), None)
    if same:
        return Entry(run_ts, champion_seq, same.number, same.since, until)
    number = 1 + max((entry.number for entry in tests if entry.champion_seq == champion_seq), default=0)
    # A run that was tested before its champion moved has, of course, seen its own rows.
    since = own[0].since if own else max((entry.until for entry in tests), default=None)
    return Entry(run_ts, champion_seq, number, since, until)


def _read(store: ObjectStore, keys: Keys) -> tuple[list[Entry], str | None]:
    stored = store.get(keys.tests())
    if stored is None:
        return [], None
    try:
        return [Entry(**entry) for entry in decode(stored, keys.tests())["tests"]], stored.etag
    except (KeyError, TypeError) as error:
        raise ForeignDocument(f"{keys.tests()} is not the ledger of tests; move it away.") from error
