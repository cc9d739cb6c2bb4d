"""`destroy --target aws`: what goes in which order, what stays, and that one that died goes on where it was."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from cli import hosted
from cli.destroy import destroy_stack
from cli.errors import CommandError
from cli.targets import Target

STACK, BUCKET, GROUP = "ratchet", "ratchet-landing", "ratchet-models"
ID = "arn:aws:cloudformation:us-east-1:1:stack/ratchet/1"
PREFIX = "arn:aws:states:us-east-1:1:stateMachine"
OURS, OTHERS = {"ratchet:stack": STACK}, {"ratchet:stack": "ratchet-dev"}


class Killed(Exception):
    """The process died here."""


class Cloud:
    """An account with a stack of ours, and things of others beside it; `calls` are all that changed something.

    `dies_at` is the number of the call before which the process dies; `own` whether the stack made bucket and group.
    """

    def __init__(self, own: bool = True, dies_at: int | None = None) -> None:
        self.own, self.dies_at, self.calls = own, dies_at, list[str]()
        self.stack: str | None = "CREATE_COMPLETE"
        self.buckets = {BUCKET, "elsewhere"}
        self.executions = {"run": f"{PREFIX}:ratchet-adclick", "approval": f"{PREFIX}:ratchet-approval"}
        self.schedules = {"hourly": "ENABLED", "weekly": "ENABLED"}
        tagged = {"ratchet-adclick": OURS, "ratchet-dev-adclick": OTHERS, "theirs": OURS, "ratchet-by-hand": {}}
        self.endpoints = {name: ["InService", tags] for name, tags in tagged.items()}
        self.endpoints["ratchet-adclick-candidate"] = ["Creating", OURS]
        self.configs = {f"{name}-1": tags for name, tags in tagged.items()}
        self.models = {f"{name}-1": tags for name, tags in tagged.items()}
        served = ("ratchet-adclick", "ratchet-adclick-candidate", "ratchet-dev-adclick")
        self.logs = {f"/aws/sagemaker/Endpoints/{name}" for name in served}
        self.packages = {f"{GROUP}/1": {"stack": STACK}, f"{GROUP}/2": {"stack": "other"}, f"{GROUP}/3": {}}

    def change(self, what: str) -> None:
        if self.dies_at is not None and len(self.calls) == self.dies_at:
            self.dies_at = None
            raise Killed
        self.calls.append(what)

    def left(self) -> dict[str, Any]:
        """What is there of models, by kind."""
        kinds = ("endpoints", "configs", "models", "logs", "packages")
        return {kind: set(getattr(self, kind)) for kind in kinds}


class Client:
    """A client of the cloud; its pages are what the call answers."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    def get_paginator(self, call: str) -> Any:
        client = self

        class Pages:
            def paginate(self, **given: Any) -> Iterator[dict[str, Any]]:
                yield getattr(client, call)(**given)

        return Pages()


