"""Training on SageMaker: what to start or adopt, what a job's end means, and its bundle put where it belongs.

The machine itself starts the job and waits for it; nothing here does.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Protocol

from ratchet.catalog import Pipeline
from ratchet.errors import (
    BadBundle,
    TrainingDiverged,
    TrainingFailed,
    TrainingLeftNoBundle,
    TrainingOutOfCapacity,
    TrainingStopped,
    TrainingTimedOut,
)
from ratchet.retention import EXPIRES
from ratchet.serving.bundle import read_bundle
from ratchet.settings import Settings
from ratchet.source_archive import Archive
from ratchet.store import ObjectStore, create
from ratchet.training_request import Run, base_name, candidates, request, tags

RUNNING = {"InProgress", "Stopping"}
OVERTIME = {"MaxRuntimeExceeded", "MaxWaitTimeExceeded"}
NO_CAPACITY = ("CapacityError", "InsufficientCapacity", "Unable to provision", "ResourceLimitExceeded")

DIVERGED = FloatingPointError.__name__
"""What a training script raises when its loss is no number; the toolkit quotes built-in errors in a job's reason."""


@dataclass(frozen=True)
class Job:
    """What DescribeTrainingJob and ListTags say of a job."""

    name: str
    status: str
    secondary: str
    reason: str = ""
    output_uri: str | None = None
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


class TrainingJobs(Protocol):
    """SageMaker, as far as Ratchet asks it. Raises Unavailable when it does not answer."""

    @property
    def region(self) -> str:
        """The region the jobs run in."""

    def find(self, name: str) -> Job | None:
        """The job of that name, or None."""


def stage(
    store: ObjectStore,
    jobs: TrainingJobs,
    pipeline: Pipeline,
    settings: Settings,
    run: Run,
    code: Archive,
    folder: Path,
) -> dict[str, Any]:
    """Whether to start a job, to wait for one that an earlier attempt started, or nothing, since the bundle is there.

    Works in the empty `folder`. Result as in docs/contracts.md. Raises BadConfiguration, Unavailable.
    """
    ours = _ours(jobs, pipeline, settings, run)
    if store.head(pipeline.keys.model(run.run_ts)) is not None:
        # Whatever data this attempt prepared: the bundle that lies there is of the job that completed.
        made = next((job for job in ours if job.status == "Completed"), None)
        return {"status": "done", "job_name": made.name if made else None, "request": None}
    same_data = (job for job in ours if job.hyperparameters.get("train_uri") == run.train_uri)
    adopted = next((job for job in same_data if job.status in {"InProgress", "Completed"}), None)
    if adopted and (adopted.status == "InProgress" or _usable(store, pipeline, run.run_ts, adopted, folder)):
        return {"status": "wait", "job_name": adopted.name, "request": None}
    code_uri = store.uri(code.publish(store))
    wanted = request(pipeline, settings, store, run, code_uri=code_uri, code=code.digest, region=jobs.region)
    name = base_name(pipeline.name, settings.stack, run.run_ts, run.attempt)
    return {"status": "start", "job_name": name, "request": wanted}


def classify(job: Job) -> str:
    """`completed` or `in_progress`. Raises the named error that the job's end means."""
    if job.status in RUNNING:
        return "in_progress"
    if job.status == "Completed":
        return "completed"
    # The toolkit's reason has lines; a cause is one.
    told = f"{job.name}: {' '.join(job.reason.split()) or job.secondary or job.status}"
    if job.secondary in OVERTIME:
        raise TrainingTimedOut(
            f"{told}. Raise training.max_runtime_seconds in pipeline.yaml or take a faster instance."
        )
    if any(sign in job.reason for sign in NO_CAPACITY):
        _no_capacity(told)
    if DIVERGED in job.reason:
        raise TrainingDiverged(f"{told}. Change training.hyperparameters in pipeline.yaml or look at the data.")
    if job.status == "Stopped":
        raise TrainingStopped(f"{told}. Somebody stopped the job; resume the run to train again.")
    raise TrainingFailed(f"{told}. The job's log says more.")


def classify_error(error: Mapping[str, Any]) -> NoReturn:
    """Raises the named error for what Step Functions' `.sync` reported of a job that cannot be found.

    `error` is `{Error, Cause}`; the cause of a failed job is its description as JSON.
    """
    name, cause = str(error.get("Error", "")), str(error.get("Cause", ""))
    described = _described(cause)
    if described is not None and described.status not in RUNNING:
        classify(described)
    if "ResourceLimitExceeded" in name or any(sign in cause for sign in NO_CAPACITY):
        _no_capacity(f"{name}: {cause}")
    if name == "States.Timeout":
        raise TrainingTimedOut("The job outlived the time-out of the state Train; give it less to do or more time.")
    raise TrainingFailed(f"The training job did not start: {name}: {cause}")


