"""Every step may be killed before and after each of its writes, and a run between any two states: nothing differs.

The deployed machines, the product's own handlers in AWS's runtime, and the emulator's S3. The bucket is compared with
that of an undisturbed run object by object, but for times and attempt counters.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from ratchet.instants import iso, run_name

from tests.emulated import Environments
from tests.faults import figures
from tests.faults.bed import KEYS, Bed, Story, contents, made_up, rows, snapshot, this_hour, until
from tests.faults.mortal import Death

HOUR = this_hour()
FIRST, SECOND = HOUR - timedelta(hours=5), HOUR
RUN = {"at": iso(SECOND)}
RESUMED = {"resume": run_name(SECOND)}
SCORE, ROLLBACK = {"pipeline": "tiny"}, {"pipeline": "tiny", "of": run_name(SECOND), "why": "worse", "who": "a person"}
WRITES = {
    **{"claim_run": 1, "take_lease": 1, "extract": 4, "prepare": 5, "stage_training": 1, "confirm_training": 1},
    **{"evaluate": 10, "promote": 9, "give_back_lease": 2},
}
"""How often each step of an undisturbed run writes to S3; a test keeps it true."""
CALLED = {"score": (SCORE, 2), "rollback": (ROLLBACK, 16)}
FILES = 4
"""Files that the training job writes."""
PIPELINE_STEPS = ("claim_run", "take_lease", "extract", "check_sufficiency", "prepare", "give_back_lease")
RELEASE_STEPS = ("stage_training", "confirm_training", "evaluate", "promote")
IMPATIENT = 3
"""Seconds after which the machine of these tests is over."""


@dataclass(frozen=True)
class Undisturbed:
    """Before the run, and after it, after scoring and after a rollback."""

    before: dict[str, Any]
    after: dict[str, Any]
    scored: dict[str, Any]
    rolled_back: dict[str, Any]
    writes: dict[str, int]


@pytest.fixture(scope="module")
def bed(environments: Environments, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with made_up(environments, tmp_path_factory.mktemp("bed")) as bed:
        yield bed


@pytest.fixture(scope="module")
def deaths() -> Iterator[Counter[str]]:
    """How often what was killed; after each the bucket was compared."""
    counted: Counter[str] = Counter()
    yield counted
    figures.add("Killed, run again, compared object by object", ("what", "deaths"), [*counted.items(), total(counted)])


def total(counted: Counter[str]) -> tuple[str, int]:
    return "in all", counted.total()


@pytest.fixture(scope="module")
def undisturbed(bed: Bed) -> Undisturbed:
    story = bed.story()
    bed.rest.tables = rows(120, FIRST)
    bed.train(strength=0.3)
    succeeded(bed.run(story, {"at": iso(FIRST)}))
    # The code archive is written by whoever finds it absent.
    before = {key: held for key, held in snapshot(story).items() if not key.startswith("code/")}
    bed.rest.tables = rows(150, SECOND)
    story = bed.story(before)
    succeeded(bed.run(story, RUN))
    after = contents(story)
    assert bed.invoke("score", SCORE)[0] is None
    scored = contents(story)
    assert bed.invoke("rollback", ROLLBACK)[0] is None
    return Undisturbed(before, after, scored, contents(story), dict(bed.commander.writes))


def succeeded(execution: dict[str, Any]) -> None:
    assert execution["status"] == "SUCCEEDED", (execution.get("error"), execution.get("cause"))
    assert json.loads(execution["output"])["outcome"] == "promoted", execution["output"]


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    return sorted(key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key))


def test_the_matrix_has_every_write_of_every_step(undisturbed: Undisturbed) -> None:
    called = {step: writes for step, (_, writes) in CALLED.items()}
    assert {step: writes for step, writes in undisturbed.writes.items() if writes} == {**WRITES, **called}


@pytest.mark.parametrize("step", WRITES)
def test_a_step_that_dies_at_any_write_is_called_again_and_nothing_differs(
    step: str, bed: Bed, undisturbed: Undisturbed, deaths: Counter[str]
) -> None:
    for number in range(1, WRITES[step] + 1):
        for when in ("before", "after"):
            story = bed.story(undisturbed.before)
            death = bed.commander.deaths[step] = Death(number, when)
            succeeded(bed.run(story, RUN))
            assert death.times == 0, f"{step} did not die {death}"
            assert differences(contents(story), undisturbed.after) == [], f"{step} died {death}"
    deaths[f"{step} at a write"] += 2 * WRITES[step]


@pytest.mark.parametrize("step", WRITES)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_whose_step_dies_again_and_again_is_resumed_and_nothing_differs(
    step: str, when: str, bed: Bed, undisturbed: Undisturbed, deaths: Counter[str]
) -> None:
    story = bed.story(undisturbed.before)
    # The machine calls a step three times. What it had written by then it does not write again, so it may live longer.
    death = bed.commander.deaths[step] = Death(1 if when == "before" else WRITES[step], when, times=3)
    first = bed.run(story, RUN)
    assert death.times < 3
    assert (first["status"], first.get("error")) in {("FAILED", "Runtime.ExitError"), ("SUCCEEDED", None)}
    left, death.times = death.times, 0
    trained = bed.jobs(run_name(SECOND))
    resume(bed, story, undisturbed)
    if "Completed" in trained.values():
        assert bed.jobs(run_name(SECOND)) == trained, "finished training was repeated"
    deaths["a step, again and again"] += 3 - left


def resume(bed: Bed, story: Story, undisturbed: Undisturbed) -> None:
    """Takes the run up again, unless what died had only an answer left to give."""
    bed.commander.await_silence()
    if story.document(KEYS.claim(run_name(SECOND)))["outcome"] != "promoted":
        succeeded(bed.run(story, RESUMED))
    assert differences(contents(story), undisturbed.after) == []


@pytest.mark.parametrize("number", range(1, FILES + 1))
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_training_that_dies_at_any_write_is_repeated_and_nothing_differs(
    number: int, when: str, bed: Bed, undisturbed: Undisturbed, deaths: Counter[str]
) -> None:
    story = bed.story(undisturbed.before)
    bed.train(dies=[number, when])
    failed = bed.run(story, RUN)
    assert (failed["status"], failed["error"]) == ("FAILED", "TrainingFailed")
    bed.train()
    resume(bed, story, undisturbed)
    assert sorted(bed.jobs(run_name(SECOND)).values()) == ["Completed", "Failed"]
    deaths["training at a write"] += 1


@pytest.mark.parametrize("step", CALLED)
def test_what_a_schedule_or_a_person_calls_may_die_at_any_write(
    step: str, bed: Bed, undisturbed: Undisturbed, deaths: Counter[str]
) -> None:
    event, writes = CALLED[step]
    for number in range(1, writes + 1):
        for when in ("before", "after"):
            story = promoted_before(bed, undisturbed)
            bed.commander.deaths[step] = Death(number, when)
            assert bed.invoke(step, event)[0] == "Runtime.ExitError"
            error, told = bed.invoke(step, event)
            assert error is None, told
            found = contents(story)
            expected = undisturbed.scored if step == "score" else without_predictions(undisturbed.rolled_back)
            assert differences(found, expected) == [], f"{step} died {when} write {number}"
    deaths[f"{step} at a write"] += 2 * writes


def promoted_before(bed: Bed, undisturbed: Undisturbed, memory: dict[str, Any] = {}) -> Story:  # noqa: B006
    """The story after its run; made once."""
    if "objects" not in memory:
        story = bed.story(undisturbed.before)
        succeeded(bed.run(story, RUN))
        memory["objects"] = snapshot(story)
    return bed.story(memory["objects"])


def without_predictions(found: dict[str, Any]) -> dict[str, Any]:
    return {key: held for key, held in found.items() if "/predictions/" not in key}


def running_child(bed: Bed) -> str:
    listed = bed.states.list_executions(stateMachineArn=bed.release, statusFilter="RUNNING")["executions"]
    return str(listed[0]["executionArn"])


@pytest.mark.parametrize("step", [*PIPELINE_STEPS, *RELEASE_STEPS])
def test_a_run_that_is_aborted_at_any_state_is_resumed_and_nothing_differs(
    step: str, bed: Bed, undisturbed: Undisturbed, deaths: Counter[str]
) -> None:
    story, execution = bed.story(undisturbed.before), list[str]()
    bed.commander.at_call[step] = lambda: stop(bed, until(lambda: execution)[0])
    execution.append(bed.start(RUN))
    assert bed.ended(story, execution[0])["status"] == "ABORTED"
    resume(bed, story, undisturbed)
    deaths["run aborted at a state"] += 1


@pytest.mark.parametrize("step", RELEASE_STEPS)
def test_a_release_that_is_aborted_at_any_state_fails_its_run_which_is_resumed(
    step: str, bed: Bed, undisturbed: Undisturbed, deaths: Counter[str]
) -> None:
    story = bed.story(undisturbed.before)
    bed.commander.at_call[step] = lambda: stop(bed, running_child(bed))
    failed = bed.run(story, RUN)
    assert (failed["status"], failed["error"]) == ("FAILED", "Stopped")
    resume(bed, story, undisturbed)
    deaths["release aborted at a state"] += 1


def stop(bed: Bed, execution: str) -> None:
    bed.states.stop_execution(executionArn=execution, error="Stopped", cause="by a test")


@pytest.fixture(scope="module")
def impatient(bed: Bed) -> str:
    """The pipeline's machine with a time-out of its own that is soon over."""
    text = bed.definition.replace('"TimeoutSeconds": 14400', f'"TimeoutSeconds": {IMPATIENT}')
    assert text != bed.definition
    return bed.machine("impatient-tiny", text)


