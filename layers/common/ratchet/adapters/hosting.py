"""The hosting port on SageMaker: models, endpoint configurations and endpoints, serverless or on instances."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError

from ratchet.adapters.sagemaker import CONFIG
from ratchet.adapters.sagemaker_errors import EXISTING, errors, is_absent, translated
from ratchet.endpoint.hosting import Endpoint
from ratchet.errors import EndpointFailed, Unavailable

VARIANT = "AllTraffic"
ASKING = Config(connect_timeout=5, read_timeout=70, retries={"mode": "standard", "max_attempts": 2})
"""A model may take 60 seconds for an answer."""
SERVERLESS = "serverless"


@dataclass(frozen=True)
class Service:
    """How endpoints are hosted: `kind` is `serverless`, or the type of `instances` machines.

    `memory_mb` and `concurrency` are a serverless endpoint's; `alarms` take an update of instances back. `role` is what
    containers run as, `key` encrypts the disks of instances.
    """

    kind: str
    image: str
    role: str
    memory_mb: int
    concurrency: int
    instances: int
    alarms: tuple[str, ...]
    key: str
    stack: str


class SageMakerHosting:
    """SageMaker with the process's own credentials, or the given clients."""

    def __init__(self, service: Service, client: Any = None, runtime: Any = None) -> None:
        """Clients are made here once."""
        self._service = service
        self._client = client or boto3.client("sagemaker", config=CONFIG)
        self._runtime = runtime or boto3.client("sagemaker-runtime", config=ASKING)

    @property
    def kind(self) -> str:
        """See the port; another size, image or role is another kind."""
        service = self._service
        if service.kind == SERVERLESS:
            size = f"{SERVERLESS}-{service.memory_mb}-{service.concurrency}"
        else:
            size = f"{service.kind}-{service.instances}-{service.key}"
        return f"{size}-{service.image}-{service.role}"

    def endpoint(self, name: str) -> Endpoint | None:
        """See the port."""
        with errors(name):
            try:
                told = self._client.describe_endpoint(EndpointName=name)
            except ClientError as error:
                if is_absent(error):
                    return None
                raise
        return Endpoint(told["EndpointStatus"], told["EndpointConfigName"], told.get("FailureReason", ""))

    def create_model(self, name: str, model_uri: str) -> None:
        """See the port. The container finds `inference.py` inside the bundle."""
        service = self._service
        program = {
            "SAGEMAKER_PROGRAM": "inference.py",
            "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
            # TorchServe would hand over JSON as objects, and start a worker per core, each of which imports torch.
            "TS_DECODE_INPUT_REQUEST": "false",
            "SAGEMAKER_MODEL_SERVER_WORKERS": "1",
        }
        container = {"Image": service.image, "ModelDataUrl": model_uri, "Environment": program}
        # Serverless endpoints know no isolation.
        isolated = service.kind != SERVERLESS
        with _existing(name):
            self._client.create_model(
                ModelName=name,
                PrimaryContainer=container,
                ExecutionRoleArn=service.role,
                EnableNetworkIsolation=isolated,
                Tags=self._tags(),
            )

    def create_config(self, name: str, model: str) -> None:
        """See the port."""
        service = self._service
        key = {"KmsKeyId": service.key} if service.key and service.kind != SERVERLESS else {}
        variant = {"VariantName": VARIANT, "ModelName": model, **self._size()}
        with _existing(name):
            self._client.create_endpoint_config(
                EndpointConfigName=name, ProductionVariants=[variant], Tags=self._tags(), **key
            )

    def create_endpoint(self, name: str, config: str) -> None:
        """See the port."""
        with _existing(name):
            self._client.create_endpoint(EndpointName=name, EndpointConfigName=config, Tags=self._tags())

    def update_endpoint(self, name: str, config: str) -> None:
        """See the port. Instances change over blue/green, and back when an alarm goes off."""
        deployment = {} if self._service.kind == SERVERLESS else {"DeploymentConfig": self._blue_green()}
        with errors(name):
            self._client.update_endpoint(EndpointName=name, EndpointConfigName=config, **deployment)

    def delete_endpoint(self, name: str) -> None:
        """See the port."""
        with _gone(name):
            self._client.delete_endpoint(EndpointName=name)

    def named(self, prefix: str) -> list[str]:
        """See the port."""
        with errors(prefix):
            pages = self._client.get_paginator("list_endpoint_configs").paginate(NameContains=prefix)
            names = [config["EndpointConfigName"] for page in pages for config in page["EndpointConfigs"]]
        return [name for name in names if name.startswith(prefix)]

    def discard(self, name: str) -> None:
        """See the port."""
        with _gone(name):
            self._client.delete_endpoint_config(EndpointConfigName=name)
        with _gone(name):
            self._client.delete_model(ModelName=name)

    def invoke(self, endpoint: str, body: bytes, content_type: str) -> bytes:
        """See the port."""
        try:
            told = self._runtime.invoke_endpoint(
                EndpointName=endpoint, Body=body, ContentType=content_type, Accept="application/json"
            )
            answer: bytes = told["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] == "ModelError":
                # A container that is just starting, or too busy, answers with another status than one that refuses.
                refused = 400 <= int(error.response.get("OriginalStatusCode", 500)) < 500
                kind = EndpointFailed if refused else Unavailable
                raise kind(f"{endpoint}: {_said(error)}") from error
            raise translated(error, endpoint) from error
        except BotoCoreError as error:
            raise Unavailable(f"{endpoint} did not answer: {error}") from error
        return answer

    def _size(self) -> dict[str, Any]:
        service = self._service
        if service.kind == SERVERLESS:
            size = {"MemorySizeInMB": service.memory_mb, "MaxConcurrency": service.concurrency}
            return {"ServerlessConfig": size}
        return {"InstanceType": service.kind, "InitialInstanceCount": service.instances, "InitialVariantWeight": 1.0}

    def _blue_green(self) -> dict[str, Any]:
        canary = {
            "Type": "CANARY",
            "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1},
            "WaitIntervalInSeconds": 300,
        }
        # One instance alone has no part that could go ahead.
        at_once = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 300}
        routing = canary if self._service.instances > 1 else at_once
        policy = {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": 300}
        alarms = [{"AlarmName": name} for name in self._service.alarms]
        # An empty list of them is refused.
        rollback = {"AutoRollbackConfiguration": {"Alarms": alarms}} if alarms else {}
        return {"BlueGreenUpdatePolicy": policy, **rollback}

    def _tags(self) -> list[dict[str, str]]:
        """By which `ratchet destroy` knows what is the stack's."""
        return [{"Key": "ratchet:stack", "Value": self._service.stack}]


@contextmanager
def _existing(name: str) -> Iterator[None]:
    """What is there already under that name was made from the same: names say what."""
    with errors(name):
        try:
            yield
        except ClientError as error:
            if EXISTING not in error.response["Error"]["Message"]:
                raise


@contextmanager
def _gone(name: str) -> Iterator[None]:
    with errors(name):
        try:
            yield
        except ClientError as error:
            if not is_absent(error):
                raise


def _said(error: ClientError) -> str:
    """The container's own words, where it had some, without the traceback that the toolkit adds."""
    told = str(error.response.get("OriginalMessage") or error.response["Error"]["Message"])
    return told.partition("\n")[0]
