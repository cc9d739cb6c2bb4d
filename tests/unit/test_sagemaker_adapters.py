"""What SageMaker, Step Functions, SNS and Feature Store are asked by their own service models, and what they answer."""

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber
from ratchet.adapters.feature_group import SageMakerFeatureGroup
from ratchet.adapters.hosting import SageMakerHosting, Service
from ratchet.adapters.registry import ModelRegistry
from ratchet.adapters.tasks import WaitingTasks
from ratchet.adapters.topic import SnsTopic
from ratchet.endpoint.hosting import Endpoint, config_name
from ratchet.errors import BadConfiguration, EndpointFailed, Unavailable
from ratchet.registry.package import APPROVED, PENDING, REJECTED, Package

ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/ratchet-models/3"
ANY_ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/ratchet-adclick"
FACTS = {"pipeline": "adclick", "run_ts": "2026-11-21T04-00-00Z", "sha256": "0" * 64, "stack": "ratchet"}
MODEL = "s3://bucket/adclick/model/run_ts=2026-11-21T04-00-00Z/model.tar.gz"
NAME, CONFIG = "ratchet-adclick", config_name("ratchet-adclick", "2026-11-21T04-00-00Z", "0" * 64, "serverless-2048-5")
NOW = datetime(2026, 11, 21, tzinfo=UTC)
TAGS = [{"Key": "ratchet:stack", "Value": "ratchet"}]
SERVERLESS = Service("serverless", "image", "arn:aws:iam::123456789012:role/endpoint", 2048, 5, 1, (), "", "ratchet")
INSTANCES = replace(
    SERVERLESS, kind="ml.m5.large", instances=2, alarms=("errors", "latency"), key="arn:aws:kms:::key/1"
)
CONTAINERS = {"SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"]}


@pytest.fixture
def stub() -> Iterator[Callable[[str], Stubber]]:
    """Clients that answer what they were told to, in order, and were asked all of it in the end."""
    with ExitStack() as stack:
        made: dict[str, Stubber] = {}

        def of(service: str) -> Stubber:
            if service not in made:
                keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
                client = boto3.client(service, region_name="us-east-1", **keys)
                stack.callback(client.close)
                made[service] = stack.enter_context(Stubber(client))
            return made[service]

        yield of
        for stubber in made.values():
            stubber.assert_no_pending_responses()


Stub = Callable[[str], Stubber]


def registry(stub: Stub) -> ModelRegistry:
    return ModelRegistry("ratchet-models", "image", stub("sagemaker").client)


def hosting(stub: Stub, service: Service = SERVERLESS) -> SageMakerHosting:
    return SageMakerHosting(service, stub("sagemaker").client, stub("sagemaker-runtime").client)


# -------------------------------------------------------------------------------------------------- the registry


def test_a_package_is_created_pending_with_its_facts_and_its_token(stub: Stub) -> None:
    evidence = "s3://bucket/evaluation.json"
    types = {"SupportedContentTypes": ANY, "SupportedResponseMIMETypes": ANY}
    expected = {
        "ModelPackageGroupName": "ratchet-models",
        "ModelPackageDescription": "about",
        "InferenceSpecification": {"Containers": [{"Image": "image", "ModelDataUrl": MODEL}], **types},
        "ModelApprovalStatus": "PendingManualApproval",
        "ModelMetrics": {"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": evidence}}},
        "CustomerMetadataProperties": FACTS,
        "ClientToken": "t" * 36,
    }
    stub("sagemaker").add_response("create_model_package", {"ModelPackageArn": ARN}, expected)
    assert registry(stub).create("t" * 36, MODEL, evidence, FACTS, "about") == ARN


def described(containers: list[dict[str, str]] | None, **fields: Any) -> dict[str, Any]:
    needed = {"ModelPackageName": "ratchet-models", "ModelPackageArn": ARN, "CreationTime": NOW}
    needed |= {"ModelPackageStatus": "Completed", "ModelPackageStatusDetails": {"ValidationStatuses": []}}
    told = {} if containers is None else {"InferenceSpecification": {"Containers": containers, **CONTAINERS}}
    return {**needed, **told, **fields}