@pytest.mark.parametrize("step", ["extract", "prepare", "stage_training", "evaluate", "promote", "give_back_lease"])
def test_a_run_whose_machine_times_out_at_a_state_is_resumed_and_nothing_differs(
    step: str, bed: Bed, impatient: str, undisturbed: Undisturbed, deaths: Counter[str]
) -> None:
    story = bed.story(undisturbed.before)
    bed.commander.at_call[step] = lambda: time.sleep(IMPATIENT + 0.5)
    assert bed.run(story, RUN, impatient)["status"] == "TIMED_OUT"
    resume(bed, story, undisturbed)
    deaths["machine timed out at a state"] += 1


def test_a_run_that_is_aborted_while_it_trains_ends_its_job_and_is_resumed(
    bed: Bed, undisturbed: Undisturbed, deaths: Counter[str]
) -> None:
    story = bed.story(undisturbed.before)
    bed.train(does="sleep")
    execution = bed.start(RUN)
    until(lambda: "InProgress" in bed.jobs(run_name(SECOND)).values())
    stop(bed, execution)
    assert bed.ended(story, execution)["status"] == "ABORTED"
    until(lambda: "Stopped" in bed.jobs(run_name(SECOND)).values())
    bed.train()
    resume(bed, story, undisturbed)
    deaths["run aborted while training"] += 1


def test_a_day_read_twice_lands_once(bed: Bed, undisturbed: Undisturbed) -> None:
    """What a comparison with another bucket cannot see: that both hold a row twice."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    story = bed.story(undisturbed.before)
    bed.commander.deaths["extract"] = Death(2, "after", times=2)
    succeeded(bed.run(story, RUN))
    landed: list[Any] = []
    for row in story.store.list("tiny/landing/inputs/dt="):
        stored = story.store.get(row.key)
        assert stored
        landed += pq.read_table(pa.BufferReader(stored.body))["ts"].to_pylist()
    assert [iso(instant) for instant in landed] == [
        iso(parsed) for parsed in sorted(instants(bed.rest.tables["inputs"], "ts"))
    ]


def instants(table: list[dict[str, Any]], key: str) -> Iterator[Any]:
    from datetime import datetime

    return (datetime.fromisoformat(row[key]) for row in table)
