"""AWS for the SDK's clients in this process: every request is noted and answered here, none is sent.

It is of a moment at which everything is there and still runs, so that a caller asks all that it ever may.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from types import SimpleNamespace
from typing import Any
from unittest import mock

import boto3

from tests.faults.rights_resources import arn, job

CREDENTIALS = json.dumps({"url": "http://127.0.0.1:9", "key": "key", "db_url": "postgresql://127.0.0.1:9/"})
RUN = "run"
"""An execution's name."""
MACHINE = arn("states", "stateMachine:stack-rul")
PARENT, PARTS, CHILD = (
    arn("states", f"execution:stack-{machine}:run") for machine in ("returns", "extract-parts", "release")
)
JOB = arn("sagemaker", f"training-job/{job('returns')}")
ABOUT: dict[str, Callable[[str], str]] = {
    "executionArn": str,
    "stateMachineArn": str,
    "ResourceArn": str,
    "TrainingJobName": lambda name: arn("sagemaker", f"training-job/{name}"),
    "SecretId": lambda name: arn("secretsmanager", f"secret:{name}"),
    "Name": lambda name: arn("ssm", f"parameter{name}"),
}
"""The parameters that name what a request is about, and how its ARN is made of them."""


@dataclass(frozen=True)
class Asked:
    """A request: service and operation, the ARN it is about (of one to S3 nothing), and how it is sent.

    `uri` has a place for a key, and none for the bucket.
    """

    operation: str
    about: str
    method: str
    uri: str
    headers: frozenset[str]


class _Body(BytesIO):
    def iter_chunks(self, _: int) -> Iterator[bytes]:
        yield self.read()


def _object(_: str) -> dict[str, Any]:
    return {"ETag": '"e"', "ContentLength": 1, "Body": _Body(b"x")}


def _history(execution: str) -> dict[str, Any]:
    """A pipeline's machine starts the landing of parts, then the release, and that a job."""
    started = {
        PARENT: [("states", {"ExecutionArn": PARTS}), ("states", {"ExecutionArn": CHILD})],
        PARTS: [],
        CHILD: [("sagemaker", {"TrainingJobArn": JOB})],
    }
    told = [{"resourceType": resource, "output": json.dumps(output)} for resource, output in started[execution]]
    return {"events": [{"taskSubmittedEventDetails": each} for each in told]}


def _job(_: str) -> dict[str, Any]:
    return {"TrainingJobArn": JOB, "TrainingJobStatus": "InProgress", "SecondaryStatus": "Training"}


ANSWERS: dict[str, Callable[[str], dict[str, Any]]] = {
    "s3:GetObject": _object,
    "s3:HeadObject": _object,
    "s3:CreateMultipartUpload": lambda _: {"UploadId": "u"},
    "states:DescribeExecution": lambda _: {"status": "RUNNING", "startDate": datetime.now(UTC)},
    "states:GetExecutionHistory": _history,
    "sagemaker:DescribeTrainingJob": _job,
    "sagemaker:ListTags": lambda _: {"Tags": []},
    "secretsmanager:GetSecretValue": lambda _: {"SecretString": CREDENTIALS},
    "ssm:GetParameter": lambda _: {"Parameter": {"Value": CREDENTIALS}},
}
"""All others are answered with a tag, which only S3's callers look for."""


class _Aws:
    """Whoever answers the clients of one session."""

    def __init__(self) -> None:
        self.session = boto3.session.Session("x", "x", region_name="us-east-1")
        self.session.events.register("before-call", self._answer)
        self.asked: set[Asked] = set()
        self.failing = ""

    def _answer(self, model: Any, params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        operation, about = f"{model.service_model.signing_name}:{model.name}", ""
        if not operation.startswith("s3:"):
            given = json.loads(params["body"])
            (about,) = (make(given[name]) for name, make in ABOUT.items() if name in given)
        headers = frozenset(name.lower() for name in params["headers"])
        self.asked.add(Asked(operation, about, model.http["method"], model.http["requestUri"], headers))
        if operation == self.failing:
            return SimpleNamespace(status_code=503), {"Error": {"Code": "SlowDown", "Message": ""}}
        return SimpleNamespace(status_code=200), ANSWERS.get(operation, lambda _: {"ETag": '"e"'})(about)


@cache
def _aws() -> _Aws:
    # One for all: to make a session's first client takes long.
    return _Aws()


@contextmanager
def noted(failing: str = "") -> Iterator[set[Asked]]:
    """What clients made within the block ask; the operation `failing` is answered with an error."""
    aws = _aws()
    aws.asked, aws.failing = set(), failing
    with mock.patch.object(boto3, "DEFAULT_SESSION", aws.session):
        yield aws.asked
