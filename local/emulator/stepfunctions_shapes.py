"""Between Step Functions and the APIs of AWS, by the shapes of botocore's service models: names, values, errors."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from typing import Any

from botocore.response import StreamingBody

# Where AWS's SDK for Java, whose names the errors carry, writes a service's name unlike its id.
_ERROR_PREFIXES = {"SFN": "Sfn", "DynamoDB": "DynamoDb", "SQS": "Sqs", "SNS": "Sns", "SSM": "Ssm", "STS": "Sts"}


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