def test_a_package_is_found_with_its_status_facts_and_reason(stub: Stub) -> None:
    fields = {"ModelApprovalStatus": APPROVED, "CustomerMetadataProperties": FACTS, "ApprovalDescription": "fine"}
    answer = described([{"Image": "image", "ModelDataUrl": MODEL}], **fields)
    stub("sagemaker").add_response("describe_model_package", answer, {"ModelPackageName": ARN})
    assert registry(stub).find(ARN) == Package(ARN, APPROVED, FACTS, MODEL, "fine")


@pytest.mark.parametrize(
    "answer",
    [
        described([{"Image": "image", "ModelDataUrl": MODEL}, {"Image": "image", "ModelDataUrl": MODEL}]),
        described([{"Image": "image"}], ModelApprovalStatus=PENDING),
        described(None, ModelApprovalStatus=APPROVED),
    ],
    ids=["several containers", "no model of its own", "no containers"],
)
def test_a_package_that_others_made_is_found_as_of_no_model(stub: Stub, answer: dict[str, Any]) -> None:
    stub("sagemaker").add_response("describe_model_package", answer)
    found = registry(stub).find(ARN)
    assert found == Package(ARN, answer.get("ModelApprovalStatus", ""), {}, "")


def test_a_package_that_is_gone_is_none(stub: Stub) -> None:
    stub("sagemaker").add_client_error(
        "describe_model_package", "ValidationException", f"ModelPackage {ARN} does not exist."
    )
    assert registry(stub).find(ARN) is None


def test_a_decision_is_written_with_its_reason(stub: Stub) -> None:
    expected = {"ModelPackageArn": ARN, "ModelApprovalStatus": REJECTED, "ApprovalDescription": "no"}
    stub("sagemaker").add_response("update_model_package", {"ModelPackageArn": ARN}, expected)
    registry(stub).decide(ARN, REJECTED, "no")


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("ThrottlingException", "Rate exceeded", Unavailable),
        ("InternalFailure", "", Unavailable),
        ("ConflictException", "Another request changes it.", Unavailable),
        ("AccessDeniedException", "not authorized", BadConfiguration),
        ("ValidationException", "1 validation error detected: approvalDescription", BadConfiguration),
        ("ValidationException", "ModelPackageGroup ratchet-models does not exist.", BadConfiguration),
        ("ResourceLimitExceeded", "too many packages", BadConfiguration),
    ],
)
def test_what_the_registry_refuses_is_no_passing_fault(stub: Stub, code: str, message: str, kind: type) -> None:
    stub("sagemaker").add_client_error("create_model_package", code, message)
    stub("sagemaker").add_client_error("update_model_package", code, message)
    with pytest.raises(kind, match="SageMaker does not do"):
        registry(stub).create("t", MODEL, "s3://b/e", FACTS, "about")
    with pytest.raises(kind, match="SageMaker does not do"):
        registry(stub).decide(ARN, APPROVED, "")


# ---------------------------------------------------------------------------------------------------- the hosting


@pytest.mark.parametrize(("service", "isolated"), [(SERVERLESS, False), (INSTANCES, True)])
def test_a_model_runs_the_bundles_own_program(stub: Stub, service: Service, isolated: bool) -> None:
    program = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}
    program |= {"TS_DECODE_INPUT_REQUEST": "false", "SAGEMAKER_MODEL_SERVER_WORKERS": "1"}
    expected = {
        "ModelName": CONFIG,
        "PrimaryContainer": {"Image": "image", "ModelDataUrl": MODEL, "Environment": program},
        "ExecutionRoleArn": service.role,
        "EnableNetworkIsolation": isolated,
        "Tags": TAGS,
    }
    stub("sagemaker").add_response("create_model", {"ModelArn": ANY_ARN}, expected)
    hosting(stub, service).create_model(CONFIG, MODEL)


def test_a_serverless_configuration_has_a_size_and_no_key(stub: Stub) -> None:
    size = {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}
    variant = {"VariantName": "AllTraffic", "ModelName": CONFIG, **size}
    expected = {"EndpointConfigName": CONFIG, "ProductionVariants": [variant], "Tags": TAGS}
    stub("sagemaker").add_response("create_endpoint_config", {"EndpointConfigArn": ANY_ARN}, expected)
    hosting(stub, replace(SERVERLESS, key="arn:aws:kms:::key/1")).create_config(CONFIG, CONFIG)


