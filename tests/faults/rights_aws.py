"""AWS for the SDK's clients in this process: every request is noted and answered here, none is sent.

It is of a moment at which everything is there and still runs, so that a caller asks all that it ever may.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from types import SimpleNamespace
from typing import Any
from unittest import mock

import boto3
from ratchet.endpoint.hosting import config_name, endpoint_name

from tests.faults.rights_reference import known
from tests.faults.rights_resources import arn, job
from tests.faults.rights_template import STACK

CREDENTIALS = json.dumps({"url": "http://127.0.0.1:9", "key": "key", "db_url": "postgresql://127.0.0.1:9/"})
RUN = "run"
"""An execution's name."""
PARENTS = tuple(arn("states", f"execution:stack-{machine}:run") for machine in ("returns", "adclick", "deployment"))
"""Executions that hold a lease: of pipelines whose models the gate puts into service, or a person, and what deploys."""
PARTS, RELEASE, SIGNED, MOVE = (
    arn("states", f"execution:stack-{machine}:run")
    for machine in ("extract-parts", "release", "signed-release", "endpoint")
)
JOB = arn("sagemaker", f"training-job/{job('returns')}")
ENDPOINT = endpoint_name(STACK, "adclick")
CONFIG = config_name(ENDPOINT, "2026-11-21T04-00-00Z", "0" * 64, "serverless")
"""The name of a configuration, and of its model."""
PASSED = '{"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}'
Given = Mapping[str, Any]


def _named(service: str, kind: str) -> Callable[[str], list[str]]:
    return lambda name: [arn(service, kind + name)]


ABOUT: dict[str, Callable[[str], list[str]]] = {
    **dict.fromkeys(("executionArn", "stateMachineArn", "ResourceArn"), lambda arn: [arn]),
    **dict.fromkeys(("ModelPackageArn", "ModelPackageName", "TopicArn"), lambda arn: [arn]),
    "TrainingJobName": _named("sagemaker", "training-job/"),
    "SecretId": lambda name: [name if name.startswith("arn:") else arn("secretsmanager", f"secret:{name}")],
    "Name": _named("ssm", "parameter"),
    "ModelPackageGroupName": lambda name: [arn("sagemaker", f"model-package/{name}/1")],
    "ModelName": _named("sagemaker", "model/"),
    "EndpointName": _named("sagemaker", "endpoint/"),
    "EndpointConfigName": _named("sagemaker", "endpoint-config/"),
    "FeatureGroupName": _named("sagemaker", "feature-group/"),
}
"""The parameters that name what a request is about, and the ARNs made of them.

A request that names several is about all of them that its action knows; an action may know none.
"""


def _besides(given: Given, about: list[str]) -> Iterator[tuple[str, str]]:
    """What a request takes besides its own action: to tag what it makes, to hand on a role, to look at alarms."""
    if "Tags" in given:
        yield "sagemaker:AddTags", about[0]
    if "ExecutionRoleArn" in given:
        yield f"iam:PassRole if {PASSED}", given["ExecutionRoleArn"]
    for each in given.get("DeploymentConfig", {}).get("AutoRollbackConfiguration", {}).get("Alarms", []):
        yield "cloudwatch:DescribeAlarms", arn("cloudwatch", f"alarm:{each['AlarmName']}")


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
    return {"ETag": '"e"', "ContentLength": 1, "LastModified": datetime.now(UTC), "Body": _Body(b"x")}


def _history(execution: str) -> dict[str, Any]:
    """A pipeline's machine lands parts, then starts a release, and that a job; what deploys moves an endpoint."""
    job = ("sagemaker", {"TrainingJobArn": JOB})
    parts, release, signed, endpoint = (("states", {"ExecutionArn": each}) for each in (PARTS, RELEASE, SIGNED, MOVE))
    started = dict(zip(PARENTS, ([parts, release], [parts, signed], [endpoint]), strict=True))
    started |= {RELEASE: [job], SIGNED: [job]}
    told = [{"resourceType": resource, "output": json.dumps(output)} for resource, output in started.get(execution, [])]
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
    "sagemaker:CreateModelPackage": lambda about: {"ModelPackageArn": about},
    "sagemaker:DescribeEndpoint": lambda _: {"EndpointStatus": "InService", "EndpointConfigName": CONFIG},
    "sagemaker:ListEndpointConfigs": lambda _: {"EndpointConfigs": []},
    "sagemaker:InvokeEndpoint": lambda _: {"Body": _Body(b"{}")},
}
"""All others are answered with a tag, which only S3's callers look for."""


class _Aws:
    """Whoever answers the clients of one session."""

    def __init__(self) -> None:
        self.session = boto3.session.Session("x", "x", region_name="us-east-1")
        self.session.events.register("provide-client-params", _keep)
        self.session.events.register("before-call", self._answer)
        self.asked: set[Asked] = set()
        self.failing = ""

    def _answer(self, model: Any, params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        operation, given = f"{model.service_model.signing_name}:{model.name}", params["context"]["given"]
        named = [each for name, make in ABOUT.items() if name in given for each in make(given[name])]
        about = [""] if operation.startswith("s3:") else known(operation, named)
        assert about, f"what is {operation} about?"
        headers = frozenset(name.lower() for name in params["headers"])
        for action, each in [*((operation, each) for each in about), *_besides(given, about)]:
            self.asked.add(Asked(action, each, model.http["method"], model.http["requestUri"], headers))
        if operation == self.failing:
            return SimpleNamespace(status_code=503), {"Error": {"Code": "SlowDown", "Message": ""}}
        return SimpleNamespace(status_code=200), ANSWERS.get(operation, lambda _: {"ETag": '"e"'})(about[-1])


def _keep(params: Given, context: dict[str, Any], **_: Any) -> None:
    context["given"] = dict(params)


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
