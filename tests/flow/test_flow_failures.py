"""Errors in the deployed machines: what is retried, what is not, and the one red exit that gives the lease back."""

from typing import Any

import pytest

from tests.flow.script import Answer, Part
from tests.flow.stage import Stage

IN_ORDER = (
    *("claim_run", "take_lease", "extract", "check_sufficiency", "prepare", "stage_training"),
    *("confirm_training", "evaluate", "promote", "give_back_lease"),
)
# One error of each step that no retry can mend.
BROKEN = {
    "claim_run": "UnknownRun",
    "take_lease": "ForeignDocument",
    "extract": "SourceRefused",
    "check_sufficiency": "ContractError",
    "prepare": "TooManyBadRows",
    "stage_training": "BadConfiguration",
    "confirm_training": "TrainingTimedOut",
    "evaluate": "BadBundle",
    "promote": "LeaseLost",
}


def error(name: str, saying: str = "a sentence with its remedy") -> Answer:
    return {"raises": name, "saying": saying}


def run(stage: Stage, **answers: list[Answer]) -> tuple[Part, dict[str, Any], str]:
    """The script played, the ended execution and the last state of a run."""
    machine, part = stage.pipeline(**answers)
    execution = stage.start(machine, {})
    ended = stage.end(execution)
    return part, ended, stage.last_state(execution)


@pytest.mark.parametrize("step", BROKEN)
def test_a_broken_contract_is_not_retried_gives_the_lease_back_and_fails_by_its_name(step: str, stage: Stage) -> None:
    part, ended, last = run(stage, **{step: [error(BROKEN[step])]})
    before = list(IN_ORDER[: IN_ORDER.index(step) + 1])
    assert part.steps == (before if step == "claim_run" else [*before, "give_back_lease"])
    assert [event["outcome"] for event in part.events("give_back_lease")] == ["failed"] * (step != "claim_run")
    assert (ended["status"], ended["error"], ended["cause"]) == ("FAILED", BROKEN[step], "a sentence with its remedy")
    assert last == "Failed"


@pytest.mark.parametrize(
    "name", ["Unavailable", "Ambiguous", "Sandbox.Timedout", "Lambda.Unknown", "Runtime.ExitError"]
)
def test_every_step_is_tried_again_when_something_is_unavailable_or_it_was_killed(name: str, stage: Stage) -> None:
    part, ended, last = run(stage, **{step: [error(name), {}] for step in IN_ORDER})
    assert part.steps == [step for step in IN_ORDER for _ in range(2)], ended
    assert all(first == second for step in IN_ORDER for first, second in [part.events(step)])
    assert last == "Promoted"


def test_what_stays_unavailable_fails_the_run_after_five_retries(stage: Stage) -> None:
    part, ended, _ = run(stage, extract=[error("Unavailable", "The source does not answer; is it paused?")])
    assert part.steps == ["claim_run", "take_lease", *["extract"] * 6, "give_back_lease"]
    assert (ended["error"], ended["cause"]) == ("Unavailable", "The source does not answer; is it paused?")


def test_a_lease_that_cannot_be_given_back_fails_a_run_that_went_well(stage: Stage) -> None:
    part, ended, last = run(stage, give_back_lease=[error("ForeignDocument", "lease.json is not ours")])
    assert part.steps == list(IN_ORDER)
    assert (ended["error"], ended["cause"], last) == ("ForeignDocument", "lease.json is not ours", "Failed")


def test_the_first_error_stands_when_the_lease_cannot_be_given_back_either(stage: Stage) -> None:
    answers = {"prepare": [error("BadInput", "the first error")], "give_back_lease": [error("ForeignDocument")]}
    part, ended, last = run(stage, **answers)
    assert part.steps[-2:] == ["prepare", "give_back_lease"]
    assert (ended["error"], ended["cause"], last) == ("BadInput", "the first error", "Failed")


def test_a_cause_that_looks_like_a_document_is_told_as_it_stands(stage: Stage) -> None:
    part, ended, _ = run(stage, prepare=[error("BadInput", '{"limit": 1')])
    assert part.events("give_back_lease")[0]["outcome"] == "failed"
    assert (ended["error"], ended["cause"]) == ("BadInput", '{"limit": 1')
