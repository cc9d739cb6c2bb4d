"""Training jobs as SageMaker keeps them: the record DescribeTrainingJob shows and its moves from status to status.

How a job is run is the `Executor`'s matter; it tells the job what happens, and asks it whether it shall stop.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any, Protocol

# What DescribeTrainingJob repeats of the request.
_REPEATED = (
    "HyperParameters",
    "AlgorithmSpecification",
    "RoleArn",
    "InputDataConfig",
    "OutputDataConfig",
    "ResourceConfig",
    "VpcConfig",
    "StoppingCondition",
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
    "CheckpointConfig",
    "DebugHookConfig",
    "ExperimentConfig",
    "TensorBoardOutputConfig",
    "ProfilerConfig",
    "Environment",
    "RetryStrategy",
)
ENDS = ("Completed", "Failed", "Stopped")
DEFAULT_MAX_RUNTIME_SECONDS = 86_400


class Executor(Protocol):
    """Runs jobs; each call of `run` has a thread of its own and returns when the job has ended."""

    def run(self, job: TrainingJob) -> None:
        """Run the job to its end and report it by `job.enter` and `job.finish`."""

    def close(self) -> None:
        """End whatever still runs: the emulator ends."""


class TrainingJob:
    """One job. The executor moves it; everybody may read `describe()`."""

    def __init__(self, request: dict[str, Any], arn: str, region: str) -> None:
        """`request` is a valid CreateTrainingJob request."""
        self.request, self.arn, self.region = request, arn, region
        self.name: str = request["TrainingJobName"]
        self.tags: dict[str, str] = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
        self.stop_asked, self.ended = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._record: dict[str, Any] = {
            "TrainingJobName": self.name,
            "TrainingJobArn": arn,
            "ModelArtifacts": {},
            "TrainingJobStatus": "InProgress",
            "StoppingCondition": {"MaxRuntimeInSeconds": DEFAULT_MAX_RUNTIME_SECONDS},
            "EnableNetworkIsolation": False,
            "EnableInterContainerTrafficEncryption": False,
            "EnableManagedSpotTraining": False,
            "CreationTime": datetime.now(UTC),
            "SecondaryStatusTransitions": [],
            **{name: request[name] for name in _REPEATED if name in request},
        }
        self.enter("Starting", "Starting the training job")

    @property
    def is_spot(self) -> bool:
        """Whether the job runs on capacity that may be taken away."""
        return bool(self._record["EnableManagedSpotTraining"])

    def limit(self, name: str) -> float | None:
        """A bound of the StoppingCondition in seconds (`MaxRuntimeInSeconds`), or None."""
        value = self._record["StoppingCondition"].get(name)
        return None if value is None else float(value)

    def describe(self) -> dict[str, Any]:
        """The answer of DescribeTrainingJob; instants are datetimes."""
        with self._lock:
            transitions = [dict(each) for each in self._record["SecondaryStatusTransitions"]]
            return {**self._record, "SecondaryStatusTransitions": transitions}

    def enter(self, secondary: str, message: str = "") -> None:
        """Move on to a secondary status; the first `Downloading` or `Training` starts the clock that is billed."""
        now = datetime.now(UTC)
        with self._lock:
            transitions = self._record["SecondaryStatusTransitions"]
            if transitions:
                transitions[-1]["EndTime"] = now
            transitions.append({"Status": secondary, "StartTime": now, "StatusMessage": message})
            self._record.update(SecondaryStatus=secondary, LastModifiedTime=now)
            if secondary in ("Downloading", "Training"):
                self._record.setdefault("TrainingStartTime", now)

    def ask_to_stop(self) -> None:
        """What StopTrainingJob does: the job is Stopping until its executor has ended it."""
        with self._lock:
            if self._record["TrainingJobStatus"] != "InProgress":
                return
            self._record["TrainingJobStatus"] = "Stopping"
        self.enter("Stopping", "Stopping the training job")
        self.stop_asked.set()

    def finish(self, status: str, secondary: str, message: str, artifacts: str | None = None) -> None:
        """End the job as Completed, Failed (`message` is the FailureReason) or Stopped; with the bundle's URI."""
        self.enter(secondary, message)
        now = datetime.now(UTC)
        with self._lock:
            started = self._record.get("TrainingStartTime", now)
            seconds = max(1, round((now - started).total_seconds()))
            self._record["SecondaryStatusTransitions"][-1]["EndTime"] = now
            self._record.update(TrainingJobStatus=status, TrainingEndTime=now, LastModifiedTime=now)
            self._record.update(TrainingTimeInSeconds=seconds, BillableTimeInSeconds=seconds)
            if artifacts:
                self._record["ModelArtifacts"] = {"S3ModelArtifacts": artifacts}
            if status == "Failed":
                self._record["FailureReason"] = message[:1024]
        self.ended.set()

    def summary(self) -> dict[str, Any]:
        """The job's line in ListTrainingJobs."""
        names = ("TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingEndTime", "LastModifiedTime")
        described = self.describe()
        return {key: described[key] for key in (*names, "TrainingJobStatus", "SecondaryStatus") if key in described}
