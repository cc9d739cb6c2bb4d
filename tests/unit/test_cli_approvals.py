"""`approve`, `reject` and a run that waits for them, with a registry and executions that are the test's."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from ratchet.claim import Claim
from ratchet.instants import iso
from ratchet.registry.asking import EXPIRED_WHY
from ratchet.registry.package import APPROVED, REJECTED
from ratchet.registry.register import approval_input, execution_name
from ratchet.store import encode

from tests.fake_sagemaker import Packages
from tests.signed import EXECUTION, KEYS, RUN, World
from tests.unit.test_cli_commands import OUTPUTS, FakeTarget, Lambda, ratchet

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:ratchet-approval"
PIPELINE_MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:ratchet-adclick"
NOW = datetime(2026, 11, 21, tzinfo=UTC)


class Registry:
    """SageMaker's calls on the packages of a fake registry."""

    def __init__(self, packages: Packages) -> None:
        self.packages = packages

    def describe_model_package(self, ModelPackageName: str) -> dict[str, Any]:
        found = self.packages.find(ModelPackageName)
        if found is None:
            told = {"Code": "ValidationException", "Message": f"ModelPackage {ModelPackageName} does not exist."}
            raise ClientError({"Error": told}, "DescribeModelPackage")
        return {
            "ModelApprovalStatus": found.status,
            "CustomerMetadataProperties": found.facts,
            "InferenceSpecification": {"Containers": [{"ModelDataUrl": found.model_uri}]},
            "ApprovalDescription": found.why,
        }

    def update_model_package(self, ModelPackageArn: str, ModelApprovalStatus: str, ApprovalDescription: str) -> None:
        self.packages.decide(ModelPackageArn, ModelApprovalStatus, ApprovalDescription)


class Executions:
    """Executions by their ARNs, each a description; those that are started end as `then` says."""

    def __init__(self, **then: Any) -> None:
        self.then = {"status": "SUCCEEDED", "output": '{"outcome": "promoted"}', **then}
        self.there: dict[str, dict[str, Any]] = {}
        self.started: list[dict[str, Any]] = []
        self.interrupt_after: int | None = None

    def start_execution(self, stateMachineArn: str, name: str, input: str) -> dict[str, str]:
        arn = f"{stateMachineArn.replace(':stateMachine:', ':execution:')}:{name}"
        self.started.append({"name": name, "input": json.loads(input)})
        self.there[arn] = self.then
        return {"executionArn": arn}

    def describe_execution(self, executionArn: str) -> dict[str, Any]:
        if executionArn not in self.there:
            raise ClientError({"Error": {"Code": "ExecutionDoesNotExist", "Message": ""}}, "DescribeExecution")
        if self.interrupt_after is not None:
            self.interrupt_after -= 1
            if self.interrupt_after < 0:
                raise KeyboardInterrupt
        return {"startDate": NOW, "stopDate": NOW + timedelta(seconds=61), **self.there[executionArn]}

    def get_paginator(self, _: str) -> "Executions":
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return []


class Signing:
    """A run that waits for a person, and a target on which somebody decides about it."""

    def __init__(self, **then: Any) -> None:
        self.world, self.states = World(), Executions(**then)
        self.registered = self.world.register()
        self.arn = self.registered.package_arn
        self.world.ask(self.arn)
        self.decide = Lambda({"status": "repeated"})

    def waits(self, attempt: int = 1, **described: Any) -> None:
        """An execution of that attempt is there; unless told otherwise it has ended as told."""
        self.states.there[self.execution(attempt)] = {**self.states.then, **described}

    def execution(self, attempt: int = 1) -> str:
        return f"{MACHINE.replace(':stateMachine:', ':execution:')}:{execution_name(self.registered, attempt)}"

    def call(self, *arguments: str) -> Any:
        clients = {"sagemaker": Registry(self.world.packages), "stepfunctions": self.states, "lambda": self.decide}
        target = FakeTarget(self.world.bucket, **clients)
        told = {"ApprovalMachineArn": MACHINE, "DecideFunction": "decide", "ModelPackageGroup": "ratchet-models"}
        told |= {"AdclickMachineArn": PIPELINE_MACHINE}
        target.__dict__["outputs"] = {**OUTPUTS, **told}
        return ratchet(target, *arguments)

    @property
    def decided(self) -> list[str]:
        """The decisions that were made, in order."""
        return [status for _, status, _ in self.world.packages.decided]


