"""SageMaker's training jobs as a service of the emulator: six calls; every other call is refused by name.

Jobs live in memory. They are run by the executor given to `install`, by default for real in a Python of their own.
"""

from __future__ import annotations

import atexit
import contextvars
import json
import logging
import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from ministack import app
from ministack.core import router
from ministack.core.responses import get_region

from local.emulator import roles, sagemaker_auth
from local.emulator.sagemaker_auth import ACCESS_DENIED, job_arn, missing_permission
from local.emulator.sagemaker_jobs import ENDS, Executor, TrainingJob
from local.emulator.sagemaker_shapes import model, problems
from local.training import SubprocessExecutor

logger = logging.getLogger(__name__)

Answer = tuple[int, dict[str, str], bytes]
_HEADERS = {"Content-Type": "application/x-amz-json-1.1"}
_PAGE = 100


class Refused(Exception):
    """A call answered with an error: `code` is the API's name for it."""

    def __init__(self, code: str, message: str) -> None:
        """`code` as in the service model (`ResourceInUse`), or `ValidationException`."""
        super().__init__(message)
        self.code = code


class Service:
    """The jobs of all accounts and regions, and the calls on them."""

    def __init__(self, executor: Executor) -> None:
        """`executor` runs the jobs that are created."""
        self._executor = executor
        self._lock = threading.Lock()
        self._jobs: dict[str, TrainingJob] = {}
        self._calls: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "CreateTrainingJob": self._create,
            "DescribeTrainingJob": lambda request: self.job(request["TrainingJobName"]).describe(),
            "StopTrainingJob": self._stop,
            "ListTrainingJobs": self._list,
            "AddTags": self._add_tags,
            "ListTags": self._list_tags,
        }

    def call(self, name: str, request: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
        """The answer to one call; `headers` tell who calls. Raises Refused."""
        if name not in self._calls:
            raise Refused("ValidationException", f"{name} is not implemented by the laptop target's SageMaker.")
        wrong = problems(request, model().operation_model(name).input_shape)
        if wrong:
            raise Refused("ValidationException", wrong)
        denied = missing_permission(headers, request) if name == "CreateTrainingJob" else ""
        if denied:
            raise Refused(ACCESS_DENIED, denied)
        return self._calls[name](request)

    def job(self, name: str) -> TrainingJob:
        """The job of this name in the caller's account and region. Raises Refused as AWS does."""
        job = self._jobs.get(job_arn(name))
        if job is None:
            raise Refused("ValidationException", "Requested resource not found.")
        return job

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        _check_spot(request)
        arn = job_arn(request["TrainingJobName"])
        with self._lock:
            if arn in self._jobs:
                raise Refused("ResourceInUse", "Training job names must be unique within an AWS account and region.")
            job = self._jobs[arn] = TrainingJob(request, arn, get_region())
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._run, job), name=job.name, daemon=True).start()
        return {"TrainingJobArn": arn}

    def _run(self, job: TrainingJob) -> None:
        try:
            self._executor.run(job)
        except Exception as error:
            logger.exception("the executor failed on %s", job.name)
            job.finish("Failed", "Failed", f"InternalServerError: {type(error).__name__}: {error}")

    def _stop(self, request: dict[str, Any]) -> dict[str, Any]:
        job = self.job(request["TrainingJobName"])
        if job.describe()["TrainingJobStatus"] in ENDS:
            raise Refused("ValidationException", f"The training job {job.name} has already ended.")
        job.ask_to_stop()
        return {}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        found = [job.summary() for arn, job in self._jobs.items() if arn.startswith(job_arn(""))]
        found = [each for each in found if _wanted(each, request)]
        by = {"Name": "TrainingJobName", "Status": "TrainingJobStatus"}.get(request.get("SortBy", ""), "CreationTime")
        found.sort(key=lambda each: each[by], reverse=request.get("SortOrder", "Descending") == "Descending")
        start = int(request.get("NextToken", 0))
        end = start + int(request.get("MaxResults", _PAGE))
        more = {"NextToken": str(end)} if end < len(found) else {}
        return {"TrainingJobSummaries": found[start:end], **more}

    def _tagged(self, request: dict[str, Any]) -> TrainingJob:
        return self.job(request["ResourceArn"].rsplit("/", 1)[-1])

    def _add_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        job = self._tagged(request)
        job.tags.update({tag["Key"]: tag["Value"] for tag in request["Tags"]})
        return self._list_tags(request)

    def _list_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": [{"Key": key, "Value": value} for key, value in self._tagged(request).tags.items()]}

    async def handle(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> Answer:
        """ministack's interface to a service."""
        try:
            name = headers.get("x-amz-target", "").rsplit(".", 1)[-1]
            answer = self.call(name, json.loads(body or b"{}"), headers)
            return 200, dict(_HEADERS), json.dumps(answer, default=_seconds).encode()
        except Refused as refusal:
            return 400, dict(_HEADERS), json.dumps({"__type": refusal.code, "message": str(refusal)}).encode()


def _check_spot(request: dict[str, Any]) -> None:
    limits = request.get("StoppingCondition", {})
    wait, runtime = limits.get("MaxWaitTimeInSeconds"), limits.get("MaxRuntimeInSeconds", 0)
    spot = request.get("EnableManagedSpotTraining", False)
    if wait is not None and not spot:
        raise Refused("ValidationException", "MaxWaitTimeInSeconds above 0 needs EnableManagedSpotTraining.")
    if spot and (wait is None or wait < runtime):
        raise Refused("ValidationException", "Managed spot training needs MaxWaitTimeInSeconds >= MaxRuntimeInSeconds.")


def _wanted(summary: dict[str, Any], request: dict[str, Any]) -> bool:
    if request.get("NameContains", "") not in summary["TrainingJobName"]:
        return False
    return bool(request.get("StatusEquals", summary["TrainingJobStatus"]) == summary["TrainingJobStatus"])


def _seconds(value: Any) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(f"{value!r} is no part of an answer")


def install(executor: Executor | None = None) -> Service:
    """Register the service. The default executor reads RATCHET_TRAINING_PYTHON and RATCHET_TRAINING_HOME.

    RATCHET_TRAINING_WITHOUT_CAPACITY lists instance types, separated by commas, that are not to be had.
    """
    chosen = executor or SubprocessExecutor(
        python=Path(os.environ.get("RATCHET_TRAINING_PYTHON", "RATCHET_TRAINING_PYTHON is not set")),
        home=Path(os.environ["RATCHET_TRAINING_HOME"]),
        endpoint=roles.endpoint(),
        credentials=roles.credentials,
        without_capacity=os.environ.get("RATCHET_TRAINING_WITHOUT_CAPACITY", "").split(","),
    )
    atexit.register(chosen.close)
    service = Service(chosen)
    app.SERVICE_HANDLERS["sagemaker"] = service.handle
    router.SERVICE_PATTERNS["sagemaker"] = {"target_prefixes": ["SageMaker."], "host_patterns": [r"sagemaker\."]}
    sagemaker_auth.install()
    return service