def refusal(code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Call")


class SageMaker(Client):
    def list_endpoints(self, NameContains: str) -> dict[str, Any]:
        found = [
            {"EndpointName": name, "EndpointArn": f"endpoint/{name}", "EndpointStatus": status}
            for name, (status, _) in self.cloud.endpoints.items()
            if NameContains in name
        ]
        # Each look brings what is changing nearer to its end.
        for name, (status, tags) in list(self.cloud.endpoints.items()):
            if status == "Deleting":
                del self.cloud.endpoints[name]
            elif status == "Creating":
                self.cloud.endpoints[name] = ["InService", tags]
        return {"Endpoints": found}

    def list_endpoint_configs(self, NameContains: str) -> dict[str, Any]:
        names = [name for name in self.cloud.configs if NameContains in name]
        found = [{"EndpointConfigName": name, "EndpointConfigArn": f"endpoint-config/{name}"} for name in names]
        return {"EndpointConfigs": found}

    def list_models(self, NameContains: str) -> dict[str, Any]:
        names = [name for name in self.cloud.models if NameContains in name]
        return {"Models": [{"ModelName": name, "ModelArn": f"model/{name}"} for name in names]}

    def list_tags(self, ResourceArn: str) -> dict[str, Any]:
        kind, name = ResourceArn.split("/")
        endpoints = {each: tags for each, (_, tags) in self.cloud.endpoints.items()}
        there = {"endpoint": endpoints, "endpoint-config": self.cloud.configs, "model": self.cloud.models}[kind]
        if name not in there:
            raise refusal("ValidationException", f"Could not find {kind} {name!r}.")
        tags = there[name]
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def delete_endpoint(self, EndpointName: str) -> None:
        status, tags = self.cloud.endpoints[EndpointName]
        assert status == "InService", "SageMaker refuses to delete what is changing"
        self.cloud.change(f"endpoint {EndpointName}")
        self.cloud.endpoints[EndpointName] = ["Deleting", tags]

    def delete_endpoint_config(self, EndpointConfigName: str) -> None:
        self.cloud.change(f"config {EndpointConfigName}")
        del self.cloud.configs[EndpointConfigName]

    def delete_model(self, ModelName: str) -> None:
        self.cloud.change(f"model {ModelName}")
        del self.cloud.models[ModelName]

    def list_model_packages(self, ModelPackageGroupName: str) -> dict[str, Any]:
        if self.cloud.stack == "DELETE_FAILED":
            raise refusal("ValidationException", f"ModelPackageGroup {ModelPackageGroupName} does not exist.")
        return {"ModelPackageSummaryList": [{"ModelPackageArn": arn} for arn in self.cloud.packages]}

    def describe_model_package(self, ModelPackageName: str) -> dict[str, Any]:
        facts = self.cloud.packages[ModelPackageName]
        return {"CustomerMetadataProperties": facts} if facts else {}

    def delete_model_package(self, ModelPackageName: str) -> None:
        self.cloud.change(f"package {ModelPackageName}")
        del self.cloud.packages[ModelPackageName]


class Logs(Client):
    def delete_log_group(self, logGroupName: str) -> None:
        if logGroupName not in self.cloud.logs:
            raise refusal("ResourceNotFoundException")
        self.cloud.change(f"logs {logGroupName}")
        self.cloud.logs.remove(logGroupName)


class States(Client):
    def list_executions(self, stateMachineArn: str, statusFilter: str) -> dict[str, Any]:
        assert statusFilter == "RUNNING"
        found = [name for name, machine in self.cloud.executions.items() if machine == stateMachineArn]
        return {"executions": [{"executionArn": name} for name in found]}

    def stop_execution(self, executionArn: str, error: str, cause: str) -> None:
        self.cloud.change(f"execution {executionArn}")
        del self.cloud.executions[executionArn]


class Scheduler(Client):
    def get_schedule(self, Name: str) -> dict[str, Any]:
        if Name not in self.cloud.schedules:
            raise refusal("ResourceNotFoundException")
        return {"ScheduleExpression": "rate(1 hour)", "Target": {"Arn": "a"}}

    def update_schedule(self, Name: str, State: str, **_: Any) -> None:
        self.cloud.change(f"schedule {Name}")
        self.cloud.schedules[Name] = State


class CloudFormation(Client):
    def describe_stacks(self, StackName: str) -> dict[str, Any]:
        if self.cloud.stack is None:
            raise refusal("ValidationError", f"Stack with id {StackName} does not exist")
        own = str(self.cloud.own).lower()
        told = {"LandingBucket": BUCKET, "LandingBucketIsOurs": own, "ScheduleNames": "hourly,weekly"}
        told |= {"ModelPackageGroup": GROUP, "ModelPackageGroupIsOurs": own}
        told |= {f"{name.capitalize()}MachineArn": f"{PREFIX}:ratchet-{name}" for name in ("adclick", "approval")}
        outputs = [{"OutputKey": key, "OutputValue": value} for key, value in told.items()]
        named = {"LandingBucketName": "", "ModelPackageGroupName": "", "SupabaseSecret": "ratchet/supabase"}
        if not self.cloud.own:
            named |= {"LandingBucketName": BUCKET, "ModelPackageGroupName": GROUP, "FeatureGroupName": "theirs"}
        parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in named.items()]
        return {"Stacks": [{"StackId": ID, "Outputs": outputs, "Parameters": parameters}]}

    def list_stacks(self, StackStatusFilter: list[str]) -> dict[str, Any]:
        assert StackStatusFilter == ["DELETE_COMPLETE"]
        gone = {STACK: [(ID, 2), ("older", 1)], "other": [("other", 3)]} if self.cloud.stack is None else {}
        rows = [(name, *each) for name, found in gone.items() for each in found]
        return {"StackSummaries": [{"StackName": name, "StackId": id, "CreationTime": at} for name, id, at in rows]}

    def describe_stack_events(self, StackName: str) -> dict[str, Any]:
        assert StackName == ID
        rows = [
            ("function", "AWS::Lambda::Function", "DELETE_COMPLETE"),
            ("older", "AWS::S3::Bucket", "DELETE_COMPLETE"),
        ]
        rows += [(BUCKET, "AWS::S3::Bucket", "DELETE_SKIPPED")] if self.cloud.own else []
        names = ("PhysicalResourceId", "ResourceType", "ResourceStatus")
        return {"StackEvents": [dict(zip(names, row, strict=True)) for row in rows]}

    def delete_stack(self, StackName: str) -> None:
        assert StackName == ID
        self.cloud.change("stack")
        blocked = self.cloud.own and self.cloud.packages
        self.cloud.stack = "DELETE_FAILED" if blocked else None

    def get_waiter(self, name: str) -> "CloudFormation":
        assert name == "stack_delete_complete"
        return self

    def wait(self, StackName: str, WaiterConfig: dict[str, int]) -> None:
        if self.cloud.stack is not None:
            raise WaiterError("stack_delete_complete", "it failed", {})


class S3(Client):
    def list_buckets(self) -> dict[str, Any]:
        return {"Buckets": [{"Name": name} for name in sorted(self.cloud.buckets)]}

    def list_object_versions(self, Bucket: str, Prefix: str) -> dict[str, Any]:
        return {"Versions": [{"Key": "model/latest.json", "VersionId": "1"}]}

    def delete_objects(self, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:
        self.cloud.change(f"objects of {Bucket}")
        return {}

    def delete_bucket(self, Bucket: str) -> None:
        self.cloud.change(f"bucket {Bucket}")
        self.cloud.buckets.remove(Bucket)


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosted, "POLL_SECONDS", 0)