@pytest.fixture
def signing() -> Signing:
    made = Signing()
    made.waits()
    return made


def test_an_approval_names_who_and_why_and_is_followed_to_its_end(signing: Signing) -> None:
    result = signing.call("approve", "adclick", RUN, "--why", "looks right", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"execution": signing.execution(), "outcome": "promoted"}
    ((arn, status, why),) = signing.world.packages.decided
    assert (arn, status) == (signing.arn, APPROVED)
    assert why.startswith("looks right (by ")
    assert not signing.states.started


@pytest.mark.parametrize("outcome", ["promoted", "kept_champion", "rejected"])
def test_what_came_of_it_is_told_in_words(outcome: str) -> None:
    signing = Signing(output=json.dumps({"outcome": outcome, "reason": "Because."}))
    signing.waits()
    result = signing.call("approve", "adclick", RUN)
    assert (result.exit_code, outcome.replace("_", " ").capitalize() in result.stdout) == (0, True)
    assert "Because." in result.stdout


def test_a_deployment_that_failed_tells_the_innermost_cause() -> None:
    cause = json.dumps({"errorMessage": "The candidate does not answer."})
    signing = Signing(status="FAILED", error="EndpointFailed", cause=cause)
    signing.waits(status="RUNNING")
    signing.states.there[signing.execution()] = signing.states.then
    result = signing.call("approve", "adclick", RUN, "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["outcome"], told["error"]) == (1, "failed", "EndpointFailed")
    assert told["reason"] == "The candidate does not answer."


def test_detached_it_returns_at_once(signing: Signing) -> None:
    signing.waits(status="RUNNING")
    result = signing.call("approve", "adclick", RUN, "--detach", "--json")
    told = {"pipeline": "adclick", "run_ts": RUN, "status": APPROVED, "execution": signing.execution()}
    assert (result.exit_code, json.loads(result.stdout)) == (0, told)
    assert signing.decided == [APPROVED]


def test_ctrl_c_ends_the_following_alone(signing: Signing) -> None:
    signing.waits(status="RUNNING")
    # One look finds the execution; the one that follows it is interrupted.
    signing.states.interrupt_after = 1
    result = signing.call("approve", "adclick", RUN)
    assert result.exit_code == 130
    assert "it goes on" in result.stderr
    assert signing.decided == [APPROVED]


def test_where_nobody_waits_an_execution_is_begun_first() -> None:
    signing = Signing()
    assert signing.call("approve", "adclick", RUN).exit_code == 0
    expected = {"name": execution_name(signing.registered), "input": approval_input(signing.registered)}
    assert signing.states.started == [expected]


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED"])
def test_what_failed_is_taken_up_by_a_further_execution(signing: Signing, status: str) -> None:
    signing.waits(1, status=status, error="EndpointFailed")
    signing.waits(2, status=status, error="EndpointFailed")
    signing.world.approve(signing.arn)
    result = signing.call("approve", "adclick", RUN, "--json")
    assert json.loads(result.stdout)["execution"] == signing.execution(3)
    assert [started["name"] for started in signing.states.started] == [execution_name(signing.registered, 3)]


def test_one_that_was_approved_before_is_passed_on_and_not_decided_again(signing: Signing) -> None:
    signing.world.approve(signing.arn)
    assert signing.call("approve", "adclick", RUN).exit_code == 0
    assert signing.decide.asked == [("decide", {"detail": {"ModelPackageArn": signing.arn}})]
    assert signing.decided == []


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(lambda signing: signing.world.reject(signing.arn), id="a person rejected it"),
        pytest.param(lambda signing: signing.world.close(signing.arn), id="nobody decided in time"),
    ],
)
def test_what_was_rejected_stays_so(signing: Signing, before: Callable[[Signing], Any]) -> None:
    before(signing)
    count = len(signing.decided)
    result = signing.call("approve", "adclick", RUN)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "run the pipeline again" in result.stderr
    assert signing.world.package(signing.arn).status == REJECTED
    assert (len(signing.decided), signing.states.started) == (count, [])


