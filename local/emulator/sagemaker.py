"""SageMaker as a service of the emulator: training jobs, feature groups, model registry and endpoints.

Only the calls that we make are there; every other one is refused by name. Each request is checked against botocore's
model of the API. What has a name survives a restart (`sagemaker_resources`), training jobs and the records of an online
store do not; an endpoint's process starts again with its first request.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from ministack import app
from ministack.core import router

from local.emulator import endings, roles, sagemaker_auth, sagemaker_provisioners, sagemaker_rest, settings
from local.emulator.sagemaker_auth import ACCESS_DENIED, missing_permission
from local.emulator.sagemaker_calls import Call, Refused, Request
from local.emulator.sagemaker_endpoints import Endpoints
from local.emulator.sagemaker_features import FeatureGroups
from local.emulator.sagemaker_jobs import Executor
from local.emulator.sagemaker_models import Models
from local.emulator.sagemaker_offline import OfflineStore
from local.emulator.sagemaker_online import OnlineStore
from local.emulator.sagemaker_package_groups import PackageGroups
from local.emulator.sagemaker_packages import Packages
from local.emulator.sagemaker_parquet import Writer
from local.emulator.sagemaker_records import FeatureRecords
from local.emulator.sagemaker_replica import Replicas
from local.emulator.sagemaker_resources import Resources
from local.emulator.sagemaker_shapes import model, problems
from local.emulator.sagemaker_tags import Tags
from local.emulator.sagemaker_training import TrainingJobs
from local.training import SubprocessExecutor

Answer = tuple[int, dict[str, str], bytes]
_HEADERS = {"Content-Type": "application/x-amz-json-1.1"}
OFFLINE_SECONDS = 5.0
"""How long the offline store lags behind; up to 15 minutes on AWS."""


class Area(Protocol):
    """A part of the service."""

    @property
    def calls(self) -> dict[str, Call]:
        """What it answers, by the API's names."""


class Service:
    """All calls of the service's three APIs."""

    def __init__(self, areas: Iterable[Area]) -> None:
        """`areas` answer the calls."""
        self._calls = {name: call for area in areas for name, call in area.calls.items()}

    def call(self, name: str, shape: Any, request: Request, headers: dict[str, str]) -> dict[str, Any]:
        """The answer to one call, whose input `shape` checks; `headers` tell who calls. Raises Refused."""
        rest = not headers.get("x-amz-target")
        if name not in self._calls:
            message = f"{name} is not implemented by the laptop target's SageMaker."
            raise Refused("ValidationError" if rest else "ValidationException", message)
        wrong = problems(request, shape)
        if wrong:
            raise Refused("ValidationError" if rest else "ValidationException", wrong)
        denied = missing_permission(headers, name, request)
        if denied:
            raise Refused(ACCESS_DENIED, denied)
        return self._calls[name](request)

    async def handle(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> Answer:
        """ministack's interface to a service; answers outside the event loop, since a model may take its time."""
        if headers.get("x-amz-target"):
            return await asyncio.to_thread(self._json, headers, body)
        return await asyncio.to_thread(self._rest, method, path, headers, body, query)

    def _json(self, headers: dict[str, str], body: bytes) -> Answer:
        name = headers["x-amz-target"].rsplit(".", 1)[-1]
        try:
            if name not in model().operation_names:
                raise Refused("UnknownOperationException", f"SageMaker has no action {name}.")
            shape = model().operation_model(name).input_shape
            answer = self.call(name, shape, json.loads(body or b"{}"), headers)
            return 200, dict(_HEADERS), json.dumps(answer, default=_seconds).encode()
        except Refused as refusal:
            told = {"__type": refusal.code, "message": str(refusal), **refusal.members}
            return refusal.status, dict(_HEADERS), json.dumps(told).encode()

    def _rest(self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]) -> Answer:
        try:
            found = sagemaker_rest.operation(method, path)
            if found is None:
                raise Refused("UnknownOperationException", f"SageMaker has no operation {method} {path}.", 404)
            operation, names = found
            request = _read(operation, names, headers, query, body)
            answer = self.call(operation.name, operation.input_shape, request, headers)
            return (200, *sagemaker_rest.answer(operation, answer))
        except Refused as refusal:
            return (refusal.status, *sagemaker_rest.refusal(refusal.code, str(refusal), refusal.members))


def _read(operation: Any, names: Any, headers: dict[str, str], query: dict[str, Any], body: bytes) -> Request:
    try:
        return sagemaker_rest.request(operation, names, headers, query, body)
    except ValueError as error:
        raise Refused("ValidationError", f"The request is no JSON: {error}") from error


def _seconds(value: Any) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(f"{value!r} is no part of an answer")


def install(executor: Executor | None = None) -> Service:
    """Register the service. The default executor reads RATCHET_TRAINING_PYTHON and RATCHET_TRAINING_HOME.

    RATCHET_TRAINING_WITHOUT_CAPACITY lists instance types, separated by commas, that are not to be had;
    RATCHET_OFFLINE_STORE_SECONDS says how long an offline store lags behind its online store.
    """
    python = Path(os.environ.get("RATCHET_TRAINING_PYTHON", "RATCHET_TRAINING_PYTHON is not set"))
    chosen = executor or SubprocessExecutor(
        python=python,
        home=Path(os.environ["RATCHET_TRAINING_HOME"]),
        endpoint=roles.endpoint(),
        credentials=roles.credentials,
        without_capacity=os.environ.get("RATCHET_TRAINING_WITHOUT_CAPACITY", "").split(","),
    )
    atexit.register(chosen.close)
    service = _service(chosen, python, settings.current().state / "sagemaker")
    app.SERVICE_HANDLERS["sagemaker"] = service.handle
    router.SERVICE_PATTERNS["sagemaker"] = {"target_prefixes": ["SageMaker."], "host_patterns": [r"sagemaker\."]}
    sagemaker_auth.install()
    _keep_content_types()
    return service


def _keep_content_types() -> None:
    """A container's answer has the type that the container says, not that of its service's own answers."""
    stock = app.fix_success_content_type

    def fix(service: str, status: int, headers: dict[str, str]) -> None:
        if service != "sagemaker":
            stock(service, status, headers)

    app.fix_success_content_type = fix


def _service(executor: Executor, python: Path, home: Path) -> Service:
    resources, jobs, online = Resources(home / "resources.json"), TrainingJobs(executor), OnlineStore()
    offline = OfflineStore(resources, Writer(python))
    offline.start(float(os.environ.get("RATCHET_OFFLINE_STORE_SECONDS", OFFLINE_SECONDS)))
    endings.register(offline.flush)
    # The training Python has what a bundle's code asks for, numpy and onnxruntime; the functions' Python has neither.
    replicas = Replicas(python, home / "endpoints")
    atexit.register(replicas.close)
    groups, package_groups = FeatureGroups(resources, online), PackageGroups(resources)
    sagemaker_provisioners.install(groups, package_groups)
    models = Models(resources)
    hosting = (models, Endpoints(resources, models, replicas))
    registry = (package_groups, Packages(resources, package_groups))
    return Service((jobs, groups, FeatureRecords(groups, online, offline), *registry, *hosting, Tags(jobs, resources)))
