"""The deployed approval machine: it waits by its task's token for one decision, and what is approved is deployed."""

import json
from hashlib import sha256
from typing import Any

import pytest

from tests.flow.play import Ended, ended
from tests.flow.script import DATA, EVIDENCE, PACKAGE, RUN, URI, Answer, Part
from tests.flow.stage import Stage, until

GIVEN = {
    **{"run_ts": RUN, "package_arn": PACKAGE, "bundle_uri": f"{URI}/model.tar.gz", "job_name": "mlops-a1r0"},
    **{"holdout_uri": DATA["holdout_uri"], "manifest_uri": f"{URI}/manifest.json"},
}
APPROVED, REJECTED = ({"decision": each, "why": "looks right (somebody)"} for each in ("approved", "rejected"))
SAYING = "a sentence with its remedy"
SERVED = ["stage_endpoint", "move_endpoint", "verify_endpoint", "move_endpoint", "verify_endpoint", "tidy_endpoint"]
DEPLOYED = ["take_lease", "evaluate", *SERVED, "promote", "give_back_lease"]
TOLD = {"run_ts": RUN, "package_arn": PACKAGE}


@pytest.fixture(scope="module")
def patient(stage: Stage) -> str:
    """A machine that waits long enough for every answer here."""
    return stage.approval("patient", seconds=600)


@pytest.fixture(scope="module")
def impatient(stage: Stage) -> str:
    """One whose time is over before anybody answers."""
    return stage.approval("impatient", seconds=1)


def fails(name: str) -> Answer:
    return {"raises": name, "saying": SAYING}


def hear(stage: Stage, token: str, decision: dict[str, str]) -> None:
    """Whoever waits by that token hears of the decision."""
    stage.machines.send_task_success(taskToken=token, output=json.dumps(decision))


def started(stage: Stage, machine: str, **answers: list[Answer]) -> tuple[Part, str]:
    part = stage.part(**answers)
    return part, stage.start(machine, {"pipeline": part.pipeline, **GIVEN})


def told(part: Part, found: Ended) -> dict[str, Any]:
    """The output, less what every one says."""
    output = dict(found.output or {})
    assert {name: output.pop(name) for name in ("pipeline", *TOLD)} == {"pipeline": part.pipeline, **TOLD}, found
    return output


def decided(stage: Stage, machine: str, decision: dict[str, str], **answers: list[Answer]) -> tuple[Part, Ended]:
    """An execution to its end, whose first question is answered so."""
    part, execution = started(stage, machine, **answers)
    (asked,) = until(lambda: part.events("ask_approval"))
    hear(stage, asked["token"], decision)
    return part, ended(stage, execution)


def test_what_a_person_approves_is_deployed_and_promoted(stage: Stage, patient: str) -> None:
    part, found = decided(stage, patient, APPROVED)
    assert (part.steps, found.last) == (["ask_approval", *DEPLOYED], "Promoted")
    assert told(part, found) == {"outcome": "promoted", "verdict": "promote", "reason": "12 % better", **EVIDENCE}


def test_it_waits_without_a_lease_for_as_long_as_nobody_decides(stage: Stage, patient: str) -> None:
    part, execution = started(stage, patient)
    until(lambda: part.events("ask_approval"))
    assert stage.described(execution)["status"] == "RUNNING"
    (asked,) = part.events("ask_approval")
    token = asked.pop("token")
    assert asked == {"pipeline": part.pipeline, **TOLD, "seconds": 600}
    assert part.steps == ["ask_approval"]
    hear(stage, token, REJECTED)
    assert ended(stage, execution).last == "Rejected"


def test_the_deployment_gets_the_whole_run(stage: Stage, patient: str) -> None:
    part, _ = decided(stage, patient, APPROVED)
    (judged,) = part.events("evaluate")
    names = ("run_ts", "bundle_uri", "holdout_uri", "manifest_uri", "job_name")
    assert {name: judged[name] for name in names} == {name: GIVEN[name] for name in names}


def test_what_a_person_rejects_is_not_deployed_and_says_why(stage: Stage, patient: str) -> None:
    part, found = decided(stage, patient, REJECTED)
    assert (part.steps, found.last) == (["ask_approval"], "Rejected")
    assert told(part, found) == {"outcome": "rejected", "reason": REJECTED["why"]}


def test_a_decision_that_came_before_anybody_waited_is_heard(stage: Stage, patient: str) -> None:
    asks = {"status": "rejected", "first": lambda event: hear(stage, event["token"], REJECTED)}
    part, execution = started(stage, patient, ask_approval=[asks])
    assert (ended(stage, execution).last, part.steps) == ("Rejected", ["ask_approval"])


def test_a_decision_counts_once(stage: Stage, patient: str) -> None:
    part, execution = started(stage, patient)
    (asked,) = until(lambda: part.events("ask_approval"))
    hear(stage, asked["token"], REJECTED)
    assert ended(stage, execution).last == "Rejected"
    with pytest.raises(stage.machines.exceptions.ClientError, match=r"TaskTimedOut|TaskDoesNotExist|InvalidToken"):
        hear(stage, asked["token"], APPROVED)
    assert part.steps == ["ask_approval"]


def test_what_nobody_decides_in_time_has_expired(stage: Stage, impatient: str) -> None:
    part, execution = started(stage, impatient)
    found = ended(stage, execution)
    assert (part.steps, found.last) == (["ask_approval", "close_approval"], "Approval expired")
    assert part.events("close_approval") == [{"pipeline": part.pipeline, **TOLD}]
    assert told(part, found) == {"outcome": "approval_expired", "reason": "Nobody decided in time."}


