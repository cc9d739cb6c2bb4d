"""The environment of a function, parsed once: the only place that reads `os.environ`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from ratchet.errors import BadConfiguration


@dataclass(frozen=True)
class Settings:
    """What the template tells a function. A field without a default must be set; empty text counts as unset."""

    bucket: str
    """RATCHET_BUCKET: the landing bucket."""
    stack: str
    """RATCHET_STACK: the stack's name; job names and metrics carry it."""
    sensor_bucket: str = ""
    """RATCHET_SENSOR_BUCKET: where sensors write their files; the landing bucket where it is not set."""
    secret: str = ""
    """RATCHET_SECRET: a Secrets Manager ARN or name, or `ssm:/name` of a SecureString: JSON of url, key, db_url."""
    training_role: str = ""
    """RATCHET_TRAINING_ROLE: ARN that training jobs run as."""
    training_image: str = ""
    """RATCHET_TRAINING_IMAGE: URI of the framework image."""
    training_instance: str = "ml.g4dn.xlarge"
    """RATCHET_TRAINING_INSTANCE: instance type of training jobs (the template's SM_TRAIN_INSTANCE)."""
    training_cpu_image: str = ""
    """RATCHET_TRAINING_CPU_IMAGE: URI of the framework image for instances without a GPU."""
    training_cpu_instance: str = "ml.m5.xlarge"
    """RATCHET_TRAINING_CPU_INSTANCE: instance type of jobs that want no GPU (the template's CpuTrainInstanceType)."""
    training_spot: bool = False
    """RATCHET_TRAINING_SPOT: `true` to use managed spot capacity."""
    allow_synthetic: bool = False
    """RATCHET_ALLOW_SYNTHETIC: `true` where models trained on synthetic data may be promoted (the laptop target)."""
    floors: str = ""
    """RATCHET_FLOORS: floors instead of those in `pipeline.yaml`, `adclick.auc=0.65`, several separated by commas."""
    api_pipeline: str = ""
    """RATCHET_API_PIPELINE: the pipeline whose API a function is."""
    api_machine: str = ""
    """RATCHET_API_MACHINE: ARN of that pipeline's state machine."""
    approval_machine: str = ""
    """RATCHET_APPROVAL_MACHINE: ARN of the state machine that waits for people."""
    package_group: str = ""
    """RATCHET_PACKAGE_GROUP: the model package group in which models wait for a person."""
    endpoint_kind: str = "serverless"
    """RATCHET_ENDPOINT_KIND: `serverless`, or the type of the instances that endpoints run on."""
    endpoint_image: str = ""
    """RATCHET_ENDPOINT_IMAGE: URI of the framework image that runs a bundle's inference.py."""
    endpoint_role: str = ""
    """RATCHET_ENDPOINT_ROLE: ARN that endpoints run as."""
    endpoint_memory_mb: int = 2048
    """RATCHET_ENDPOINT_MEMORY_MB: of a serverless endpoint."""
    endpoint_concurrency: int = 5
    """RATCHET_ENDPOINT_CONCURRENCY: requests that a serverless endpoint answers at once."""
    endpoint_instances: int = 1
    """RATCHET_ENDPOINT_INSTANCES: how many of them."""
    endpoint_alarms: str = ""
    """RATCHET_ENDPOINT_ALARMS: names of alarms, separated by commas, that take back an update of instances."""
    kms_key: str = ""
    """RATCHET_KMS_KEY: ARN of the key that encrypts the disks of endpoints on instances."""
    feature_group: str = ""
    """RATCHET_FEATURE_GROUP: the feature group that ingested records go into; none where it is not set."""
    topic: str = ""
    """RATCHET_TOPIC: ARN of the topic on which people hear of outcomes."""
    api_url: str = ""
    """RATCHET_API_URL: where the HTTP API is, for links in messages."""
    link_secret: str = ""
    """RATCHET_LINK_SECRET: the secret whose `key` signs links to decisions."""
    machine_timeout_seconds: int = 14400
    """RATCHET_MACHINE_TIMEOUT_SECONDS: the longest time-out of a machine that holds a lease, which outlives it."""


@dataclass(frozen=True)
class Access:
    """What Lambda gives a function to sign requests to S3 with."""

    key: str
    secret: str
    token: str
    region: str
    endpoint: str


def access(environment: Mapping[str, str] = os.environ) -> Access | None:
    """Credentials and S3's address from Lambda's own variables, or None where the SDK must look further."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")
    key, secret, region = (environment.get(name, "") for name in names)
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    # Other partitions have other names.
    if not (key and secret and region) or (not endpoint and region.startswith(("cn-", "us-iso"))):
        return None
    token = environment.get("AWS_SESSION_TOKEN", "")
    return Access(key, secret, token, region, endpoint or f"https://s3.{region}.amazonaws.com")


@cache
def settings() -> Settings:
    """This process's settings. Raises BadConfiguration naming every missing or invalid variable at once."""
    return parse(os.environ)


def parse(environment: Mapping[str, str]) -> Settings:
    """Settings from a mapping of environment variables; see `settings`."""
    faults: list[str] = []
    values: dict[str, object] = {}
    for name, kind in Settings.__annotations__.items():
        variable = f"RATCHET_{name.upper()}"
        text = environment.get(variable, "").strip()
        if not text:
            if not hasattr(Settings, name):
                faults.append(f"{variable} is not set")
            continue
        values[name] = _convert(text, kind, variable, faults)
    if faults:
        raise BadConfiguration(f"{'; '.join(faults)}. The template sets these: deploy it again.")
    return Settings(**values)  # type: ignore[arg-type]


def _convert(text: str, kind: type, variable: str, faults: list[str]) -> object:
    if kind is bool:
        if text.lower() not in {"true", "false"}:
            faults.append(f"{variable} is '{text}', not true or false")
        return text.lower() == "true"
    if kind is int:
        if not text.isdigit():
            faults.append(f"{variable} is '{text}', not a whole number")
            return 0
        return int(text)
    return text