def test_its_time_over_the_registry_says_why(signing: Signing) -> None:
    signing.world.close(signing.arn)
    assert signing.world.package(signing.arn).why == EXPIRED_WHY
    assert signing.call("reject", "adclick", RUN, "--why", "late").exit_code == 0
    assert signing.world.package(signing.arn).why == EXPIRED_WHY


@pytest.mark.parametrize("command", [["approve"], ["reject", "--why", "no"]], ids=lambda command: command[0])
@pytest.mark.parametrize(
    ("meddle", "said"),
    [
        (lambda signing: signing.world.exchanged(signing.arn, {"run_ts": "2026-01-01T00-00-00Z"}), "is gone"),
        (lambda signing: signing.world.exchanged(signing.arn, {"sha256": "f" * 64}), "is gone"),
        (lambda signing: signing.world.packages.packages.clear(), "is gone"),
        (lambda signing: signing.world.bucket.objects.clear(), "has no package"),
    ],
    ids=["another run's", "another bundle's", "deleted", "never registered"],
)
def test_a_package_that_is_not_the_runs_is_not_decided(
    signing: Signing, command: list[str], meddle: Callable[[Signing], Any], said: str
) -> None:
    meddle(signing)
    result = signing.call(command[0], "adclick", RUN, *command[1:])
    assert (result.exit_code, signing.decided, signing.states.started) == (2, [], [])
    assert said in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["approve", "returns", RUN], "Nobody signs for returns"),
        (["reject", "rul", RUN, "--why", "no"], "Nobody signs for rul"),
        (["approve", "nope", RUN], "'nope' is not"),
        (["approve", "adclick"], "Missing argument 'RUN'"),
        (["reject", "adclick", RUN], "--why"),
        (["reject", "adclick", RUN, "--why", "  "], "A rejection needs a reason"),
    ],
)
def test_bad_usage_decides_nothing(signing: Signing, arguments: list[str], said: str) -> None:
    result = signing.call(*arguments)
    assert (result.exit_code, signing.decided) == (2, [])
    assert said in result.stderr


def test_a_rejection_names_who_and_why_once(signing: Signing) -> None:
    for _ in range(2):
        result = signing.call("reject", "adclick", RUN, "--why", "too good to be true", "--json")
        told = {"pipeline": "adclick", "run_ts": RUN, "status": REJECTED, "package_arn": signing.arn}
        assert (result.exit_code, json.loads(result.stdout)) == (0, told)
    ((_, _, why),) = signing.world.packages.decided
    assert why.startswith("too good to be true (by ")


@pytest.mark.parametrize("heard", [False, True])
def test_an_approval_can_be_taken_back_until_its_model_is_in_service(signing: Signing, heard: bool) -> None:
    signing.world.approve(signing.arn)
    if heard:
        signing.world.hear(signing.arn)
    assert signing.call("reject", "adclick", RUN, "--why", "wait").exit_code == 0
    assert signing.world.package(signing.arn).status == REJECTED


def test_what_is_in_service_is_rolled_back_and_not_rejected(signing: Signing) -> None:
    signing.world.approve(signing.arn)
    signing.world.promoted_before(in_service=RUN)
    result = signing.call("reject", "adclick", RUN, "--why", "wait")
    assert (result.exit_code, signing.world.package(signing.arn).status) == (2, APPROVED)
    assert "ratchet rollback adclick" in result.stderr


