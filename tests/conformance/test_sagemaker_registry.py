"""The emulator's model registry: versions, their approval, the events that tell of it, and who may do what."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from local.deploy import build_and_deploy
from tests.checked import Checked, acting_as, refused, role, until, unvalidated

GROUP = "clicks"
PREFIX = "arn:aws:sagemaker:us-east-1:000000000000"
PATTERN = {"source": ["aws.sagemaker"], "detail-type": ["SageMaker Model Package State Change"]}
FACTS = {"run": "2026-11-21T04-00-00Z", "digest": "ab" * 32}


class Registry:
    """Packages of groups, and the events they bring about."""

    def __init__(self, emulator: Any) -> None:
        self.emulator = emulator
        self.api = Checked(emulator.client("sagemaker"))

    def group(self, name: str, **more: Any) -> str:
        made = self.api.create_model_package_group(ModelPackageGroupName=name, **more)
        return str(made["ModelPackageGroupArn"])

    def package(self, group: str, **more: Any) -> str:
        return str(self.api.create_model_package(**self.request(group, **more))["ModelPackageArn"])

    def request(self, group: str, **more: Any) -> dict[str, Any]:
        containers = [{"Image": "image", "ModelDataUrl": "s3://models/model.tar.gz"}]
        types = {"SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"]}
        specification = {"Containers": containers, **types}
        return {"ModelPackageGroupName": group, "InferenceSpecification": specification, **more}

    def described(self, arn: str) -> dict[str, Any]:
        return dict(self.api.describe_model_package(ModelPackageName=arn))

    def decide(self, arn: str, status: str, **more: Any) -> None:
        self.api.update_model_package(ModelPackageArn=arn, ModelApprovalStatus=status, **more)

    def versions(self, group: str, **more: Any) -> list[int]:
        told = self.api.list_model_packages(ModelPackageGroupName=group, **more)
        return [each["ModelPackageVersion"] for each in told["ModelPackageSummaryList"]]

    def rule(self, name: str, group: str, target: dict[str, Any]) -> None:
        events = self.emulator.client("events")
        pattern = {**PATTERN, "detail": {"ModelPackageGroupName": [group]}}
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=name, Targets=[{"Id": "one", **target}])


class Heard:
    """The events of one group, as a queue gets them by a rule."""

    def __init__(self, registry: Registry, group: str) -> None:
        self.queue = registry.emulator.client("sqs")
        self.url = self.queue.create_queue(QueueName=f"heard-{group}")["QueueUrl"]
        arn = self.queue.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        registry.rule(f"heard-{group}", group, {"Arn": arn})

    def events(self) -> list[dict[str, Any]]:
        """What has come since the last call."""
        told = self.queue.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages", [])
        for message in told:
            self.queue.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in told]


@pytest.fixture(scope="module")
def registry(emulator: Any) -> Registry:
    return Registry(emulator)


@pytest.fixture(scope="module")
def group(registry: Registry) -> str:
    return registry.group(
        GROUP, ModelPackageGroupDescription="Klickprognosen – täglich", Tags=[{"Key": "a", "Value": "b"}]
    )


def test_a_group_is_described_as_it_was_made(registry: Registry, group: str) -> None:
    assert group == f"{PREFIX}:model-package-group/{GROUP}"
    for name in (GROUP, group):
        told = registry.api.describe_model_package_group(ModelPackageGroupName=name)
        assert (told["ModelPackageGroupStatus"], told["ModelPackageGroupName"]) == ("Completed", GROUP)
        assert told["ModelPackageGroupDescription"] == "Klickprognosen – täglich"
    assert registry.api.list_tags(ResourceArn=group)["Tags"] == [{"Key": "a", "Value": "b"}]


def test_a_groups_name_is_given_once(registry: Registry, group: str) -> None:
    code, message, _ = refused(registry.api.create_model_package_group, ModelPackageGroupName=GROUP)
    assert (code, "already exists" in message) == ("ValidationException", True)


@pytest.mark.parametrize("call", ["describe_model_package_group", "delete_model_package_group", "list_model_packages"])
def test_a_group_that_is_not_there_does_not_exist(registry: Registry, call: str) -> None:
    code, message, _ = refused(getattr(registry.api, call), ModelPackageGroupName="nobody")
    assert (code, "does not exist" in message) == ("ValidationException", True)


def test_packages_are_versions_that_wait_for_an_approval(registry: Registry) -> None:
    group = registry.group("versions")
    first, second = (registry.package("versions", CustomerMetadataProperties=FACTS) for _ in range(2))
    assert (first, second) == (f"{PREFIX}:model-package/versions/1", f"{PREFIX}:model-package/versions/2")
    told = registry.described(second)
    assert (told["ModelApprovalStatus"], told["ModelPackageStatus"]) == ("PendingManualApproval", "Completed")
    assert (told["ModelPackageGroupName"], told["ModelPackageVersion"]) == ("versions", 2)
    assert told["CustomerMetadataProperties"] == FACTS
    assert told["InferenceSpecification"] == registry.request("")["InferenceSpecification"]
    assert registry.described("versions/1")["ModelPackageArn"] == first
    assert registry.versions(group) == [2, 1]


def test_metrics_and_lineage_are_kept(registry: Registry) -> None:
    registry.group("metrics")
    quality = {"Statistics": {"ContentType": "application/json", "S3Uri": "s3://models/evaluation.json"}}
    given = {
        "ModelMetrics": {"ModelQuality": quality},
        "MetadataProperties": {"CommitId": "c0ffee", "GeneratedBy": "arn"},
        "ModelPackageDescription": "AUC 0.71",
        "SkipModelValidation": "All",
    }
    told = registry.described(registry.package("metrics", **given))
    assert {name: told[name] for name in given} == given


def test_the_same_token_makes_one_package(registry: Registry) -> None:
    registry.group("tokens")
    made = {registry.package("tokens", ClientToken="once") for _ in range(3)}
    assert len(made) == 1
    assert registry.package("tokens", ClientToken="twice") not in made
    request = registry.request("tokens", ClientToken="once", ModelPackageDescription="another")
    assert refused(registry.api.create_model_package, **request)[0] == "ConflictException"


def test_a_decision_is_kept_with_its_reason_and_may_be_taken_back(registry: Registry) -> None:
    registry.group("decisions")
    arn = registry.package("decisions")
    registry.decide(arn, "Approved", ApprovalDescription="looks right")
    told = registry.described(arn)
    assert (told["ModelApprovalStatus"], told["ApprovalDescription"]) == ("Approved", "looks right")
    assert told["LastModifiedTime"] >= told["CreationTime"]
    registry.decide(arn, "Rejected", ApprovalDescription="was not")
    assert registry.described(arn)["ModelApprovalStatus"] == "Rejected"
    assert registry.versions("decisions", ModelApprovalStatus="Approved") == []
    assert registry.versions("decisions", ModelApprovalStatus="Rejected") == [1]


def test_who_decided_is_shown(registry: Registry) -> None:
    registry.group("deciders")
    arn = registry.package("deciders")
    decider = role(registry.emulator, "decider", "lambda.amazonaws.com", ("sagemaker:UpdateModelPackage", arn))
    client = registry.emulator.client("sagemaker", **acting_as(registry.emulator, decider))
    client.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    assert "assumed-role/decider/" in registry.described(arn)["LastModifiedBy"]["IamIdentity"]["Arn"]


def test_the_list_comes_in_pages_and_either_order(registry: Registry) -> None:
    registry.group("pages")
    for _ in range(5):
        registry.package("pages")
    assert registry.versions("pages", SortOrder="Ascending", MaxResults=2) == [1, 2]
    pages = registry.emulator.client("sagemaker").get_paginator("list_model_packages")
    told = pages.paginate(ModelPackageGroupName="pages", PaginationConfig={"PageSize": 2})
    found = [each["ModelPackageVersion"] for page in told for each in page["ModelPackageSummaryList"]]
    assert found == [5, 4, 3, 2, 1]


def test_a_group_with_packages_is_not_deleted_and_no_version_comes_twice(registry: Registry) -> None:
    registry.group("removed")
    arn = registry.package("removed")
    assert refused(registry.api.delete_model_package_group, ModelPackageGroupName="removed")[0] == "ConflictException"
    registry.api.delete_model_package(ModelPackageName=arn)
    code, message, _ = refused(registry.api.describe_model_package, ModelPackageName=arn)
    assert (code, "does not exist" in message) == ("ValidationException", True)
    assert registry.package("removed").endswith("/2")
    registry.api.delete_model_package(ModelPackageName="removed/2")
    registry.api.delete_model_package_group(ModelPackageGroupName="removed")
    assert (
        refused(registry.api.describe_model_package_group, ModelPackageGroupName="removed")[0] == "ValidationException"
    )


def test_groups_whose_names_begin_alike_do_not_mix(registry: Registry) -> None:
    for name in ("alike", "alike-2"):
        registry.group(name)
    registry.package("alike-2")
    assert registry.versions("alike") == []
    registry.api.delete_model_package_group(ModelPackageGroupName="alike")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ModelApprovalStatus": "Perhaps"}, "ModelApprovalStatus must be one of Approved, Rejected"),
        ({"ModelPackageGroupName": "under_scored"}, "ModelPackageGroupName must match"),
        ({"ModelPackageGroupName": "nobody"}, "does not exist"),
        ({"InferenceSpecification": None}, "InferenceSpecification are required"),
        ({"ModelPackageName": "own"}, "ModelPackageName of CreateModelPackage is not implemented"),
        ({"ModelPackageDescription": "a\x00b"}, "ModelPackageDescription must match"),
    ],
)
def test_a_wrong_package_is_refused(registry: Registry, group: str, change: dict[str, Any], says: str) -> None:
    request = {name: value for name, value in {**registry.request(GROUP), **change}.items() if value is not None}
    code, message, status = refused(registry.api.create_model_package, **request)
    assert (code, status) == ("ValidationException", 400)
    assert says in message


def test_what_is_not_built_is_refused_by_name(registry: Registry) -> None:
    registry.group("unbuilt")
    arn = registry.package("unbuilt")
    request = {"ModelPackageArn": arn, "SourceUri": "s3://elsewhere"}
    assert "SourceUri of UpdateModelPackage is not" in refused(registry.api.update_model_package, **request)[1]
    assert registry.described(arn)["ModelApprovalStatus"] == "PendingManualApproval"


@pytest.mark.parametrize(
    ("call", "lacks"),
    [
        ("CreateModelPackageGroup", "ModelPackageGroupName"),
        ("DescribeModelPackageGroup", "ModelPackageGroupName"),
        ("DeleteModelPackageGroup", "ModelPackageGroupName"),
        ("DescribeModelPackage", "ModelPackageName"),
        ("UpdateModelPackage", "ModelPackageArn"),
        ("DeleteModelPackage", "ModelPackageName"),
    ],
)
def test_a_request_without_what_it_needs_is_refused(registry: Registry, call: str, lacks: str) -> None:
    code, message, _ = refused(getattr(unvalidated(registry.emulator, "sagemaker"), xform_name(call)))
    assert code == "ValidationException"
    assert f'Missing required parameter in input: "{lacks}"' in message


def test_creation_and_every_change_of_approval_are_events_and_nothing_else_is(registry: Registry) -> None:
    registry.group("heard")
    heard = Heard(registry, "heard")
    arn = registry.package("heard", CustomerMetadataProperties=FACTS)
    (event,) = until(heard.events)
    assert (event["source"], event["detail-type"]) == ("aws.sagemaker", PATTERN["detail-type"][0])
    assert (event["resources"], event["account"], event["region"]) == ([arn], "000000000000", "us-east-1")
    detail = event["detail"]
    expected = {
        "ModelPackageGroupName": "heard",
        "ModelPackageVersion": 1,
        "ModelPackageArn": arn,
        "ModelPackageStatus": "Completed",
        "ModelApprovalStatus": "PendingManualApproval",
        "CustomerMetadataProperties": FACTS,
    }
    assert {name: detail[name] for name in expected} == expected
    assert detail["CreationTime"].endswith("Z")
    registry.decide(arn, "Approved", ApprovalDescription="yes")
    (approved,) = until(heard.events)
    assert approved["detail"]["ModelApprovalStatus"] == "Approved"
    assert approved["detail"]["ApprovalDescription"] == "yes"
    registry.decide(arn, "Approved", ApprovalDescription="yes, again")
    registry.decide(arn, "Rejected")
    (rejected,) = until(heard.events)
    assert rejected["detail"]["ModelApprovalStatus"] == "Rejected"
    registry.api.delete_model_package(ModelPackageName=arn)
    assert heard.events() == []


def test_a_rule_takes_an_approval_to_a_function(registry: Registry, deployment: Any) -> None:
    registry.group("to-function")
    function = registry.emulator.client("lambda").get_function(FunctionName=deployment.outputs["WriterName"])
    bucket, key = deployment.outputs["BucketName"], "allowed/approved"
    template = f'{{"do": "put", "bucket": "{bucket}", "key": "{key}", "body": <arn>}}'
    transformer = {"InputPathsMap": {"arn": "$.detail.ModelPackageArn"}, "InputTemplate": template}
    target = {"Arn": function["Configuration"]["FunctionArn"], "InputTransformer": transformer}
    registry.rule("to-function", "to-function", target)
    arn = registry.package("to-function")
    s3 = registry.emulator.client("s3")
    s3.get_waiter("object_exists").wait(Bucket=bucket, Key=key, WaiterConfig={"Delay": 1, "MaxAttempts": 15})
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() == arn


def test_a_rule_takes_an_approval_to_a_machine(registry: Registry) -> None:
    registry.group("to-machine")
    states = registry.emulator.client("stepfunctions")
    runner = role(registry.emulator, "registry-machine", "states.amazonaws.com", ("states:*", "*"))
    definition = {"QueryLanguage": "JSONata", "StartAt": "End", "States": {"End": {"Type": "Succeed"}}}
    created = states.create_state_machine(name="hears-packages", definition=json.dumps(definition), roleArn=runner)
    machine = created["stateMachineArn"]
    registry.rule("to-machine", "to-machine", {"Arn": machine, "RoleArn": runner})
    arn = registry.package("to-machine")
    (execution,) = until(lambda: states.list_executions(stateMachineArn=machine)["executions"])
    told = states.describe_execution(executionArn=execution["executionArn"])
    assert json.loads(told["input"])["detail"]["ModelPackageArn"] == arn


def test_a_machine_reads_a_package_by_an_aws_sdk_task(registry: Registry) -> None:
    registry.group("sdk")
    arn = registry.package("sdk")
    states = registry.emulator.client("stepfunctions")
    reader = role(registry.emulator, "sdk-machine", "states.amazonaws.com", ("sagemaker:DescribeModelPackage", arn))
    task = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sagemaker:describeModelPackage"}
    task |= {"Arguments": {"ModelPackageName": arn}, "Output": "{% $states.result.ModelApprovalStatus %}", "End": True}
    definition = {"QueryLanguage": "JSONata", "StartAt": "Look", "States": {"Look": task}}
    machine = states.create_state_machine(name="reads-packages", definition=json.dumps(definition), roleArn=reader)
    execution = states.start_execution(stateMachineArn=machine["stateMachineArn"])["executionArn"]

    def ended() -> dict[str, Any] | None:
        told: dict[str, Any] = states.describe_execution(executionArn=execution)
        return None if told["status"] == "RUNNING" else told

    assert until(ended).get("output") == '"PendingManualApproval"'


def test_a_role_creates_packages_only_in_the_group_whose_versions_are_granted(registry: Registry) -> None:
    for name in ("granted", "other"):
        registry.group(name)
    client = as_role(registry, "registers", ("sagemaker:CreateModelPackage", f"{PREFIX}:model-package/granted/*"))
    client.create_model_package(**registry.request("granted"))
    with pytest.raises(ClientError, match="AccessDenied"):
        client.create_model_package(**registry.request("other"))
    with pytest.raises(ClientError, match="sagemaker:AddTags"):
        client.create_model_package(**registry.request("granted", Tags=[{"Key": "a", "Value": "b"}]))


def test_a_role_approves_only_the_package_it_is_granted(registry: Registry) -> None:
    registry.group("approved")
    first, second = registry.package("approved"), registry.package("approved")
    client = as_role(registry, "approves", ("sagemaker:UpdateModelPackage", first))
    client.update_model_package(ModelPackageArn=first, ModelApprovalStatus="Approved")
    with pytest.raises(ClientError, match="sagemaker:UpdateModelPackage"):
        client.update_model_package(ModelPackageArn=second, ModelApprovalStatus="Approved")
    assert registry.described(second)["ModelApprovalStatus"] == "PendingManualApproval"


def as_role(registry: Registry, name: str, *grants: tuple[Any, Any]) -> Any:
    arn = role(registry.emulator, f"registry-{name}", "lambda.amazonaws.com", *grants)
    return registry.emulator.client("sagemaker", **acting_as(registry.emulator, arn))


TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Words: {Type: String, Default: approved by people}
Resources:
  Group:
    Type: AWS::SageMaker::ModelPackageGroup
    Properties:
      ModelPackageGroupName: deployed
      ModelPackageGroupDescription: !Ref Words
      Tags: [{Key: stack, Value: mine}]
  Key:
    Type: AWS::SecretsManager::Secret
    Properties:
      GenerateSecretString:
        {PasswordLength: 48, ExcludePunctuation: true, SecretStringTemplate: "{}", GenerateStringKey: key}
Outputs:
  Group: {Value: !Ref Group}
  Name: {Value: !GetAtt Group.ModelPackageGroupArn}
  Key: {Value: !Ref Key}
"""


