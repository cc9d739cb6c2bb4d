"""The simulator: finds nothing in the product, finds every known bug, and tells the same story twice."""

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.emulated import CHECKOUT
from tests.faults.simulator import bugs, interleaving, machine
from tests.faults.simulator.__main__ import simulated
from tests.faults.simulator.interleaving import Outcome
from tests.faults.simulator.minimise import minimise
from tests.faults.simulator.scene import NOW

CLEAN, FOUND = 0, 1
EXPLORED = 1000
"""In this test; `make faults` explores as many as one likes."""
ENOUGH = 2000
"""Interleavings within which a known bug must be found."""
PLANTED = sorted(set(bugs.BUGS) - {"no bug"})


@pytest.fixture(autouse=True, scope="module")
def world() -> Iterator[None]:
    with simulated():
        yield


def found_with(bug: str) -> Outcome | None:
    with bugs.BUGS[bug]():
        return next((played for seed in range(ENOUGH) if (played := interleaving.explore(seed)).violation), None)


def test_no_interleaving_breaks_a_rule() -> None:
    broken = [(seed, played.violation) for seed in range(EXPLORED) if (played := interleaving.explore(seed)).violation]
    assert broken == []


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


def test_everything_that_may_befall_a_request_does_befall_some() -> None:
    happened: set[str] = set()
    for seed in range(400):
        happened |= set(interleaving.explore(seed).happened)
    assert set(interleaving.BEFALLS) | set(interleaving.WORLD_EVENTS) <= happened


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
    """An execution that is asked only for its name."""

    arn, given, needs_approval = "arn", {}, False

    def __init__(self) -> None:
        self.started, self.releasing = NOW, False

    def create_job(self, name: str, request: Any) -> None:
        return None


ANSWERS: dict[str, dict[str, Any]] = {
    "claim_run": {"run_ts": "r", "status": "claimed", "skip_data_prep": False, "since_ts": None, "limit": 0},
    "take_lease": {"status": "taken", "token": 1},
    "extract": {"done": True, "parts": []},
    "check_sufficiency": {"status": "sufficient"},
    "prepare": {"status": "prepared", "train_uri": "", "holdout_uri": "", "manifest_uri": ""},
    "stage_training": {"status": "done", "job_name": "j", "request": {}},
    "confirm_training": {"status": "completed", "bundle_uri": "", "job_name": "j"},
    "evaluate": dict.fromkeys(("sha256", "champion_etag", "train_uri", "evaluation_uri", "reason"), "")
    | {"verdict": "promote"},
    "promote": {"status": "promoted"},
    "give_back_lease": {},
}
ANSWERS["claim_run"] |= {"scheduled": False, "attempt": 1, "month": None, "sample": 0}


def test_the_simulated_machine_calls_what_the_definitions_call_with_the_same_events() -> None:
    steps, called, answer = machine.pipeline(Recorded()), {}, None
    outcome = None
    while outcome is None:
        try:
            request = steps.send(answer)
        except StopIteration as ended:
            outcome = ended.value
        else:
            assert isinstance(request, machine.Task)
            called[request.step], answer = set(request.event), ANSWERS[request.step]
    assert outcome == "promoted"
    assert called == defined_events()


def defined_events() -> dict[str, set[str]]:
    """What each function is called with by the definitions, in their order."""
    events: dict[str, set[str]] = {}
    for name in ("pipeline", "release"):
        definition = yaml.safe_load((CHECKOUT / f"statemachines/{name}.asl.yaml").read_text())
        for state in definition["States"].values():
            if str(state.get("Resource", "")).endswith("FunctionArn}"):
                step = state["Resource"].removeprefix("${").removesuffix("FunctionArn}")
                snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in step).lstrip("_")
                events[snake] = set(state["Arguments"])
    return events