@pytest.mark.parametrize(
    ("decision", "last", "steps"), [(APPROVED, "Promoted", DEPLOYED), (REJECTED, "Rejected", [])], ids=["yes", "no"]
)
def test_a_decision_just_before_the_time_was_over_stands(
    decision: dict[str, str], last: str, steps: list[str], stage: Stage, impatient: str
) -> None:
    part, execution = started(stage, impatient, close_approval=[decision])
    assert (ended(stage, execution).last, part.steps) == (last, ["ask_approval", "close_approval", *steps])


NOT_DEPLOYED: dict[str, tuple[dict[str, list[Answer]], str, dict[str, Any]]] = {
    "what was rejected since is not deployed": (
        {"stage_endpoint": [{"status": "not_approved", "reason": "its package is Rejected"}]},
        *("Rejected", {"outcome": "rejected", "reason": "its package is Rejected"}),
    ),
    "what is no better than a newer champion is not deployed": (
        {"evaluate": [{"verdict": "keep", "reason": "3 % worse"}]},
        *("Kept champion", {"outcome": "kept_champion", "verdict": "keep", "reason": "3 % worse", **EVIDENCE}),
    ),
}


@pytest.mark.parametrize(("answers", "last", "output"), NOT_DEPLOYED.values(), ids=NOT_DEPLOYED)
def test_an_approval_alone_deploys_nothing(
    answers: dict[str, list[Answer]], last: str, output: dict[str, Any], stage: Stage, patient: str
) -> None:
    part, found = decided(stage, patient, APPROVED, **answers)
    assert (found.last, told(part, found)) == (last, output)
    assert "promote" not in part.steps
    assert part.steps[-1] == "give_back_lease"


def test_the_deployment_is_named_after_the_approval_so_that_a_lost_answer_starts_none_twice(
    stage: Stage, patient: str
) -> None:
    part, execution = started(stage, patient)
    (asked,) = until(lambda: part.events("ask_approval"))
    hear(stage, asked["token"], APPROVED)
    assert ended(stage, execution).last == "Promoted"
    (taken,) = part.events("take_lease")
    name = f"{part.pipeline}-{RUN}-{sha256(execution.encode()).hexdigest()[:8]}"
    assert taken["execution"].rpartition(":")[2] == name


def test_a_question_that_cannot_be_asked_fails_by_its_name(stage: Stage, patient: str) -> None:
    part, execution = started(stage, patient, ask_approval=[fails("NotRegistered")])
    assert ended(stage, execution) == Ended("Failed", None, "NotRegistered", SAYING)
    assert part.steps == ["ask_approval"]


@pytest.mark.parametrize("name", ["Unavailable", "Runtime.ExitError"])
def test_a_question_is_asked_again_by_another_token_which_alone_is_heard(name: str, stage: Stage, patient: str) -> None:
    part, execution = started(stage, patient, ask_approval=[fails(name), {}])
    first, second = until(lambda: part.events("ask_approval"), lambda found: len(found) == 2)
    token = second.pop("token")
    assert first.pop("token") != token
    assert first == second
    hear(stage, token, REJECTED)
    assert ended(stage, execution).last == "Rejected"


def test_an_approval_that_cannot_be_closed_fails_by_its_name(stage: Stage, impatient: str) -> None:
    part, execution = started(stage, impatient, close_approval=[fails("ForeignDocument")])
    assert ended(stage, execution) == Ended("Failed", None, "ForeignDocument", SAYING)
    assert part.steps == ["ask_approval", "close_approval"]


def test_closing_is_tried_again_where_that_may_help(stage: Stage, impatient: str) -> None:
    part, execution = started(stage, impatient, close_approval=[fails("Unavailable"), {}])
    assert ended(stage, execution).last == "Approval expired"
    assert part.steps == ["ask_approval", "close_approval", "close_approval"]


def test_a_deployment_that_fails_fails_the_approval_by_its_own_error(stage: Stage, patient: str) -> None:
    _, found = decided(stage, patient, APPROVED, verify_endpoint=[fails("EndpointFailed")])
    assert found == Ended("Failed", None, "EndpointFailed", SAYING)


def test_an_outcome_stands_whoever_can_be_told_of_it(stage: Stage) -> None:
    deaf = stage.approval("deaf", seconds=600, topic=f"{stage.topic}-that-is-gone")
    part, found = decided(stage, deaf, REJECTED)
    output = told(part, found)
    assert (found.last, output["outcome"]) == ("Rejected", "rejected")
    assert output["untold"].startswith("SNS.")


def test_an_aborted_approval_stops_its_deployment(stage: Stage, patient: str) -> None:
    held = {"status": "held", "holder": "another", "holder_run": "2026-11-21T03-00-00Z"}
    part, execution = started(stage, patient, take_lease=[held])
    (asked,) = until(lambda: part.events("ask_approval"))
    hear(stage, asked["token"], APPROVED)
    (first, *_) = until(lambda: part.events("take_lease"))
    stage.machines.stop_execution(executionArn=execution, error="Tired", cause="enough")
    child = until(lambda: stage.described(first["execution"]), lambda found: found["status"] != "RUNNING")
    assert (stage.described(execution)["status"], child["status"]) == ("ABORTED", "ABORTED")