def destroyed(cloud: Cloud) -> dict[str, list[str]]:
    clients = {"sagemaker": SageMaker, "logs": Logs, "stepfunctions": States, "scheduler": Scheduler, "s3": S3}
    made = {name: kind(cloud) for name, kind in {**clients, "cloudformation": CloudFormation}.items()}
    return destroy_stack(Target("aws", STACK, None, None, made), lambda line: None)


OTHERS_LEFT = {
    "endpoints": {"ratchet-dev-adclick", "theirs", "ratchet-by-hand"},
    "configs": {"ratchet-dev-adclick-1", "theirs-1", "ratchet-by-hand-1"},
    "models": {"ratchet-dev-adclick-1", "theirs-1", "ratchet-by-hand-1"},
    "logs": {"/aws/sagemaker/Endpoints/ratchet-dev-adclick"},
}


def test_everything_goes_in_the_order_in_which_nothing_can_make_it_again() -> None:
    cloud = Cloud()
    told = destroyed(cloud)
    kinds = [call.split()[0] for call in cloud.calls]
    order = ["schedule", "execution", "endpoint", "config", "model", "logs", "package", "stack", "objects", "bucket"]
    assert sorted(kinds, key=order.index) == kinds
    assert set(kinds) == set(order)
    assert set(cloud.schedules.values()) == {"DISABLED"}
    assert cloud.executions == {}
    assert f"bucket {BUCKET} with 1 object versions" in told["removed"]
    assert told["kept"] == ["secret ratchet/supabase, which the stack did not make"]


def test_what_is_another_stacks_or_was_made_by_hand_stays() -> None:
    cloud = Cloud()
    destroyed(cloud)
    assert cloud.left() == {**OTHERS_LEFT, "packages": set()}
    assert cloud.buckets == {"elsewhere"}


def test_bucket_and_group_that_were_only_named_stay_and_are_named_but_for_our_packages() -> None:
    cloud = Cloud(own=False)
    told = destroyed(cloud)
    assert cloud.packages.keys() == {f"{GROUP}/2", f"{GROUP}/3"}
    assert BUCKET in cloud.buckets
    names = [f"bucket {BUCKET}", f"model package group {GROUP}", "feature group theirs", "secret ratchet/supabase"]
    assert told["kept"] == [f"{name}, which the stack did not make" for name in names]


@pytest.mark.parametrize("own", [True, False])
def test_one_that_died_anywhere_goes_on_where_it_was(own: bool) -> None:
    whole = Cloud(own)
    destroyed(whole)
    for number in range(len(whole.calls)):
        cloud = Cloud(own, dies_at=number)
        with pytest.raises(Killed):
            destroyed(cloud)
        destroyed(cloud)
        assert (cloud.left(), cloud.buckets, cloud.stack) == (whole.left(), whole.buckets, None), number
        # What is switched off is switched off again, but nothing is deleted twice.
        gone = [call for call in cloud.calls if not call.startswith(("schedule", "objects"))]
        assert sorted(gone) == sorted(call for call in whole.calls if not call.startswith(("schedule", "objects")))


def test_half_of_a_stack_whose_deletion_failed_is_no_obstacle() -> None:
    cloud = Cloud()
    cloud.stack, cloud.packages = "DELETE_FAILED", {}
    del cloud.schedules["hourly"]
    assert f"stack {STACK}" in destroyed(cloud)["removed"]
    assert (cloud.stack, cloud.buckets) == (None, {"elsewhere"})


def test_a_stack_that_cannot_be_deleted_keeps_its_bucket() -> None:
    cloud = Cloud()
    formation = CloudFormation(cloud)
    made = {name: kind(cloud) for name, kind in {"stepfunctions": States, "scheduler": Scheduler, "s3": S3}.items()}
    formation.delete_stack = lambda StackName: None  # type: ignore[method-assign]
    target = Target(
        "aws",
        STACK,
        None,
        None,
        {**made, "sagemaker": SageMaker(cloud), "logs": Logs(cloud), "cloudformation": formation},
    )
    with pytest.raises(CommandError, match="CloudFormation could not delete ratchet"):
        destroy_stack(target, lambda line: None)
    assert BUCKET in cloud.buckets


def test_an_endpoint_that_stays_is_named_and_its_configuration_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosted, "POLLS", 3)
    cloud = Cloud()
    cloud.endpoints = {"ratchet-adclick": ["Updating", OURS]}
    with pytest.raises(CommandError, match="ratchet-adclick cannot be deleted"):
        destroyed(cloud)
    assert "ratchet-adclick-1" in cloud.configs
    assert cloud.stack


def test_nothing_to_destroy_is_said() -> None:
    cloud = Cloud()
    destroyed(cloud)
    with pytest.raises(CommandError, match="There is no stack 'ratchet', and nothing is left of one"):
        destroyed(cloud)