def test_a_stack_has_its_group_and_its_secret_until_it_is_deleted(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    emulator = registry.emulator
    secrets, stacks = emulator.client("secretsmanager"), emulator.client("cloudformation")

    def deploy(**parameters: str) -> dict[str, str]:
        sam = emulator.environments.sam
        return build_and_deploy(tmp_path, emulator.endpoint, "with-registry", parameters, sam=sam)

    outputs = deploy()
    group = f"{PREFIX}:model-package-group/deployed"
    assert (outputs["Group"], outputs["Name"]) == (group, group)
    assert registry.api.list_tags(ResourceArn=group)["Tags"][0] == {"Key": "stack", "Value": "mine"}
    secret = secrets.get_secret_value(SecretId=outputs["Key"])["SecretString"]
    key = json.loads(secret)["key"]
    assert len(key) == 48
    assert key.isalnum()
    package = registry.package("deployed")
    assert deploy() == outputs
    assert secrets.get_secret_value(SecretId=outputs["Key"])["SecretString"] == secret
    with pytest.raises(Exception, match="ModelPackageGroupDescription of the model package group"):
        deploy(Words="otherwise")
    stacks.delete_stack(StackName="with-registry")
    until(lambda: stacks.describe_stacks(StackName="with-registry")["Stacks"][0]["StackStatus"] == "DELETE_FAILED")
    registry.api.delete_model_package(ModelPackageName=package)
    stacks.delete_stack(StackName="with-registry")
    stacks.get_waiter("stack_delete_complete").wait(StackName="with-registry", WaiterConfig={"Delay": 1})
    assert refused(registry.api.describe_model_package_group, ModelPackageGroupName=group)[0] == "ValidationException"


def test_groups_packages_and_decisions_survive_a_restart(emulator: Any, tmp_path: Path) -> None:
    other = type(emulator)(emulator.environments, tmp_path / "emulator").start()
    try:
        registry = Registry(other)
        registry.group("kept", Tags=[{"Key": "a", "Value": "b"}])
        first, second = registry.package("kept", ClientToken="first"), registry.package("kept")
        registry.decide(first, "Approved")
        registry.api.delete_model_package(ModelPackageName=second)
        other.stop()
        other.start()
        assert registry.described(first)["ModelApprovalStatus"] == "Approved"
        assert registry.package("kept", ClientToken="first") == first
        assert registry.package("kept").endswith("/3")
        group = f"{PREFIX}:model-package-group/kept"
        assert registry.api.list_tags(ResourceArn=group)["Tags"] == [{"Key": "a", "Value": "b"}]
    finally:
        other.stop()