@pytest.mark.parametrize("key", ["arn:aws:kms:::key/1", ""])
def test_a_configuration_of_instances_may_have_a_key(stub: Stub, key: str) -> None:
    size = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 2, "InitialVariantWeight": 1.0}
    variant = {"VariantName": "AllTraffic", "ModelName": CONFIG, **size}
    expected = {"EndpointConfigName": CONFIG, "ProductionVariants": [variant], "Tags": TAGS}
    expected |= {"KmsKeyId": key} if key else {}
    stub("sagemaker").add_response("create_endpoint_config", {"EndpointConfigArn": ANY_ARN}, expected)
    hosting(stub, replace(INSTANCES, key=key)).create_config(CONFIG, CONFIG)


@pytest.mark.parametrize("instances", [1, 2])
@pytest.mark.parametrize("alarms", [("errors", "latency"), ()])
def test_instances_change_over_blue_green_and_back_by_alarms(
    stub: Stub, instances: int, alarms: tuple[str, ...]
) -> None:
    """An empty list of alarms is refused by the service's own model."""
    canary = {"Type": "CANARY", "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1}, "WaitIntervalInSeconds": 300}
    routing = canary if instances > 1 else {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 300}
    policy = {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": 300}
    back = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]}} if alarms else {}
    deployment = {"BlueGreenUpdatePolicy": policy, **back}
    expected = {"EndpointName": NAME, "EndpointConfigName": CONFIG, "DeploymentConfig": deployment}
    stub("sagemaker").add_response("update_endpoint", {"EndpointArn": ANY_ARN}, expected)
    hosting(stub, replace(INSTANCES, instances=instances, alarms=alarms)).update_endpoint(NAME, CONFIG)


def test_a_serverless_endpoint_changes_over_as_it_does(stub: Stub) -> None:
    expected = {"EndpointName": NAME, "EndpointConfigName": CONFIG}
    stub("sagemaker").add_response("update_endpoint", {"EndpointArn": ANY_ARN}, expected)
    hosting(stub).update_endpoint(NAME, CONFIG)


def test_an_endpoint_is_described_or_none(stub: Stub) -> None:
    told = {"EndpointName": NAME, "EndpointArn": ANY_ARN, "CreationTime": NOW, "LastModifiedTime": NOW}
    told |= {"EndpointConfigName": CONFIG, "EndpointStatus": "Failed"}
    for answer in (told, {**told, "FailureReason": "No answer to /ping."}):
        stub("sagemaker").add_response("describe_endpoint", answer, {"EndpointName": NAME})
    stub("sagemaker").add_client_error("describe_endpoint", "ValidationException", f'Could not find endpoint "{NAME}".')
    found = hosting(stub)
    assert found.endpoint(NAME) == Endpoint("Failed", CONFIG)
    assert found.endpoint(NAME) == Endpoint("Failed", CONFIG, "No answer to /ping.")
    assert found.endpoint(NAME) is None


CREATES: dict[str, tuple[str, Callable[[SageMakerHosting], None]]] = {
    "create_model": ("Cannot create already existing model", lambda found: found.create_model(CONFIG, MODEL)),
    "create_endpoint_config": (
        "Cannot create already existing endpoint configuration",
        lambda found: found.create_config(CONFIG, CONFIG),
    ),
    "create_endpoint": ("Cannot create already existing endpoint", lambda found: found.create_endpoint(NAME, CONFIG)),
}


@pytest.mark.parametrize("method", CREATES)
def test_what_is_there_already_stays(stub: Stub, method: str) -> None:
    message, call = CREATES[method]
    stub("sagemaker").add_client_error(method, "ValidationException", f'{message} "arn".')
    call(hosting(stub))


@pytest.mark.parametrize("method", CREATES)
@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("ValidationException", 'Could not find model "arn".', BadConfiguration),
        ("ResourceLimitExceeded", "The account-level service limit is 0.", BadConfiguration),
        ("AccessDeniedException", "not authorized", BadConfiguration),
        ("ThrottlingException", "Rate exceeded", Unavailable),
        ("InternalFailure", "", Unavailable),
    ],
)
def test_what_cannot_be_made_is_named(stub: Stub, method: str, code: str, message: str, kind: type) -> None:
    stub("sagemaker").add_client_error(method, code, message)
    with pytest.raises(kind, match="SageMaker does not do"):
        CREATES[method][1](hosting(stub))


