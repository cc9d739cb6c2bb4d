"""What tells the world of a run: messages to the outcomes topic, and the rule that sees what no Catch does."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.application import RESOURCES
from tests.flow.script import EVIDENCE, PACKAGE, RUN, URI, Part
from tests.flow.stage import BUCKET, Stage, until
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


def watched(stage: Stage, machine: str, part: Part, rule: str = "returnsEnded") -> None:
    """Put the template's rule over a machine's ends, with its targets."""
    put_rule(stage, rule, f"{part.pipeline}-ended", stateMachineArn=[machine])


def put_rule(stage: Stage, logical: str, name: str, **detail: Any) -> None:
    """Puts a rule of the template with its targets; `detail` is in place of what only a deployment knows."""
    rule = RESOURCES[logical]["Properties"]
    pattern = {**rule["EventPattern"], "detail": {**rule["EventPattern"]["detail"], **detail}}
    events = stage.emulator.client("events")
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    functions = {step: stage.functions[f"{step}Function"] for step in ("FreeLease", "Decide")}
    arns = {**functions, "Tell": stage.topic, "Ingest": stage.ingest}
    kept = ("Id", "InputPath", "InputTransformer")
    targets = [{key: each[key] for key in kept if key in each} for each in rule["Targets"]]
    plain = [{**each, "Arn": arns[each["Id"]], "RoleArn": stage.role} for each in targets]
    assert events.put_targets(Rule=name, Targets=plain)["FailedEntryCount"] == 0


def test_a_promotion_is_told_with_its_reason_and_its_card(stage: Stage, told: Told) -> None:
    machine, part = stage.pipeline()
    stage.end(stage.start(machine, {}))
    message = told(lambda each: part.pipeline in each.get("Subject", ""))
    assert message["Subject"] == f"{part.pipeline} {RUN}: promoted"
    told_of = f"12 % better\n\nCard: {EVIDENCE['card_uri']}\nEvidence: {EVIDENCE['evaluation_uri']}"
    assert message["Message"] == told_of


def test_a_promotion_that_nobody_can_be_told_of_is_a_promotion(stage: Stage) -> None:
    release = stage.machine("ReleaseMachine", "flow-deaf-release", TopicArn=f"{stage.topic}-that-is-gone")
    machine, part = stage.pipeline(release)
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


def test_an_aborted_deployment_stops_the_endpoint_and_frees_the_lease(stage: Stage) -> None:
    part = stage.part(move_endpoint=[{"status": "changing"}])
    watched(stage, stage.deployment, part, rule="DeploymentEnded")
    uris = dict.fromkeys(("bundle_uri", "holdout_uri", "manifest_uri", "job_name"), URI)
    execution = stage.start(stage.deployment, {"pipeline": part.pipeline, "run_ts": RUN, **uris})
    until(lambda: part.events("move_endpoint"))
    stage.machines.stop_execution(executionArn=execution, error="Tired", cause="enough")
    (event,) = until(lambda: part.events("free_lease"))
    assert (event["detail"]["executionArn"], event["detail"]["status"]) == (execution, "ABORTED")
    moving = [each for each in running(stage, stage.endpoint) if part.pipeline in stage.described(each)["input"]]
    assert moving == []
    assert "give_back_lease" not in part.steps


def running(stage: Stage, machine: str) -> list[str]:
    found = stage.machines.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]
    return [each["executionArn"] for each in found]


def test_an_approval_that_fails_is_told_with_its_error(stage: Stage, told: Told) -> None:
    part = stage.part(ask_approval=[{"raises": "NotRegistered", "saying": "its package is gone"}])
    machine = stage.approval("told", seconds=600)
    watched(stage, machine, part, rule="ApprovalOrIngestFailed")
    execution = stage.start(machine, {"pipeline": part.pipeline, "run_ts": RUN, "package_arn": PACKAGE})
    stage.end(execution)
    detail = json.loads(told(lambda each: execution in each["Message"])["Message"])
    assert (detail["status"], detail["error"], detail["cause"]) == ("FAILED", "NotRegistered", "its package is gone")


def test_a_rejection_is_told_with_its_reason(stage: Stage, told: Told) -> None:
    decision = json.dumps({"decision": "rejected", "why": "too old (somebody)"})

    def decides(event: dict[str, Any]) -> None:
        stage.machines.send_task_success(taskToken=event["token"], output=decision)

    part = stage.part(ask_approval=[{"first": decides}])
    machine = stage.approval("telling", seconds=600)
    stage.end(stage.start(machine, {"pipeline": part.pipeline, "run_ts": RUN, "package_arn": PACKAGE}))
    message = told(lambda each: part.pipeline in each.get("Subject", ""))
    assert message["Subject"] == f"{part.pipeline} {RUN}: rejected"
    assert message["Message"] == f"too old (somebody)\n\nPackage: {PACKAGE}"


def test_a_decision_about_a_package_is_heard_wherever_it_was_made(stage: Stage) -> None:
    part = stage.part()
    put_rule(stage, "PackageDecided", f"{part.pipeline}-decided", ModelPackageGroupName=[part.pipeline])
    group = {"ModelPackageGroupName": part.pipeline}
    stage.sagemaker.create_model_package_group(**group)
    containers = {"Containers": [{"Image": "image", "ModelDataUrl": f"s3://{BUCKET}/model.tar.gz"}]}
    types = {"SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"]}
    asked = {**group, "InferenceSpecification": {**containers, **types}}
    made = stage.sagemaker.create_model_package(**asked, ModelApprovalStatus="PendingManualApproval")
    arn = made["ModelPackageArn"]
    for status in ("Rejected", "Approved"):
        stage.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus=status)
    until(lambda: len(part.events("decide")) == 2)
    heard = [event["detail"] for event in part.events("decide")]
    # EventBridge keeps no order.
    assert {each["ModelApprovalStatus"] for each in heard} == {"Rejected", "Approved"}
    assert {each["ModelPackageArn"] for each in heard} == {arn}


def test_an_uploaded_dataset_is_ingested_by_its_own_key(stage: Stage) -> None:
    part = stage.script.parts["adclick"] = Part("adclick", {"extract": [{"tables": {"records": {"part": "file=0"}}}]})
    put_rule(stage, "DatasetUploads", "uploads", bucket={"name": [BUCKET]})
    s3, key = stage.emulator.client("s3"), "adclick/datasets/a b+ü.csv"
    s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={"EventBridgeConfiguration": {}})
    for other in ("adclick/datasets/notes.txt", "energy/incoming/a.csv", key):
        s3.put_object(Bucket=BUCKET, Key=other, Body=b"x")
    until(lambda: part.events("write_features"))
    assert part.events("extract") == [{"pipeline": "adclick", "part": key}]