def confirm(
    store: ObjectStore,
    jobs: TrainingJobs,
    pipeline: Pipeline,
    run_ts: str,
    job_name: str | None,
    error: Mapping[str, Any] | None,
    folder: Path,
) -> dict[str, Any]:
    """Turns the end of a job into the run's bundle, working in the empty `folder`; result as in docs/contracts.md.

    Raises TrainingFailed and its leaves, BadBundle when another bundle stands at the run's key, Unavailable.
    """
    job = jobs.find(job_name) if job_name else None
    key = pipeline.keys.model(run_ts)
    if store.head(key) is None:
        if job is None:
            classify_error(error or {"Error": "ResourceNotFound", "Cause": f"There is no job {job_name}."})
        if job.tags.get("ratchet:run_ts") != run_ts or job.tags.get("ratchet:pipeline") != pipeline.name:
            raise TrainingFailed(f"The job {job.name} is not of run {run_ts}; resume it to train anew.")
        if classify(job) == "in_progress":
            if error and error.get("Error") == "States.Timeout":
                classify_error(error)
            return {"status": "in_progress", "job_name": job.name, "bundle_uri": None, "sha256": None}
        _copy(store, pipeline, run_ts, job, folder / "output.tar.gz", folder / "output")
    sha256 = _digest(store, pipeline, run_ts, key, folder)
    return {"status": "completed", "job_name": job_name, "bundle_uri": store.uri(key), "sha256": sha256}


def _ours(jobs: TrainingJobs, pipeline: Pipeline, settings: Settings, run: Run) -> Iterator[Job]:
    """The jobs of this run, all attempts together, the newest first; each is looked up when it is asked for."""
    ours = tags(pipeline.name, settings.stack, run)
    found = (jobs.find(name) for name in candidates(pipeline.name, settings.stack, run))
    return (job for job in found if job is not None and ours.items() <= job.tags.items())


def _usable(store: ObjectStore, pipeline: Pipeline, run_ts: str, job: Job, folder: Path) -> bool:
    """Whether a completed job left a bundle: one that did not would be adopted for ever."""
    try:
        _fetch(store, pipeline, run_ts, job, folder / "output.tar.gz", folder / "output")
    except TrainingLeftNoBundle:
        return False
    return True


def _copy(store: ObjectStore, pipeline: Pipeline, run_ts: str, job: Job, archive: Path, folder: Path) -> None:
    """Puts the job's output at the run's own key, unless an earlier attempt already did."""
    _fetch(store, pipeline, run_ts, job, archive, folder)
    create(store, pipeline.keys.model(run_ts), archive.read_bytes(), tags=EXPIRES)


def _fetch(store: ObjectStore, pipeline: Pipeline, run_ts: str, job: Job, archive: Path, folder: Path) -> None:
    """Downloads and checks the job's output. Raises TrainingLeftNoBundle."""
    if job.output_uri is None or store.download(store.key_of(job.output_uri), archive) is None:
        raise TrainingLeftNoBundle(f"{job.name} completed without {job.output_uri}; resume the run to train again.")
    try:
        _check(archive, folder, pipeline, run_ts)
    except BadBundle as error:
        raise TrainingLeftNoBundle(f"{job.name} completed, but left no bundle of this run. {error}") from error


def _digest(store: ObjectStore, pipeline: Pipeline, run_ts: str, key: str, folder: Path) -> str:
    """SHA-256 of the bundle that stands at the run's key, whoever put it there, after reading it."""
    archive = folder / "bundle.tar.gz"
    if store.download(key, archive) is None:
        raise BadBundle(f"{store.uri(key)} is gone; resume the run.")
    _check(archive, folder / "bundle", pipeline, run_ts)
    with archive.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(archive: Path, folder: Path, pipeline: Pipeline, run_ts: str) -> None:
    document = read_bundle(archive, folder, pipeline.name).document
    if document["run_ts"] != run_ts:
        raise BadBundle(f"The bundle is of run {document['run_ts']}, not {run_ts}; resume the run to train again.")
    if [target["name"] for target in document["targets"]] != list(pipeline.data.targets):
        raise BadBundle("The bundle's targets are not those of pipeline.yaml; prepare the data and train again.")


def _no_capacity(told: str) -> NoReturn:
    raise TrainingOutOfCapacity(
        f"{told}. Name another instance in the template's TrainInstanceType, for example ml.m5.xlarge, "
        "or ask for a higher quota."
    )


def _described(cause: str) -> Job | None:
    try:
        document = json.loads(cause)
    except ValueError:
        return None
    if not isinstance(document, dict) or "TrainingJobStatus" not in document:
        return None
    name, status = str(document.get("TrainingJobName", "the job")), str(document["TrainingJobStatus"])
    return Job(name, status, str(document.get("SecondaryStatus", "")), str(document.get("FailureReason", "")))
