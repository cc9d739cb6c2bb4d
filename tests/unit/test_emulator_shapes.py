"""Names and values between Step Functions and AWS's APIs, and SageMaker's requests against its service model."""

from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest

from local.emulator.sagemaker_rest import answer, operation, request
from local.emulator.sagemaker_shapes import model, problems, repeated
from local.emulator.stepfunctions_shapes import error_name, from_api, to_api


def service(name: str) -> Any:
    return botocore.session.get_session().get_service_model(name)


@pytest.mark.parametrize(
    ("name", "code", "expected"),
    [
        ("s3", "NoSuchKey", "S3.NoSuchKeyException"),
        ("s3", "PreconditionFailed", "S3.S3Exception"),
        ("stepfunctions", "ExecutionAlreadyExists", "Sfn.ExecutionAlreadyExistsException"),
        ("sagemaker", "ResourceInUse", "SageMaker.ResourceInUseException"),
        ("sagemaker", "ValidationException", "SageMaker.SageMakerException"),
        ("dynamodb", "ConditionalCheckFailedException", "DynamoDb.ConditionalCheckFailedException"),
        ("secretsmanager", "ResourceNotFoundException", "SecretsManager.ResourceNotFoundException"),
    ],
)
def test_an_error_is_named_as_by_aws(name: str, code: str, expected: str) -> None:
    assert error_name(service(name), code) == expected


def test_arguments_take_the_names_of_the_api() -> None:
    shape = service("stepfunctions").operation_model("StartExecution").input_shape
    assert to_api({"StateMachineArn": "a", "Input": {"n": 1}}, shape) == {"stateMachineArn": "a", "input": '{"n": 1}'}


def test_a_body_that_is_no_text_is_sent_as_json() -> None:
    shape = service("s3").operation_model("PutObject").input_shape
    assert to_api({"Bucket": "b", "Key": "k", "Body": {"n": 1}}, shape)["Body"] == b'{"n": 1}'


def test_an_unknown_member_is_left_for_the_sdk_to_refuse() -> None:
    shape = service("s3").operation_model("PutObject").input_shape
    assert to_api({"Buckett": "b"}, shape) == {"Buckett": "b"}


def test_an_answer_is_pascal_case_with_instants_as_text() -> None:
    shape = service("stepfunctions").operation_model("DescribeExecution").output_shape
    answer = {"status": "RUNNING", "startDate": datetime(2026, 11, 21, 4, tzinfo=UTC), "ResponseMetadata": {}}
    assert from_api(answer, shape) == {"Status": "RUNNING", "StartDate": "2026-11-21T04:00:00.000Z"}


REQUEST = {
    "TrainingJobName": "mlops-returns-20261121-040000-ab12-a1r0",
    "RoleArn": "arn:aws:iam::123456789012:role/train",
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/model"},
}


def wrong(**change: Any) -> str:
    return problems({**REQUEST, **change}, model().operation_model("CreateTrainingJob").input_shape)


def test_a_good_request_has_no_problems() -> None:
    assert wrong(HyperParameters={"lr": "0.001"}, StoppingCondition={"MaxRuntimeInSeconds": 60}) == ""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"TrainingJobName": "under_scored"}, "TrainingJobName must match"),
        ({"TrainingJobName": "x" * 64}, "TrainingJobName must be at most 63, not 64"),
        ({"RoleArn": "train"}, "RoleArn"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 0}}, "MaxRuntimeInSeconds"),
        ({"HyperParameters": {"lr": 0.001}}, "Invalid type for parameter HyperParameters.lr"),
        ({"Hyperparameters": {}}, 'Unknown parameter in input: "Hyperparameters"'),
        ({"InputDataConfig": [{"ChannelName": "a b", "DataSource": {}}]}, "InputDataConfig[0].ChannelName must match"),
        (
            {"AlgorithmSpecification": {"TrainingInputMode": "Stream"}},
            "TrainingInputMode must be one of Pipe, File, FastFile, not 'Stream'",
        ),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(change: dict[str, Any], says: str) -> None:
    assert says in wrong(**change)


@pytest.mark.parametrize(
    ("text", "fits"),
    [("Klickprognosen – täglich, 50 %", True), ("日本 𝛼", True), ("", True), ("a\x00b", False), ("a\nb", False)],
)
def test_classes_of_characters_are_those_of_java(text: str, fits: bool) -> None:
    shape = model().operation_model("CreateModelPackageGroup").input_shape
    request = {"ModelPackageGroupName": "group", "ModelPackageGroupDescription": text}
    assert (problems(request, shape) == "") is fits


def test_a_header_of_ascii_alone_takes_no_other_letters() -> None:
    shape = model("sagemaker-runtime").operation_model("InvokeEndpoint").input_shape
    request = {"EndpointName": "one", "Body": b""}
    assert problems({**request, "ContentType": "text/csv; header=present"}, shape) == ""
    assert "ContentType must match" in problems({**request, "ContentType": "täxt"}, shape)
    assert "Body must be at most" in problems({"EndpointName": "one", "Body": b"x" * 6_291_457}, shape)


def test_what_a_request_and_its_description_share_is_repeated() -> None:
    request = {"ModelName": "m", "Tags": [], "EnableNetworkIsolation": True}
    assert repeated(request, "DescribeModel") == {"ModelName": "m", "EnableNetworkIsolation": True}


def test_a_missing_member_is_named() -> None:
    shape = model().operation_model("CreateTrainingJob").input_shape
    assert 'Missing required parameter in input: "RoleArn"' in problems({"TrainingJobName": "a"}, shape)


def test_a_call_of_a_runtime_is_read_from_its_path_headers_query_and_body() -> None:
    found, names = operation("POST", "/endpoints/one/invocations") or (None, {})
    headers = {"content-type": "text/csv", "x-amzn-sagemaker-target-variant": "AllTraffic"}
    told = request(found, names, headers, {}, b"1,2")
    assert told == {"EndpointName": "one", "Body": b"1,2", "ContentType": "text/csv", "TargetVariant": "AllTraffic"}
    arn = "arn:aws:sagemaker:us-east-1:000000000000:feature-group/g"
    found, names = operation("GET", f"/FeatureGroup/{arn.replace('/', '%2F')}") or (None, {})
    query = {"RecordIdentifierValueAsString": ["u1"], "FeatureName": ["a", "b"]}
    asked = {"FeatureGroupName": arn, "RecordIdentifierValueAsString": "u1", "FeatureNames": ["a", "b"]}
    assert request(found, names, {}, query, b"") == asked
    assert operation("GET", "/nowhere") is None


def test_an_answer_of_a_runtime_has_its_headers_and_its_body() -> None:
    found, _ = operation("POST", "/endpoints/one/invocations") or (None, {})
    headers, body = answer(found, {"Body": b"7", "ContentType": "text/csv", "InvokedProductionVariant": "AllTraffic"})
    assert (body, headers["Content-Type"]) == (b"7", "text/csv")
    assert headers["x-Amzn-Invoked-Production-Variant"] == "AllTraffic"
