"""Clients whose every answer is held against botocore's model of the service, and what tests of such services share."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError

from local.emulator.sagemaker_shapes import problems


class Checked:
    """A client of boto3; what it answers has the shape that the model promises."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._operations = {xform_name(name): name for name in client.meta.service_model.operation_names}

    def __getattr__(self, name: str) -> Any:
        if name not in self._operations:
            return getattr(self._client, name)
        shape = self._client.meta.service_model.operation_model(self._operations[name]).output_shape

        def call(**request: Any) -> dict[str, Any]:
            told: dict[str, Any] = getattr(self._client, name)(**request)
            answer = {key: value for key, value in told.items() if key != "ResponseMetadata"}
            if hasattr(answer.get("Body"), "read"):
                answer["Body"] = answer["Body"].read()
            assert shape is not None or not answer, answer
            assert shape is None or not problems(answer, shape), problems(answer, shape)
            return answer

        return call


def role(emulator: Any, name: str, service: str, *statements: tuple[Any, Any]) -> str:
    """The ARN of a role that `service` may take, with one Allow for each (actions, resources)."""
    iam = emulator.client("iam")
    trust = [{"Effect": "Allow", "Principal": {"Service": service, "AWS": "*"}, "Action": "sts:AssumeRole"}]
    document = {"Version": "2012-10-17", "Statement": trust}
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document))["Role"]["Arn"]
    allowed = [{"Effect": "Allow", "Action": actions, "Resource": resources} for actions, resources in statements]
    policy = json.dumps({"Version": "2012-10-17", "Statement": allowed})
    iam.put_role_policy(RoleName=name, PolicyName="given", PolicyDocument=policy)
    return str(arn)


def acting_as(emulator: Any, arn: str) -> dict[str, str]:
    """Credentials of a role, as options of a client."""
    key = emulator.client("sts").assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"]
    names = {"AccessKeyId": "access_key_id", "SecretAccessKey": "secret_access_key", "SessionToken": "session_token"}
    return {f"aws_{name}": key[told] for told, name in names.items()}


def unvalidated(emulator: Any, service: str) -> Any:
    """A client that sends what it is given, however wrong."""
    return emulator.client(service, config=Config(parameter_validation=False, retries={"total_max_attempts": 1}))


def refused(call: Callable[..., Any], **request: Any) -> tuple[str, str, int]:
    """Code, message and HTTP status of the error with which a call is answered."""
    with pytest.raises(ClientError) as caught:
        call(**request)
    told = caught.value.response
    return told["Error"]["Code"], told["Error"]["Message"], told["ResponseMetadata"]["HTTPStatusCode"]


def until(look: Callable[[], Any], seconds: float = 30) -> Any:
    """What `look` sees once it sees something."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.1)
    return seen
