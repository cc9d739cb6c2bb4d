"""Names and values between Step Functions and AWS's APIs, and SageMaker's requests against its service model."""

from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest

from local.emulator.sagemaker_shapes import model, problems
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


def test_a_missing_member_is_named() -> None:
    shape = model().operation_model("CreateTrainingJob").input_shape
    assert 'Missing required parameter in input: "RoleArn"' in problems({"TrainingJobName": "a"}, shape)
