"""Runs a SageMaker training job for real, as a subprocess of the `sagemaker-training` toolkit in a Python of its own.

The job's role reads its code and channels and writes its outputs, so a policy that is too narrow fails here as on AWS.
Boundary: knows S3, processes and time; the job's record and its API belong to the emulator.
"""

from __future__ import annotations

import enum
import os
import shutil
import threading
import time
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from local.training_files import DataUnavailable, JobFolder, parsed
from local.training_logs import LogShipper
from local.training_process import GuardedProcess

if TYPE_CHECKING:
    from local.emulator.sagemaker_jobs import TrainingJob

# SageMaker's own time between SIGTERM and SIGKILL.
GRACE_SECONDS = 120.0
_POLL_SECONDS = 0.2
# In SageMaker's own words.
_NO_CAPACITY = (
    "CapacityError: Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. "
    "Please retry using a different ML instance type or after some time."
)
# As AWS's framework containers do it: the failure file quotes the script's own error; and SIGTERM is the script's to
# handle (a handler, unlike SIG_IGN, is not inherited), so that the toolkit outlives it and reports how it ended.
_TRAIN = """
import functools, signal
from sagemaker_training import entry_point, trainer
entry_point.run = functools.partial(entry_point.run, capture_error=True)
signal.signal(signal.SIGTERM, lambda *_: None)
trainer.train()
"""


class Ending(enum.Enum):
    """Why a job's process came to its end."""

    EXITED = "exited"
    STOPPED = "Stopped"
    MAX_RUNTIME = "MaxRuntimeExceeded"
    MAX_WAIT = "MaxWaitTimeExceeded"
    INTERRUPTED = "Interrupted"


@dataclass
class _Running:
    """What the executor keeps of a job while it runs."""

    job: TrainingJob
    created: float = field(default_factory=time.monotonic)
    trained_seconds: float = 0.0
    interrupted: threading.Event = field(default_factory=threading.Event)
    process: GuardedProcess | None = None