def test_an_endpoint_is_created_and_deleted_by_its_name(stub: Stub) -> None:
    expected = {"EndpointName": NAME, "EndpointConfigName": CONFIG, "Tags": TAGS}
    stub("sagemaker").add_response("create_endpoint", {"EndpointArn": ANY_ARN}, expected)
    stub("sagemaker").add_response("delete_endpoint", {}, {"EndpointName": NAME})
    found = hosting(stub)
    found.create_endpoint(NAME, CONFIG)
    found.delete_endpoint(NAME)


def test_what_is_gone_already_is_deleted(stub: Stub) -> None:
    stub("sagemaker").add_client_error("delete_endpoint", "ValidationException", 'Could not find endpoint "arn".')
    gone = 'Could not find endpoint configuration "arn".'
    stub("sagemaker").add_client_error("delete_endpoint_config", "ValidationException", gone)
    stub("sagemaker").add_response("delete_model", {}, {"ModelName": CONFIG})
    found = hosting(stub)
    found.delete_endpoint(NAME)
    found.discard(CONFIG)


def test_what_cannot_be_deleted_now_is_named(stub: Stub) -> None:
    message = "Cannot update in-progress endpoint"
    stub("sagemaker").add_client_error("delete_endpoint", "ValidationException", message)
    with pytest.raises(BadConfiguration, match="in-progress"):
        hosting(stub).delete_endpoint(NAME)


def test_configurations_are_listed_to_the_last_page_by_how_they_begin(stub: Stub) -> None:
    def row(name: str) -> dict[str, Any]:
        return {"EndpointConfigName": name, "EndpointConfigArn": ANY_ARN, "CreationTime": NOW}

    first = {"EndpointConfigs": [row(CONFIG), row(f"x-{CONFIG}")], "NextToken": "more"}
    stub("sagemaker").add_response("list_endpoint_configs", first, {"NameContains": f"{NAME}-"})
    second = {"EndpointConfigs": [row(f"{NAME}-other")]}
    stub("sagemaker").add_response("list_endpoint_configs", second, {"NameContains": f"{NAME}-", "NextToken": "more"})
    assert hosting(stub).named(f"{NAME}-") == [CONFIG, f"{NAME}-other"]


@pytest.mark.parametrize(
    ("service", "kind"),
    [
        (SERVERLESS, "serverless-2048-5"),
        (replace(SERVERLESS, memory_mb=4096), "serverless-4096-5"),
        (INSTANCES, "ml.m5.large-2-arn:aws:kms:::key/1"),
    ],
)
def test_another_size_is_another_kind(stub: Stub, service: Service, kind: str) -> None:
    assert hosting(stub, service).kind == f"{kind}-{service.image}-{service.role}"


@pytest.mark.parametrize("other", [{"image": "another"}, {"role": "arn:aws:iam::123456789012:role/another"}])
def test_another_image_or_role_is_another_kind(stub: Stub, other: dict[str, str]) -> None:
    assert hosting(stub, replace(SERVERLESS, **other)).kind != hosting(stub, SERVERLESS).kind


class Broken(io.BytesIO):
    """An answer of which the rest never comes."""

    def read(self, *_: Any) -> bytes:
        raise ReadTimeoutError(endpoint_url="https://runtime")


def test_an_endpoint_is_asked_for_json(stub: Stub) -> None:
    asked = {"EndpointName": NAME, "Body": b"1", "ContentType": "text/csv", "Accept": "application/json"}
    body = StreamingBody(io.BytesIO(b"{}"), 2)
    stub("sagemaker-runtime").add_response("invoke_endpoint", {"Body": body}, asked)
    assert hosting(stub).invoke(NAME, b"1", "text/csv") == b"{}"


def test_an_answer_that_breaks_off_is_unavailable(stub: Stub) -> None:
    stub("sagemaker-runtime").add_response("invoke_endpoint", {"Body": StreamingBody(Broken(), 2)})
    with pytest.raises(Unavailable, match="did not answer"):
        hosting(stub).invoke(NAME, b"1", "text/csv")


