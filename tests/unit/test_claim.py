"""Claims: a repeated trigger is the same run; a failed run can be taken up again; inputs are checked whole."""

from datetime import UTC, datetime
from typing import Any

import pytest
from ratchet import claim
from ratchet.errors import BadInput, UnknownRun
from ratchet.keys import Keys

from tests.fakes import Clock, Executions, MemoryStore

KEYS = Keys("")
SLOT = {"scheduledTime": "2026-11-21T04:00:00Z"}
RUN = "2026-11-21T04-00-00Z"


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime(2026, 11, 21, 4, 0, 7, 500, tzinfo=UTC))


def take(
    store: MemoryStore, clock: Clock, document: dict[str, Any], execution: str, executions: Executions | None = None
) -> tuple[bool, claim.Claim]:
    request = claim.parse_request(document)
    whose = {"execution": execution, "started": clock()}
    return claim.take(store, KEYS, executions or Executions(), clock, request=request, **whose)  # type: ignore[arg-type]


def test_a_schedule_names_the_run_by_its_instant(clock: Clock) -> None:
    ours, standing = take(MemoryStore(), clock, SLOT, "a")
    assert (ours, standing.run_ts, standing.scheduled, standing.attempt) == (True, RUN, True, 1)


def test_a_manual_run_takes_the_second_that_it_was_started_in(clock: Clock) -> None:
    _, standing = take(MemoryStore(), clock, {}, "a")
    assert (standing.run_ts, standing.scheduled) == ("2026-11-21T04-00-07Z", False)


def test_a_manual_run_that_claims_again_a_minute_later_has_one_claim(clock: Clock) -> None:
    store, started = MemoryStore(), clock()
    for _ in range(2):
        ours, standing = claim.take(
            store, KEYS, Executions(), clock, request=claim.Request(), execution="a", started=started
        )
        clock.forward(minutes=1)
    assert (ours, standing.run_ts, list(store.objects)) == (True, "2026-11-21T04-00-07Z", [KEYS.claim(standing.run_ts)])


def test_a_repeated_trigger_is_the_same_run(clock: Clock) -> None:
    store = MemoryStore()
    take(store, clock, SLOT, "a")
    assert take(store, clock, SLOT, "a")[0]
    ours, standing = take(store, clock, SLOT, "b")
    assert (ours, standing.execution) == (False, "a")


def test_a_failed_run_is_resumed_as_the_next_attempt(clock: Clock) -> None:
    store = MemoryStore()
    take(store, clock, SLOT, "a")
    assert claim.close(store, KEYS, clock, run_ts=RUN, execution="a", outcome="failed")
    ours, standing = take(store, clock, {"resume": RUN}, "b")
    assert (ours, standing.attempt, standing.scheduled) == (True, 2, True)


def test_a_resumed_run_has_the_input_of_its_first_attempt(clock: Clock) -> None:
    store = MemoryStore()
    asked = {"limit": 500, "skipDataPrep": True, "sinceTs": "2026-11-01T00:00:00Z"}
    take(store, clock, {**SLOT, **asked}, "a")
    for execution in "bc":
        claim.close(store, KEYS, clock, run_ts=RUN, execution=chr(ord(execution) - 1), outcome="failed")
        ours, standing = take(store, clock, {"resume": RUN, "limit": 0, "sinceTs": None}, execution)
        assert ours
        assert (standing.limit, standing.skip_data_prep, standing.since_ts) == (500, True, asked["sinceTs"])
    assert (standing.attempt, standing.state, standing.outcome, standing.ended_at) == (3, "running", None, None)


def test_a_resumed_run_takes_no_other_input() -> None:
    with pytest.raises(BadInput, match="leave out limit and skipDataPrep"):
        claim.parse_request({"resume": RUN, "limit": 5, "skipDataPrep": True})


def buried(store: MemoryStore, clock: Clock, document: object, execution: str = "a") -> str | None:
    whose = {"execution": execution, "started": clock(), "outcome": "aborted", "takes": ("limit", "sinceTs")}
    return claim.bury(store, KEYS, Executions(), clock, document=document, **whose)  # type: ignore[arg-type]


def test_the_run_of_an_execution_that_died_follows_from_its_input_and_its_start(clock: Clock) -> None:
    store = MemoryStore()
    assert buried(store, clock, SLOT) == RUN
    assert buried(store, clock, {}) == "2026-11-21T04-00-07Z"
    assert buried(store, clock, {"limit": "lots"}) is None
    assert buried(store, clock, {"month": "2025-06"}) is None
    assert buried(store, clock, {"resume": "2020-01-01T00-00-00Z"}) is None


