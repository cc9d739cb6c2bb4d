"""`aws-sdk:*` tasks through boto3 against the emulator, as the machine's role, with AWS's names for errors.

The shapes of botocore's service models translate between the PascalCase of Step Functions and each API's own names.
"""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import boto3
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError
from botocore.response import StreamingBody
from ministack.services import stepfunctions as sfn

from local.emulator import roles
from local.emulator import stepfunctions_scope as scopes

# Where Step Functions' name of a service is not boto3's without hyphens.
_BOTO_NAMES = {"sfn": "stepfunctions", "eventbridge": "events", "cloudwatchlogs": "logs"}
# Where AWS's SDK for Java, whose names the errors carry, writes a service's name unlike its id.
_ERROR_PREFIXES = {"SFN": "Sfn", "DynamoDB": "DynamoDb", "SQS": "Sqs", "SNS": "Sns", "SSM": "Ssm", "STS": "Sts"}


@lru_cache
def service(name: str) -> str:
    """boto3's name of a service from its name in an ARN (`emrserverless` -> `emr-serverless`)."""
    known = {each.replace("-", ""): each for each in boto3.session.Session().get_available_services()}
    known |= _BOTO_NAMES
    if name.lower() not in known:
        raise sfn._ExecutionError("States.Runtime", f"aws-sdk:{name} is not a service of the AWS SDK.")
    return known[name.lower()]


def error_name(model: Any, code: str) -> str:
    """AWS's name of an error: a modeled one by its shape, any other by the service (`S3.S3Exception`)."""
    prefix = _ERROR_PREFIXES.get(model.service_id, re.sub(r"[ -]", "", model.service_id))
    modeled = {shape.name for shape in model.error_shapes} | {shape.error_code for shape in model.error_shapes}
    if code not in modeled:
        return f"{prefix}.{prefix}Exception"
    return f"{prefix}.{re.sub('(Exception|Fault)$', '', code)}Exception"


def to_api(value: Any, shape: Any) -> Any:
    """Arguments of a task as boto3 wants them: the API's own member names, bytes for blobs."""
    if shape.type_name == "structure":
        members = {name.lower(): name for name in shape.members}
        return {members.get(key.lower(), key): _member(value[key], shape, members.get(key.lower())) for key in value}
    if shape.type_name == "list":
        return [to_api(item, shape.member) for item in value]
    if shape.type_name == "map":
        return {key: to_api(item, shape.value) for key, item in value.items()}
    if shape.type_name == "blob":
        return (value if isinstance(value, str) else json.dumps(value)).encode()
    return json.dumps(value) if shape.type_name == "string" and not isinstance(value, str) else value


def _member(value: Any, shape: Any, name: str | None) -> Any:
    # An unknown member goes through: boto3 refuses it by name.
    return value if name is None else to_api(value, shape.members[name])


def from_api(value: Any, shape: Any) -> Any:
    """A response of boto3 as Step Functions passes it on: PascalCase, instants as text, bodies as text."""
    if isinstance(value, StreamingBody):
        return value.read().decode()
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if shape.type_name == "structure":
        names = [name for name in shape.members if name in value]
        return {name[0].upper() + name[1:]: from_api(value[name], shape.members[name]) for name in names}
    if shape.type_name == "list":
        return [from_api(item, shape.member) for item in value]
    if shape.type_name == "map":
        return {key: from_api(item, shape.value) for key, item in value.items()}
    return value


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
