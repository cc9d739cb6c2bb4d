"""The simulator: finds nothing in the product, finds every known bug, and tells the same story twice."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.emulated import CHECKOUT
from tests.faults.simulator import bugs, interleaving, machine, mishaps, signed
from tests.faults.simulator.__main__ import simulated
from tests.faults.simulator.interleaving import Outcome
from tests.faults.simulator.minimise import minimise
from tests.faults.simulator.parts import DECIDES
from tests.faults.simulator.scene import NOW

CLEAN, FOUND = 0, 1
EXPLORED = 1000
"""In this test; `make faults` explores as many as one likes."""
ENOUGH = 2000
"""Interleavings within which a known bug must be found."""
ENDS = ("pending_approval", "approval_expired", "rejected", "promoted", "kept_champion", "in_service", "not_approved")
PLANTED = sorted(set(bugs.BUGS) - {"no bug"})


@pytest.fixture(autouse=True, scope="module")
def world() -> Iterator[None]:
    with simulated():
        yield


def found_with(bug: str) -> Outcome | None:
    with bugs.BUGS[bug]():
        return next((played for seed in range(ENOUGH) if (played := interleaving.explore(seed)).violation), None)


@pytest.fixture(scope="module")
def explored(world: None) -> list[Outcome]:
    return [interleaving.explore(seed) for seed in range(EXPLORED)]


def test_no_interleaving_breaks_a_rule(explored: list[Outcome]) -> None:
    assert [(outcome.seed, outcome.violation) for outcome in explored if outcome.violation] == []


@pytest.mark.parametrize("bug", PLANTED)
def test_a_known_bug_is_found(bug: str) -> None:
    assert found_with(bug), f"{ENOUGH} interleavings do not show it"


def test_a_seed_tells_the_same_story_again_and_its_decisions_do_so_alone() -> None:
    first, again = interleaving.explore(7), interleaving.explore(7)
    assert first.decisions == again.decisions
    assert first.happened == again.happened == interleaving.replay(7, first.parts, first.decisions).happened


def test_a_finding_becomes_a_shorter_schedule_that_breaks_the_same_rule() -> None:
    bug = "the watermark before the data"
    found = found_with(bug)
    assert found
    assert found.violation
    with bugs.BUGS[bug]():
        shortest = minimise(found)
        again = interleaving.replay(shortest.seed, shortest.parts, shortest.decisions)
    assert shortest.violation
    assert again.violation
    assert found.violation.rule == shortest.violation.rule == again.violation.rule
    assert len(shortest.decisions) <= len(found.decisions)
    assert len(shortest.parts) <= len(found.parts)


def test_everything_that_may_befall_a_request_does_befall_some(explored: list[Outcome]) -> None:
    happened = {what for outcome in explored for what in outcome.happened}
    outside = {what for each in mishaps.OUTSIDE.values() for what in each}
    assert {*mishaps.BEFALLS, *mishaps.WORLD_EVENTS, *outside, mishaps.UNANSWERED} <= happened


def test_people_decide_in_every_way_and_all_that_can_come_of_it_does(explored: list[Outcome]) -> None:
    deciders = [part.about for outcome in explored for part in outcome.parts if part.kind == "decider"]
    decided = {(about["means"], about["decisions"]) for about in deciders}
    assert decided == {(means, decisions) for means in DECIDES["means"] for decisions in DECIDES["decisions"]}
    assert {f"ended {end}" for end in ENDS} <= {what for outcome in explored for what in outcome.happened}


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    called = [sys.executable, "-m", "tests.faults.simulator", *arguments]
    return subprocess.run(called, cwd=CHECKOUT, capture_output=True, text=True, check=False)


def test_the_command_prints_what_it_injected_and_ends_with_0() -> None:
    said = command("--interleavings", "60", "--seed", "1")
    assert (said.returncode, said.stderr) == (CLEAN, "")
    assert "No rule was broken" in said.stdout
    assert "answer lost" in said.stdout


def test_the_command_ends_with_1_and_tells_seed_rule_and_schedule_of_a_finding() -> None:
    bug = "takes a lost answer for a success"
    found = found_with(bug)
    assert found
    said = command("--interleavings", "1", "--seed", str(found.seed), "--bug", bug)
    assert said.returncode == FOUND
    assert "Broken: who says promoted has moved the pointer" in said.stdout
    assert f"--replay {found.seed} --bug '{bug}'" in said.stdout
    assert re.search(r"put model/latest\.json <- [A-Z0-9 ]+", said.stdout)


@pytest.mark.parametrize("arguments", [("--interleavings", "0"), ("--bug", "nonsense"), ("--replay", "x")], ids=str)
def test_bad_usage_is_said_in_one_line(arguments: tuple[str, ...]) -> None:
    said = command(*arguments)
    assert said.returncode == 2
    assert said.stderr.splitlines()[-1].startswith("python -m tests.faults.simulator: error: ")


class Recorded:
    """An execution that is asked only for its name, and where it is `signed`."""

    arn = "arn"

    def __init__(self, given: dict[str, Any] | None = None, *, signed: bool = False) -> None:
        self.started, self.releasing, self.given, self.signed = NOW, False, given or {}, signed

    def create_job(self, name: str, request: Any) -> None:
        return None


EVIDENCE = dict.fromkeys(("sha256", "champion_etag", "train_uri", "evaluation_uri", "card_uri", "reason"), "")
STAGED = {"status": "staged", "endpoint": "e", "config": "c", "previous": "p", "candidate": "e-candidate"}
ANSWERS: dict[str, dict[str, Any]] = {
    "claim_run": {"run_ts": "r", "status": "claimed", "skip_data_prep": False, "since_ts": None, "limit": 0},
    "take_lease": {"status": "taken", "token": 1},
    "extract": {"done": True, "parts": []},
    "check_sufficiency": {"status": "sufficient"},
    "prepare": {"status": "prepared", "train_uri": "", "holdout_uri": "", "manifest_uri": ""},
    "stage_training": {"status": "done", "job_name": "j", "request": {}},
    "confirm_training": {"status": "completed", "bundle_uri": "", "job_name": "j"},
    "evaluate": EVIDENCE | {"verdict": "promote", "champion_run_ts": None},
    "promote": {"status": "promoted"},
    "register": {"status": "pending_approval"},
    "give_back_lease": {},
    "ask_approval": {"decision": "approved"},
    "close_approval": {"decision": "approved"},
    "stage_endpoint": STAGED,
    "move_endpoint": {"status": "in_service", "asked": True},
    "verify_endpoint": {},
    "tidy_endpoint": {},
}
ANSWERS["claim_run"] |= {"scheduled": False, "attempt": 1, "month": None, "sample": 0}
PACKAGE = dict.fromkeys(
    ("pipeline", "run_ts", "package_arn", "bundle_uri", "holdout_uri", "manifest_uri", "job_name"), ""
)
HELD = dict.fromkeys(("pipeline", "run_ts", "execution", "token"), "")
Called = dict[str, set[str]]
CALLED = re.compile(r"\$\{(\w+?)(?:Function|Machine)Arn\}")
PLAYED_AS_ONE = {"Release", "ExtractParts"}
"""Nested machines that the simulator has as part of what nests them, or not at all."""


def played(definition: Any, execution: Recorded) -> tuple[Called, Any]:
    """What a simulated machine calls, with the fields of its events, and its outcome where all goes well."""
    steps, called, answer = definition(execution), Called(), None
    while True:
        try:
            request = steps.send(answer)
        except StopIteration as ended:
            return called, ended.value
        if isinstance(request, machine.Nested):
            called[request.definition.__name__] = set(request.given)
            answer = "in_service" if request.definition is signed.endpoint else "promoted"
        else:
            called[request.step], answer = set(request.event), ANSWERS[request.step]


def test_the_simulated_machine_calls_what_the_definitions_call_with_the_same_events() -> None:
    called, outcome = played(machine.pipeline, Recorded())
    assert outcome == "promoted"
    assert called == defined_events("pipeline", "release")


def test_where_a_person_signs_the_model_is_registered_with_what_it_would_be_promoted_with() -> None:
    called, outcome = played(machine.pipeline, Recorded(signed=True))
    assert outcome == "pending_approval"
    assert called["register"] == defined_events("release")["promote"]


def time_is_up(execution: Recorded) -> machine.Machine:
    """An approval that nobody answers in time, but for a decision that comes just before it is closed."""
    steps = signed.approval(execution)
    asked = next(steps)
    yield asked
    closing = steps.throw(machine.StepFailed("States.Timeout", ""))
    answer = yield closing
    yield steps.send(answer)


@pytest.mark.parametrize(
    ("definition", "given", "name"),
    [
        (time_is_up, PACKAGE, "approval"),
        (signed.deployment, PACKAGE, "deployment"),
        (signed.endpoint, HELD, "endpoint"),
    ],
    ids=["approval", "deployment", "endpoint"],
)
def test_what_a_person_signs_goes_the_way_of_its_definition(definition: Any, given: dict[str, Any], name: str) -> None:
    called, _ = played(definition, Recorded(given))
    assert called == defined_events(name)


def defined_events(*machines: str) -> Called:
    """What each function, and nested machine, is called with by the definitions."""
    events: Called = {}
    for name in machines:
        definition = yaml.safe_load((CHECKOUT / f"statemachines/{name}.asl.yaml").read_text())
        for state in definition["States"].values():
            called = CALLED.search(json.dumps([state.get("Resource"), state.get("Arguments")]))
            if called and called[1] not in PLAYED_AS_ONE:
                arguments = state["Arguments"]
                step = re.sub("(?<!^)([A-Z])", r"_\1", called[1]).lower()
                told = arguments.get("Payload") or arguments.get("Input") or arguments
                events[step] = set(told) if isinstance(told, dict) else set(PACKAGE)
    return events