@pytest.mark.parametrize(("status", "kind"), [(400, EndpointFailed), (500, Unavailable), (0, Unavailable)])
def test_a_container_that_refuses_is_told_from_one_that_cannot_answer_yet(stub: Stub, status: int, kind: type) -> None:
    told = {"OriginalMessage": "age: not a number\nTraceback", "OriginalStatusCode": status}
    stub("sagemaker-runtime").add_client_error("invoke_endpoint", "ModelError", "an error", modeled_fields=told)
    with pytest.raises(kind, match=r"age: not a number$"):
        hosting(stub).invoke(NAME, b"1", "text/csv")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ModelNotReadyException", Unavailable),
        ("ServiceUnavailable", Unavailable),
        ("ThrottlingException", Unavailable),
        ("InternalDependencyException", Unavailable),
        ("ValidationError", BadConfiguration),
        ("AccessDeniedException", BadConfiguration),
    ],
)
def test_no_answer_is_told_apart_by_whose_fault_it_is(stub: Stub, code: str, kind: type) -> None:
    stub("sagemaker-runtime").add_client_error("invoke_endpoint", code, "an error")
    with pytest.raises(kind, match="an error"):
        hosting(stub).invoke(NAME, b"1", "text/csv")


# ------------------------------------------------------------------------------------------------ tasks and topic


def test_a_decision_goes_to_whoever_waits(stub: Stub) -> None:
    expected = {"taskToken": "token", "output": '{"decision": "approved", "why": "\\u00fc"}'}
    stub("stepfunctions").add_response("send_task_success", {}, expected)
    assert WaitingTasks(stub("stepfunctions").client).succeed("token", {"decision": "approved", "why": "ü"})


@pytest.mark.parametrize("code", ["TaskTimedOut", "TaskDoesNotExist", "InvalidToken"])
def test_a_token_of_an_execution_that_has_ended_reaches_nobody(stub: Stub, code: str) -> None:
    stub("stepfunctions").add_client_error("send_task_success", code, "The task is gone.")
    assert not WaitingTasks(stub("stepfunctions").client).succeed("token", {})


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalFailure", "AccessDeniedException"])
def test_a_decision_that_could_not_be_passed_on_is_tried_again(stub: Stub, code: str) -> None:
    stub("stepfunctions").add_client_error("send_task_success", code, "")
    with pytest.raises(Unavailable):
        WaitingTasks(stub("stepfunctions").client).succeed("token", {})


def test_people_are_told_and_a_long_subject_is_cut(stub: Stub) -> None:
    expected = {"TopicArn": "arn:aws:sns:::t", "Subject": "s" * 100, "Message": "text"}
    stub("sns").add_response("publish", {"MessageId": "1"}, expected)
    SnsTopic("arn:aws:sns:::t", stub("sns").client).tell("s" * 101, "text")


@pytest.mark.parametrize("code", ["Throttled", "InternalError", "NotFound"])
def test_people_who_cannot_be_told_are_named(stub: Stub, code: str) -> None:
    stub("sns").add_client_error("publish", code, "")
    with pytest.raises(Unavailable, match="'subject' could not be sent"):
        SnsTopic("arn:aws:sns:::t", stub("sns").client).tell("subject", "text")


# ------------------------------------------------------------------------------------------------- feature groups


def group(stub: Stub) -> SageMakerFeatureGroup:
    return SageMakerFeatureGroup("ratchet-adclick", stub("sagemaker-featurestore-runtime").client)


def test_a_record_is_put_as_texts_by_name(stub: Stub) -> None:
    told = [{"FeatureName": name, "ValueAsString": value} for name, value in (("record_id", "1"), ("age", "31.0"))]
    expected = {"FeatureGroupName": "ratchet-adclick", "Record": told}
    stub("sagemaker-featurestore-runtime").add_response("put_record", {}, expected)
    group(stub).put([{"record_id": "1", "age": "31.0"}])


def test_all_records_are_put(stub: Stub) -> None:
    for _ in range(5):
        stub("sagemaker-featurestore-runtime").add_response("put_record", {})
    group(stub).put([{"record_id": str(number)} for number in range(5)])


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ThrottlingException", Unavailable),
        ("InternalFailure", Unavailable),
        ("ServiceUnavailable", Unavailable),
        ("ValidationError", BadConfiguration),
        ("ResourceNotFound", BadConfiguration),
        ("AccessForbidden", BadConfiguration),
    ],
)
def test_a_record_that_is_not_taken_is_named(stub: Stub, code: str, kind: type) -> None:
    stub("sagemaker-featurestore-runtime").add_client_error("put_record", code, "an error")
    with pytest.raises(kind, match="ratchet-adclick does not take a record"):
        group(stub).put([{"record_id": "1"}])
