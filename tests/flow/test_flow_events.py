"""What tells the world of a run: messages to the outcomes topic, and the rule that sees what no Catch does."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.application import RESOURCES
from tests.flow.script import EVIDENCE, RUN, Part
from tests.flow.stage import Stage, until
from tests.flow.test_flow_training import started

Told = Callable[[Callable[[dict[str, Any]], bool]], dict[str, Any]]


@pytest.fixture(scope="module")
def told(stage: Stage) -> Told:
    """The message of the outcomes topic for which a condition holds."""
    sqs = stage.emulator.client("sqs")
    queue = sqs.create_queue(QueueName="outcomes")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    stage.emulator.client("sns").subscribe(TopicArn=stage.topic, Protocol="sqs", Endpoint=arn)
    seen: list[dict[str, Any]] = []

    def first(wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        def look() -> Any:
            received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
            seen.extend(json.loads(message["Body"]) for message in received)
            return next(filter(wanted, seen), None)

        return dict(until(look))

    return first


def watched(stage: Stage, machine: str, part: Part) -> None:
    """Put the template's rule over a pipeline's ends, with both its targets."""
    rule = RESOURCES["returnsEnded"]["Properties"]
    detail = {**rule["EventPattern"]["detail"], "stateMachineArn": [machine]}
    events, name = stage.emulator.client("events"), f"{part.pipeline}-ended"
    events.put_rule(Name=name, EventPattern=json.dumps({**rule["EventPattern"], "detail": detail}))
    arns = {"FreeLease": stage.functions["FreeLeaseFunctionArn"], "Tell": stage.topic}
    targets = [{**target, "Arn": arns[target["Id"]]} for target in rule["Targets"]]
    plain = [{key: value for key, value in each.items() if key in ("Id", "Arn", "InputPath")} for each in targets]
    assert events.put_targets(Rule=name, Targets=plain)["FailedEntryCount"] == 0


def test_a_promotion_is_told_with_its_reason_and_its_card(stage: Stage, told: Told) -> None:
    machine, part = stage.pipeline()
    stage.end(stage.start(machine, {}))
    message = told(lambda each: part.pipeline in each.get("Subject", ""))
    assert message["Subject"] == f"{part.pipeline} {RUN}: promoted"
    told_of = f"12 % better\n\nCard: {EVIDENCE['card_uri']}\nEvidence: {EVIDENCE['evaluation_uri']}"
    assert message["Message"] == told_of


def test_a_promotion_that_nobody_can_be_told_of_is_a_promotion(stage: Stage) -> None:
    machine, part = stage.pipeline(topic=f"{stage.topic}-that-is-gone")
    ended = stage.end(stage.start(machine, {}))
    assert ended["status"] == "SUCCEEDED", ended
    output = json.loads(ended["output"])
    assert (output["outcome"], output["verdict"]) == ("promoted", "promote")
    assert output["untold"].startswith("SNS.")
    assert [event["outcome"] for event in part.events("give_back_lease")] == ["promoted"]


def test_a_failure_is_told_with_its_error_and_frees_what_is_left(stage: Stage, told: Told) -> None:
    machine, part = stage.pipeline(prepare=[{"raises": "TooManyBadRows", "saying": "9 of 10 rows"}])
    watched(stage, machine, part)
    execution = stage.start(machine, {})
    stage.end(execution)
    detail = json.loads(told(lambda each: execution in each["Message"])["Message"])
    assert (detail["status"], detail["error"], detail["cause"]) == ("FAILED", "TooManyBadRows", "9 of 10 rows")
    (event,) = until(lambda: part.events("free_lease"))
    assert event["detail"]["executionArn"] == execution


def test_an_aborted_run_stops_its_release_and_its_job_and_frees_the_lease(stage: Stage, told: Told) -> None:
    machine, part = stage.pipeline(stage_training=[stage.training("sleep")])
    watched(stage, machine, part)
    execution = stage.start(machine, {})
    job = started(stage, part)
    stage.machines.stop_execution(executionArn=execution, error="Tired", cause="enough")

    assert stage.described(execution)["status"] == "ABORTED"
    (child,) = until(lambda: stage.children(part), lambda found: found[0]["status"] != "RUNNING")
    assert child["status"] == "ABORTED"
    until(
        lambda: stage.sagemaker.describe_training_job(TrainingJobName=job)["TrainingJobStatus"],
        lambda status: status == "Stopped",
    )
    (event,) = until(lambda: part.events("free_lease"))
    assert (event["detail"]["executionArn"], event["detail"]["status"]) == (execution, "ABORTED")
    assert json.loads(told(lambda each: execution in each["Message"])["Message"])["status"] == "ABORTED"
    assert "give_back_lease" not in part.steps


def test_a_run_that_ends_well_has_nothing_to_free(stage: Stage) -> None:
    machine, part = stage.pipeline()
    watched(stage, machine, part)
    assert stage.end(stage.start(machine, {}))["status"] == "SUCCEEDED"
    other, later = stage.pipeline(claim_run=[{"raises": "BadInput", "saying": "no"}])
    watched(stage, other, later)
    stage.end(stage.start(other, {}))
    until(lambda: later.events("free_lease"))
    assert not part.events("free_lease")


def test_an_aborted_release_fails_its_run_and_the_lease_is_given_back(stage: Stage) -> None:
    machine, part = stage.pipeline(stage_training=[stage.training("sleep")])
    execution = stage.start(machine, {})
    started(stage, part)
    (child,) = stage.children(part)
    stage.machines.stop_execution(executionArn=child["executionArn"], error="Ratchet.Stopped", cause="by hand")
    ended = stage.end(execution)
    assert (ended["status"], ended["error"], ended["cause"]) == ("FAILED", "Ratchet.Stopped", "by hand")
    assert part.steps[-2:] == ["stage_training", "give_back_lease"]
