"""The calls on training jobs. Jobs live in memory; they are run by the executor given."""

from __future__ import annotations

import contextvars
import logging
import threading

from ministack.core.responses import get_region

from local.emulator.sagemaker_calls import Call, Refused, Request, page
from local.emulator.sagemaker_jobs import ENDS, Executor, TrainingJob
from local.emulator.sagemaker_names import arn

logger = logging.getLogger(__name__)


class TrainingJobs:
    """The jobs of all accounts and regions."""

    def __init__(self, executor: Executor) -> None:
        """`executor` runs the jobs that are created."""
        self._executor = executor
        self._lock = threading.Lock()
        self._jobs: dict[str, TrainingJob] = {}
        self.calls: dict[str, Call] = {
            "CreateTrainingJob": self._create,
            "DescribeTrainingJob": lambda request: self.job(request["TrainingJobName"]).describe(),
            "StopTrainingJob": self._stop,
            "ListTrainingJobs": self._list,
        }

    def job(self, name: str) -> TrainingJob:
        """The job of this name, or ARN, in the caller's account and region. Raises Refused as AWS does."""
        job = self._jobs.get(arn("training-job", name))
        if job is None:
            raise Refused("ValidationException", "Requested resource not found.")
        return job

    def _create(self, request: Request) -> Request:
        _check_spot(request)
        own = arn("training-job", request["TrainingJobName"])
        with self._lock:
            if own in self._jobs:
                raise Refused("ResourceInUse", "Training job names must be unique within an AWS account and region.")
            job = self._jobs[own] = TrainingJob(request, own, get_region())
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._run, job), name=job.name, daemon=True).start()
        return {"TrainingJobArn": own}

    def _run(self, job: TrainingJob) -> None:
        try:
            self._executor.run(job)
        except Exception as error:
            logger.exception("the executor failed on %s", job.name)
            job.finish("Failed", "Failed", f"InternalServerError: {type(error).__name__}: {error}")

    def _stop(self, request: Request) -> Request:
        job = self.job(request["TrainingJobName"])
        if job.describe()["TrainingJobStatus"] in ENDS:
            raise Refused("ValidationException", f"The training job {job.name} has already ended.")
        job.ask_to_stop()
        return {}

    def _list(self, request: Request) -> Request:
        own = [job.summary() for key, job in self._jobs.items() if key.startswith(arn("training-job", ""))]
        found = [each for each in own if _wanted(each, request)]
        summaries, more = page(found, request, {"Name": "TrainingJobName", "Status": "TrainingJobStatus"})
        return {"TrainingJobSummaries": summaries, **more}


def _check_spot(request: Request) -> None:
    limits = request.get("StoppingCondition", {})
    wait, runtime = limits.get("MaxWaitTimeInSeconds"), limits.get("MaxRuntimeInSeconds", 0)
    spot = request.get("EnableManagedSpotTraining", False)
    if wait is not None and not spot:
        raise Refused("ValidationException", "MaxWaitTimeInSeconds above 0 needs EnableManagedSpotTraining.")
    if spot and (wait is None or wait < runtime):
        raise Refused("ValidationException", "Managed spot training needs MaxWaitTimeInSeconds >= MaxRuntimeInSeconds.")


def _wanted(summary: Request, request: Request) -> bool:
    if request.get("NameContains", "") not in summary["TrainingJobName"]:
        return False
    return bool(request.get("StatusEquals", summary["TrainingJobStatus"]) == summary["TrainingJobStatus"])
