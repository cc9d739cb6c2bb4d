"""The optimized integration `sagemaker:createTrainingJob[.sync]` of Step Functions.

A job that fails is `States.TaskFailed` with DescribeTrainingJob's JSON as Cause. A stopped one (by a person, or by its
MaxRuntime) is a result that says so. When the task ends first, its job is stopped.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from ministack.services import stepfunctions as sfn

from local.emulator import stepfunctions_scope as scopes
from local.emulator.sagemaker_jobs import ENDS
from local.emulator.stepfunctions_sdk import client_of_machine
from local.emulator.stepfunctions_shapes import to_api
from local.emulator.stepfunctions_states import record_submitted

RESOURCE = "arn:aws:states:::sagemaker:createTrainingJob"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
"""Seconds between two looks at a job; each pause is a tenth longer than the one before."""
_TAG = {"Key": "MANAGED_BY_AWS", "Value": "STARTED_BY_STEP_FUNCTIONS"}


def invoke(resource: str, sent: dict[str, Any]) -> dict[str, Any]:
    """Create the job as the machine's role and, for `.sync`, see it to its end."""
    client = client_of_machine("sagemaker")
    shape = client.meta.service_model.operation_model("CreateTrainingJob").input_shape
    request = to_api({**sent, "Tags": [*sent.get("Tags", []), _TAG]}, shape)
    created = _called(client.create_training_job, **request)
    if not resource.endswith(".sync"):
        return {"TrainingJobArn": created["TrainingJobArn"]}
    record_submitted("sagemaker", resource, {"TrainingJobArn": created["TrainingJobArn"]})
    described = _await_end(client, request["TrainingJobName"])
    described.pop("ResponseMetadata")
    result: dict[str, Any] = json.loads(json.dumps(described, default=_milliseconds))
    if result["TrainingJobStatus"] == "Failed":
        raise sfn._ExecutionError("States.TaskFailed", json.dumps(result))
    return result


def _await_end(client: Any, name: str) -> dict[str, Any]:
    scope, pause = scopes.current(), _FIRST_PAUSE
    with scope.on_cancel(lambda: _stop(client, name)):
        while True:
            described: dict[str, Any] = _called(client.describe_training_job, TrainingJobName=name)
            if described["TrainingJobStatus"] in ENDS:
                return described
            scope.sleep(pause)
            pause = min(_LONGEST_PAUSE, 1.1 * pause)


def _stop(client: Any, name: str) -> None:
    if _called(client.describe_training_job, TrainingJobName=name)["TrainingJobStatus"] == "InProgress":
        _called(client.stop_training_job, TrainingJobName=name)


def _called(call: Any, **request: Any) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = call(**request)
        return answer
    except ClientError as error:
        code = error.response["Error"]["Code"]
        modeled = code in ("ResourceInUse", "ResourceNotFound", "ResourceLimitExceeded")
        name = f"{re.sub('Exception$', '', code)}Exception" if modeled else "AmazonSageMakerException"
        raise sfn._ExecutionError(f"SageMaker.{name}", str(error)) from error


def _milliseconds(value: Any) -> int:
    if isinstance(value, datetime):
        return int(value.timestamp() * 1000)
    raise TypeError(f"{value!r} is no part of an answer")


def install() -> None:
    """Register the integration."""
    sfn._SERVICE_DISPATCH[RESOURCE] = invoke