PENDING = {"outcome": "pending_approval", "run_ts": RUN, "verdict": "promote", "card_uri": "s3://bucket/card"}


def run_of(signing: Signing, **pending: Any) -> None:
    """The pipeline's own execution has ended and handed over to the one that waits."""
    output = {**PENDING, "approval": execution_name(signing.registered), **pending}
    signing.states.then = {"status": "SUCCEEDED", "output": json.dumps(output)}


@pytest.mark.parametrize(("outcome", "code"), [("promoted", 0), ("rejected", 0), ("approval_expired", 0)])
def test_a_run_that_waits_is_followed_to_the_decision(outcome: str, code: int) -> None:
    signing = Signing(output=json.dumps({"outcome": outcome, "run_ts": RUN, "reason": "Because."}))
    signing.waits()
    run_of(signing)
    result = signing.call("run", "adclick", "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["outcome"], told["reason"]) == (code, outcome, "Because.")
    assert told["card_uri"] == "s3://bucket/card"
    assert f"ratchet approve adclick {RUN}" in " ".join(result.stderr.split())


def test_a_run_whose_deployment_failed_has_failed() -> None:
    signing = Signing(status="FAILED", error="EndpointFailed", cause="No answer.")
    signing.waits()
    run_of(signing)
    result = signing.call("run", "adclick", "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["outcome"], told["error"]) == (1, "failed", "EndpointFailed")


def test_ctrl_c_while_a_person_is_waited_for_says_that_it_waits() -> None:
    signing = Signing()
    signing.waits(status="RUNNING")
    run_of(signing)
    # The look at the pipeline's own execution passes; the one at the execution that waits is interrupted.
    signing.states.interrupt_after = 1
    result = signing.call("run", "adclick", "--json")
    assert (result.exit_code, json.loads(result.stdout)["outcome"]) == (0, "pending_approval")
    assert "the model goes on waiting" in result.stderr


def test_a_detached_run_does_not_wait_for_anybody() -> None:
    signing = Signing()
    run_of(signing)
    result = signing.call("run", "adclick", "--detach", "--json")
    assert (result.exit_code, set(json.loads(result.stdout))) == (0, {"execution"})
    assert "Waiting for a person" not in result.stderr


def test_status_tells_how_the_decision_about_the_last_run_stands(signing: Signing) -> None:
    stored = Claim(RUN, EXECUTION, 1, "ended", "pending_approval", iso(NOW), iso(NOW), False)
    signing.world.bucket.put(KEYS.claim(RUN), encode(asdict(stored)))
    waiting = " ".join(signing.call("status").stdout.split())
    signing.world.reject(signing.arn)
    signing.world.hear(signing.arn)
    (after,) = (row for row in json.loads(signing.call("status", "--json").stdout) if row["pipeline"] == "adclick")
    assert f"approval {RUN} waiting until 2026-11-21T05:30:00Z" in waiting
    assert (after["approval"]["state"], after["approval"]["why"]) == ("rejected", "no")


def test_status_names_a_model_that_waits_though_runs_have_come_after_it(signing: Signing) -> None:
    later = iso(NOW + timedelta(days=9)).replace(":", "-")
    stored = Claim(later, EXECUTION, 1, "ended", "kept_champion", iso(NOW), iso(NOW), False)
    signing.world.bucket.put(KEYS.claim(later), encode(asdict(stored)))

    def told() -> dict[str, Any]:
        (row,) = (row for row in json.loads(signing.call("status", "--json").stdout) if row["pipeline"] == "adclick")
        assert row["last_run"]["run_ts"] == later
        return dict(row)

    waiting = told()["approval"]
    assert (waiting["run_ts"], waiting["state"]) == (RUN, "waiting")
    signing.world.reject(signing.arn)
    signing.world.hear(signing.arn)
    assert told()["approval"] is None
