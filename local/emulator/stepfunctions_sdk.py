"""`aws-sdk:*` tasks through boto3 against the emulator, as the machine's role, with AWS's names for errors."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import boto3
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError
from ministack.services import stepfunctions as sfn

from local.emulator import roles
from local.emulator import stepfunctions_scope as scopes
from local.emulator.stepfunctions_shapes import error_name, from_api, to_api

# Where Step Functions' name of a service is not boto3's without hyphens.
_BOTO_NAMES = {"sfn": "stepfunctions", "eventbridge": "events", "cloudwatchlogs": "logs"}


@lru_cache
def service(name: str) -> str:
    """boto3's name of a service from its name in an ARN (`emrserverless` -> `emr-serverless`)."""
    known: dict[str, str] = {each.replace("-", ""): each for each in boto3.session.Session().get_available_services()}
    known |= _BOTO_NAMES
    if name.lower() not in known:
        raise sfn._ExecutionError("States.Runtime", f"aws-sdk:{name} is not a service of the AWS SDK.")
    return known[name.lower()]


def invoke(resource: str, sent: dict[str, Any]) -> Any:
    """Run one `arn:aws:states:::aws-sdk:<service>:<action>` task."""
    name, action = resource.split(":")[6:8]
    client = client_of_machine(service(name))
    model = client.meta.service_model
    operation = action[0].upper() + action[1:]
    if operation not in model.operation_names:
        raise sfn._ExecutionError("States.Runtime", f"{model.service_id} has no action {operation}.")
    shapes = model.operation_model(operation)
    try:
        arguments = to_api(sent, shapes.input_shape) if shapes.input_shape else {}
        answer = getattr(client, xform_name(operation))(**arguments)
    except ClientError as error:
        raise sfn._ExecutionError(error_name(model, error.response["Error"]["Code"]), str(error)) from error
    except BotoCoreError as error:
        raise sfn._ExecutionError(error_name(model, ""), str(error)) from error
    return from_api(answer, shapes.output_shape) if shapes.output_shape else {}


def client_of_machine(boto_name: str) -> Any:
    """A client that acts as the role of the machine whose execution runs in this thread."""
    return roles.client(boto_name, role_of(scopes.current().execution), "states", sfn.get_region())


def role_of(execution: dict[str, Any]) -> str:
    """The role of an execution's machine; the child of a map run has its parent's."""
    return str(sfn._state_machines[execution["stateMachineArn"].split("/", 1)[0]]["roleArn"])


def install() -> None:
    """Take over the aws-sdk tasks."""
    sfn._invoke_aws_sdk_integration = invoke
