"""A run that outlives its hour: the next ends beside it, the one after has the data of both, scoring goes on."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from ratchet import claim, lease
from ratchet.extraction.extract import extract
from ratchet.extraction.progress import Work
from ratchet.instants import iso, run_name
from ratchet.keys import Keys

from tests.bundles import champion
from tests.fake_source import FakeSource, rows_every, small_pipeline
from tests.fakes import Clock
from tests.unit.test_claim_functions import Context, Ports, app, ended
from tests.unit.test_extract import landed
from tests.unit.test_score import NOON, STEP, MemorySource, at, predicted, score

KEYS = Keys("")
HOUR = timedelta(hours=1)
CLAIM, GIVE_BACK = app("claim_run"), app("give_back_lease")


@pytest.fixture
def ports() -> Ports:
    return Ports()


def slot(hour: int) -> datetime:
    return NOON + hour * HOUR


def triggered(ports: Ports, hour: int) -> lease.Answer:
    """What the schedule's trigger of that hour is answered when it asks for the lease; with it, it runs on."""
    clock, execution = Clock(slot(hour)), f"run {hour}"
    event = {"pipeline": "returns", "execution": execution, "input": {"scheduledTime": iso(slot(hour))}}
    CLAIM.handler({**event, "started": iso(slot(hour))}, Context(), ports, clock)
    whose = {"execution": execution, "run_ts": run_name(slot(hour))}
    answer = lease.take(ports.made, KEYS, ports.asked, clock, ttl=timedelta(seconds=14400 + 900), **whose)
    if answer.taken:
        ports.asked.running.add(execution)
    else:
        ends(ports, hour, "already_running")
    return answer


def ends(ports: Ports, hour: int, how: str) -> None:
    """What every run does at its end, with the lease or without."""
    run = {"pipeline": "returns", "execution": f"run {hour}", "run_ts": run_name(slot(hour))}
    GIVE_BACK.handler({**run, "outcome": how}, Context(), ports, Clock(slot(hour)))
    ports.asked.running.discard(f"run {hour}")


def outcome(ports: Ports, hour: int) -> tuple[str, str | None]:
    found = claim.read(ports.made, KEYS, run_name(slot(hour)))
    assert found
    return found[0].state, found[0].outcome


def extracted(ports: Ports, source: FakeSource, hour: int, token: int) -> int:
    pipeline, clock = small_pipeline(), Clock(slot(hour))
    run = (run_name(slot(hour)), f"run {hour}", token)
    return extract(Work(ports.made, source, pipeline, clock, *run, lambda: False), None).rows_changed


def test_the_next_trigger_names_the_holder_and_the_one_after_it_gets_the_data_of_both_hours(ports: Ports) -> None:
    source = FakeSource({"left": rows_every(10, 6, NOON - HOUR), "right": rows_every(60, 1, NOON - HOUR)})
    extracted(ports, source, 0, triggered(ports, 0).lease.token)

    source.tables["left"] |= rows_every(10, 6, slot(0))
    beside = triggered(ports, 1)
    assert (beside.taken, beside.lease.execution, beside.lease.run_ts) == (False, "run 0", run_name(slot(0)))
    assert (outcome(ports, 0), outcome(ports, 1)) == (("running", None), ("ended", "already_running"))

    ends(ports, 0, "promoted")
    source.tables["left"] |= rows_every(10, 6, slot(1))
    after = triggered(ports, 2)
    assert (after.taken, after.lease.token) == (True, 2)
    assert extracted(ports, source, 2, after.lease.token) == 12
    assert landed(ports.made) == source.tables["left"]


def test_every_slot_of_the_long_run_is_scored_meanwhile(ports: Ports, tmp_path: Path) -> None:
    loaded = champion(ports.made, tmp_path)
    triggered(ports, 0)
    for number in range(13):
        if number == 6:
            triggered(ports, 1)
        score(loaded, ports.made, MemorySource(at(*range(number + 1))), NOON + number * STEP)
    assert list(predicted(ports.made).values()) == [float(number) for number in range(13)]


def test_a_run_that_outlives_its_machines_time_out_makes_way_for_the_next(ports: Ports) -> None:
    triggered(ports, 0)
    assert not any(triggered(ports, hour).taken for hour in (1, 2, 3))
    ports.asked.running.clear()
    # What the rule on the end of executions is told.
    assert ended(ports, {"scheduledTime": iso(slot(0))}, "TIMED_OUT", "run 0") == {"status": "freed"}
    assert (outcome(ports, 0), ports.asked.stopped) == (("ended", "timed_out"), ["run 0"])
    assert triggered(ports, 4).taken