def test_a_claim_that_arrives_after_its_execution_was_buried_finds_the_run_ended(clock: Clock) -> None:
    store = MemoryStore()
    buried(store, clock, SLOT)
    ours, standing = take(store, clock, SLOT, "a")
    assert (ours, standing.state, standing.outcome) == (True, "ended", "aborted")
    assert not take(store, clock, SLOT, "b")[0]


def test_a_resumption_that_arrives_after_its_execution_was_buried_finds_the_run_ended(clock: Clock) -> None:
    store = MemoryStore()
    take(store, clock, SLOT, "a")
    claim.close(store, KEYS, clock, run_ts=RUN, execution="a", outcome="failed")
    assert buried(store, clock, {"resume": RUN}, "b") == RUN
    found = claim.read(store, KEYS, RUN)
    assert found
    assert (found[0].execution, found[0].state, found[0].outcome) == ("b", "ended", "aborted")


def test_two_calls_of_one_resumption_both_find_it_theirs(clock: Clock) -> None:
    store = MemoryStore()
    take(store, clock, SLOT, "a")
    claim.close(store, KEYS, clock, run_ts=RUN, execution="a", outcome="failed")

    class Overtaken(MemoryStore):
        """Another call of the same step writes first, once."""

        def put(self, key: str, body: bytes, **options: Any) -> str:
            if not self.overtaken:
                self.overtaken = True
                take(self, clock, {"resume": RUN}, "b")
            return super().put(key, body, **options)

    overtaken = Overtaken()
    overtaken.objects, overtaken.tags, overtaken.overtaken = store.objects, store.tags, False
    ours, standing = take(overtaken, clock, {"resume": RUN}, "b")
    assert (ours, standing.execution, standing.attempt) == (True, "b", 2)


def test_a_run_whose_execution_vanished_is_resumed(clock: Clock) -> None:
    store = MemoryStore()
    take(store, clock, SLOT, "a")
    assert take(store, clock, {"resume": RUN}, "b", Executions())[0]


@pytest.mark.parametrize("outcome", ["promoted", "kept_champion", None])
def test_a_run_that_ended_well_or_still_runs_is_not_resumed(clock: Clock, outcome: str | None) -> None:
    store = MemoryStore()
    take(store, clock, SLOT, "a")
    if outcome:
        claim.close(store, KEYS, clock, run_ts=RUN, execution="a", outcome=outcome)
    assert not take(store, clock, {"resume": RUN}, "b", Executions("a"))[0]


def test_a_run_that_never_was_cannot_be_resumed(clock: Clock) -> None:
    with pytest.raises(UnknownRun, match=RUN):
        take(MemoryStore(), clock, {"resume": RUN}, "b")


def test_a_claim_is_closed_once_and_by_its_holder(clock: Clock) -> None:
    store = MemoryStore()
    take(store, clock, SLOT, "a")
    assert not claim.close(store, KEYS, clock, run_ts=RUN, execution="b", outcome="failed")
    assert claim.close(store, KEYS, clock, run_ts=RUN, execution="a", outcome="promoted")
    assert not claim.close(store, KEYS, clock, run_ts=RUN, execution="a", outcome="failed")


def test_a_claim_expires_whichever_writer_was_last(clock: Clock) -> None:
    store, expires = MemoryStore(), {"ratchet:retention": "run"}
    take(store, clock, SLOT, "a")
    assert store.tags[KEYS.claim(RUN)] == expires
    claim.close(store, KEYS, clock, run_ts=RUN, execution="a", outcome="failed")
    assert store.tags[KEYS.claim(RUN)] == expires
    take(store, clock, {"resume": RUN}, "b")
    assert store.tags[KEYS.claim(RUN)] == expires


def test_every_fault_of_an_input_is_named_at_once() -> None:
    document = {"limit": -1, "skipDataPrep": "yes", "sinceTs": "yesterday", "lmit": 3}
    with pytest.raises(BadInput) as error:
        claim.parse_request(document)
    for part in ("limit is -1", "skipDataPrep is 'yes'", "'yesterday' is not an instant", "'lmit' is unknown"):
        assert part in str(error.value)


@pytest.mark.parametrize("document", [None, 3, "x", [], {"limit": True}, {"at": 5}, {**SLOT, "at": RUN}])
def test_an_input_that_cannot_be_used_is_refused(document: object) -> None:
    with pytest.raises(BadInput):
        claim.parse_request(document)


def test_the_documented_input_is_accepted() -> None:
    assert claim.parse_request({"limit": 0, "skipDataPrep": False, "sinceTs": None}) == claim.Request()
