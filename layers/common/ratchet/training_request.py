"""What a training job is called and what SageMaker is asked for (CreateTrainingJob). Pure functions."""

import hashlib
from dataclasses import dataclass
from typing import Any

from ratchet.catalog import Pipeline
from ratchet.errors import BadConfiguration
from ratchet.instants import parse_instant
from ratchet.settings import Settings
from ratchet.store import ObjectStore

RETRIES = 4
"""How often the state Train is retried (`MaxAttempts` in release.asl.yaml); each try takes a name of its own."""
SPOT_WAIT_SECONDS = 3600
VOLUME_GIB = 30
LONGEST_NAME = 63
INSTANCES = {
    "gpu": ("training_image", "training_instance"),
    "cpu": ("training_cpu_image", "training_cpu_instance"),
}
"""The settings that name image and instance type, by `training.instance`."""


@dataclass(frozen=True)
class Run:
    """Whose job it is: the run, its prepared data, and how often the run was taken up."""

    run_ts: str
    train_uri: str
    attempt: int = 1


def base_name(pipeline: str, stack: str, run_ts: str, attempt: int) -> str:
    """`mlops-<pipeline>-<YYYYMMDD-HHMMSS>-<stack hash 4>-a<n>`; a try adds `r<retry>`. Unique per account, region."""
    instant = parse_instant(run_ts).strftime("%Y%m%d-%H%M%S")
    stack_hash = hashlib.sha256(stack.encode()).hexdigest()[:4]
    name = f"mlops-{pipeline}-{instant}-{stack_hash}-a{attempt}"
    if len(name) + len(f"r{RETRIES}") > LONGEST_NAME:
        raise BadConfiguration(f"The job name {name} is too long: {LONGEST_NAME} characters are allowed.")
    return name


def candidates(pipeline: str, stack: str, run: Run) -> list[str]:
    """Every name that a job of this run may have by now, the newest first."""
    attempts = range(run.attempt, 0, -1)
    bases = [base_name(pipeline, stack, run.run_ts, attempt) for attempt in attempts]
    return [f"{base}r{retry}" for base in bases for retry in range(RETRIES, -1, -1)]


def tags(pipeline: str, stack: str, run: Run) -> dict[str, str]:
    """By these a job is known as this run's own."""
    return {"ratchet:pipeline": pipeline, "ratchet:stack": stack, "ratchet:run_ts": run.run_ts}


def request(
    pipeline: Pipeline, settings: Settings, store: ObjectStore, run: Run, *, code_uri: str, code: str, region: str
) -> dict[str, Any]:
    """CreateTrainingJob's arguments without the name. Raises BadConfiguration without an image or role."""
    if pipeline.training.instance not in INSTANCES:
        raise BadConfiguration(f"training.instance is '{pipeline.training.instance}'; it is {' or '.join(INSTANCES)}.")
    image, instance = INSTANCES[pipeline.training.instance]
    missing = [name for name in ("training_role", image) if not getattr(settings, name)]
    if missing:
        raise BadConfiguration(f"RATCHET_{missing[0].upper()} is not set. The template sets it: deploy it again.")
    channel = {"S3DataType": "S3Prefix", "S3Uri": run.train_uri.rpartition("/")[0] + "/"}
    return {
        "AlgorithmSpecification": {
            "TrainingImage": getattr(settings, image),
            "TrainingInputMode": "File",
            "MetricDefinitions": [_metric("train_loss"), _metric("validation_loss")],
        },
        "RoleArn": settings.training_role,
        "HyperParameters": _hyperparameters(pipeline, run, code_uri, code, region),
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": channel}}],
        "OutputDataConfig": {"S3OutputPath": store.uri(pipeline.keys.jobs()).rstrip("/")},
        "ResourceConfig": {
            "InstanceType": getattr(settings, instance),
            "InstanceCount": 1,
            "VolumeSizeInGB": VOLUME_GIB,
        },
        "StoppingCondition": _limits(pipeline.training.max_runtime_seconds, settings.training_spot),
        "EnableManagedSpotTraining": settings.training_spot,
        # By run, not by job: a later try goes on where an earlier one stopped.
        "CheckpointConfig": {"S3Uri": store.uri(pipeline.keys.checkpoints(run.run_ts)).rstrip("/")},
        "Tags": [{"Key": key, "Value": value} for key, value in tags(pipeline.name, settings.stack, run).items()],
    }


def _hyperparameters(pipeline: Pipeline, run: Run, code_uri: str, code: str, region: str) -> dict[str, str]:
    """All as text: the pipeline's own, what the bundle records, and what SageMaker's toolkit wants."""
    # The toolkit reads values as JSON where it can: a digest such as 1234e567 alone would arrive as a number.
    ours = {"run_ts": run.run_ts, "train_uri": run.train_uri, "code_version": f"code/{code}"}
    toolkit = {
        "sagemaker_program": f"pipelines/{pipeline.name}/train.py",
        "sagemaker_submit_directory": code_uri,
        "sagemaker_region": region,
        "sagemaker_container_log_level": "20",
    }
    return {**{name: str(value) for name, value in pipeline.training.hyperparameters.items()}, **ours, **toolkit}


def _limits(runtime_seconds: int, spot: bool) -> dict[str, int]:
    waiting = {"MaxWaitTimeInSeconds": runtime_seconds + SPOT_WAIT_SECONDS} if spot else {}
    return {"MaxRuntimeInSeconds": runtime_seconds, **waiting}


def _metric(name: str) -> dict[str, str]:
    return {"Name": name, "Regex": rf"{name}=(\S+)"}