class SubprocessExecutor:
    """The laptop's stand-in for SageMaker's instances: one host, named localhost."""

    def __init__(
        self,
        python: Path,
        home: Path,
        endpoint: str,
        credentials: Callable[[str, str], dict[str, str]],
        grace_seconds: float = GRACE_SECONDS,
        checkpoint_seconds: float = 2.0,
        without_capacity: Container[str] = (),
    ) -> None:
        """`python` has the toolkit; jobs and logs lie under `home`; `credentials(role, session)` gives boto3's keys.

        Of the instance types `without_capacity` there are none to be had.
        """
        self._python, self._home, self._endpoint, self._credentials = python, home, endpoint, credentials
        self._grace, self._checkpoint_seconds = grace_seconds, checkpoint_seconds
        self._without_capacity = without_capacity
        self._running: dict[str, _Running] = {}

    def run(self, job: TrainingJob) -> None:
        """Run the job to its end, interruptions included, and report every status."""
        if not self._python.is_file():
            job.finish(
                "Failed", "Failed", f"InternalServerError: no training Python at {self._python}: run `ratchet up`"
            )
            return
        if job.request["ResourceConfig"]["InstanceType"] in self._without_capacity:
            job.finish("Failed", "Failed", _NO_CAPACITY)
            return
        running = self._running[job.name] = _Running(job)
        try:
            while self._attempt(running) is Ending.INTERRUPTED:
                job.enter("Interrupted", "The managed spot training instances were interrupted")
                job.enter("Starting", "Preparing the instances for training")
                running.interrupted.clear()
        except DataUnavailable as error:
            job.finish("Failed", "Failed", str(error))
        finally:
            del self._running[job.name]

    def interrupt(self, name: str) -> None:
        """Take a spot job's instance away: SIGTERM, then a restart from its checkpoints. ValueError for any other."""
        running = self._running.get(name)
        if running is None or not running.job.is_spot:
            raise ValueError(f"{name} is no running spot training job")
        running.interrupted.set()

    def close(self) -> None:
        """End every running job's processes at once."""
        for running in list(self._running.values()):
            running.job.stop_asked.set()
            if running.process is not None:
                running.process.kill()

    def log_file(self, name: str) -> Path:
        """Where a job's output is."""
        return self._home / "logs" / f"{name}.log"

    def _attempt(self, running: _Running) -> Ending:
        job, request = running.job, running.job.request
        folder = self._prepare(job)
        try:
            if job.stop_asked.is_set():
                job.finish("Stopped", "Stopped", "Training job stopped before it trained")
                return Ending.STOPPED
            job.enter("Training", "Training image download completed. Training in progress.")
            ending, code = self._train(running, folder)
            if "CheckpointConfig" in request:
                folder.save_checkpoints(request["CheckpointConfig"]["S3Uri"])
            if ending is not Ending.INTERRUPTED:
                self._report(job, folder, ending, code)
            return ending
        finally:
            shutil.rmtree(folder.root, ignore_errors=True)

    def _prepare(self, job: TrainingJob) -> JobFolder:
        job.enter("Downloading", "Downloading input data")
        root = self._home / "jobs" / job.name
        shutil.rmtree(root, ignore_errors=True)
        self.log_file(job.name).parent.mkdir(parents=True, exist_ok=True)
        request = job.request
        folder = JobFolder(root / "ml", self._client("s3", job))
        folder.configure(request)
        parameters = parsed(request.get("HyperParameters", {}))
        if "sagemaker_submit_directory" in parameters:
            folder.fetch_source(parameters["sagemaker_submit_directory"])
        folder.fetch_channels(request)
        if "CheckpointConfig" in request:
            folder.fetch_checkpoints(request["CheckpointConfig"]["S3Uri"])
        return folder

    def _train(self, running: _Running, folder: JobFolder) -> tuple[Ending, int]:
        job, started = running.job, time.monotonic()
        log = self.log_file(job.name)
        shipper = LogShipper(log, self._client("logs", job), job.name)
        command = [str(self._python), "-c", _TRAIN]
        environment = self._environment(job, folder)
        process = running.process = GuardedProcess(self._python, command, environment, folder.root, log)
        try:
            ending, code = self._watch(running, process, folder, shipper)
        finally:
            # What the script left running has no container to end it.
            process.kill()
            running.process = None
            running.trained_seconds += time.monotonic() - started
        shipper.ship(last=True)
        return ending, code

    def _watch(
        self, running: _Running, process: GuardedProcess, folder: JobFolder, shipper: LogShipper
    ) -> tuple[Ending, int]:
        began = saved = time.monotonic()
        uri = running.job.request.get("CheckpointConfig", {}).get("S3Uri")
        while True:
            code = process.wait(_POLL_SECONDS)
            if code is not None:
                return Ending.EXITED, code
            shipper.ship()
            if uri and time.monotonic() - saved > self._checkpoint_seconds:
                folder.save_checkpoints(uri)
                saved = time.monotonic()
            if self._is_taken_away(running.job):
                running.interrupted.set()
            reason = _reason_to_end(running, running.trained_seconds + time.monotonic() - began)
            if reason is not None:
                process.terminate()
                code = process.wait(self._grace)
                return reason, -1 if code is None else code

    def _is_taken_away(self, job: TrainingJob) -> bool:
        """Whether somebody put a file of the spot job's name into `interrupt/`, which is used up by that."""
        asked = self._home / "interrupt" / job.name
        if not job.is_spot or not asked.exists():
            return False
        asked.unlink()
        return True

    def _report(self, job: TrainingJob, folder: JobFolder, ending: Ending, code: int) -> None:
        if ending is Ending.EXITED and code != 0:
            said = folder.failure() or "the training script wrote no failure file"
            job.finish("Failed", "Failed", f"AlgorithmError: {said}, exit code: {code}")
            return
        job.enter("Uploading", "Uploading generated training model")
        uri = folder.upload_model(job.request["OutputDataConfig"]["S3OutputPath"], job.name)
        if ending is Ending.EXITED:
            job.finish("Completed", "Completed", "Training job completed", uri)
        else:
            job.finish("Stopped", ending.value, f"Training job ended: {ending.value}", uri)

    def _environment(self, job: TrainingJob, folder: JobFolder) -> dict[str, str]:
        """A container's environment: nothing of the host's but the PATH."""
        names = {"aws_access_key_id": "AWS_ACCESS_KEY_ID", "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY"}
        names["aws_session_token"] = "AWS_SESSION_TOKEN"  # noqa: S105 - the variable's name
        keys = self._credentials(job.request["RoleArn"], "SageMaker")
        return {
            "PATH": f"{self._python.parent}:{os.environ.get('PATH', os.defpath)}",
            "HOME": str(folder.root.parent),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "SAGEMAKER_BASE_DIR": str(folder.root),
            "TRAINING_JOB_NAME": job.name,
            "TRAINING_JOB_ARN": job.arn,
            "AWS_REGION": job.region,
            "AWS_DEFAULT_REGION": job.region,
            "AWS_ENDPOINT_URL": self._endpoint,
            "S3_ENDPOINT_URL": self._endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            **{names[key]: value for key, value in keys.items()},
            **job.request.get("Environment", {}),
        }

    def _client(self, service: str, job: TrainingJob) -> Any:
        keys: dict[str, Any] = self._credentials(job.request["RoleArn"], "SageMaker")
        config = Config(s3={"addressing_style": "path"})
        session = boto3.session.Session(region_name=job.region, **keys)
        return session.client(service, endpoint_url=self._endpoint, config=config)


def _reason_to_end(running: _Running, trained: float) -> Ending | None:
    job = running.job
    max_runtime, max_wait = job.limit("MaxRuntimeInSeconds"), job.limit("MaxWaitTimeInSeconds")
    if job.stop_asked.is_set():
        return Ending.STOPPED
    if running.interrupted.is_set():
        return Ending.INTERRUPTED
    if max_runtime is not None and trained > max_runtime:
        return Ending.MAX_RUNTIME
    if max_wait is not None and time.monotonic() - running.created > max_wait:
        return Ending.MAX_WAIT
    return None
