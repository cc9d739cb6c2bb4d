"""The API of `rul` in this process: files of a machine, a champion, a state machine, and requests to the function."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlencode

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from ratchet import pointer
from ratchet.api.service import Service, service
from ratchet.catalog import Pipeline, load
from ratchet.errors import AlreadyRunning
from ratchet.executions import Execution
from ratchet.sensors.kind import Source
from ratchet.serving.bundle import write_bundle
from ratchet.settings import settings
from ratchet.store import encode

from cli.gateway import answer_of, event_of
from functions.api import app
from tests import bundles
from tests.fakes import Clock, MemoryStore
from tests.sensor_files import START, Machine, land_days

PIPELINE = load("rul")
KEYS = PIPELINE.keys
SOURCE = Source(PIPELINE)
RUN = "2026-11-12T15-00-00Z"
HOURS = 76
NOW = START + timedelta(hours=HOURS, minutes=20)
PRESS = Machine("zone-1", "press", hot=[10, 11], silent={"humid": range(30, 200)})
ARN = "arn:aws:states:us-east-1:123456789012:stateMachine:stack-rul"


def graph(width: int = len(SOURCE.inputs()), scale: float = 1.0) -> bytes:
    """ONNX that answers with `scale` times the hours that a machine has run, the last input; what is missing is 0."""
    weights = np.zeros((width, 1), np.float32)
    weights[-1] = scale
    shapes = [
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", width]),
        helper.make_tensor_value_info("predictions", TensorProto.FLOAT, ["rows", 1]),
    ]
    nodes = [
        helper.make_node("IsNaN", ["features"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "features"], ["filled"]),
        helper.make_node("MatMul", ["filled", "weights"], ["predictions"]),
    ]
    constants = [
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(np.zeros(1, np.float32), "zero"),
    ]
    made = helper.make_model(
        helper.make_graph(nodes, "running", shapes[:1], shapes[1:], constants),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    onnx.checker.check_model(made)
    return made.SerializeToString()


def about(**changed: Any) -> dict[str, Any]:
    """What a bundle says of the data that it has learned from."""
    return {"inputs": SOURCE.inputs(), "sensors": ["temperature", "humidity", "pressure"], **changed}


def bundle(folder: Path, run: str, model: bytes, told: Any, unit: str) -> bytes:
    """A `model.tar.gz` of `rul`."""
    width = len(SOURCE.inputs())
    members = folder / run
    members.mkdir()
    document = {**bundles.document(run, width, ("remaining_hours",)), "pipeline": "rul", "about": told}
    document["targets"] = [{"name": "remaining_hours", "unit": unit}]
    (members / "model.onnx").write_bytes(model)
    (members / "bundle.json").write_text(json.dumps(document))
    np.savez(members / "reference.npz", features=np.ones((1, width), "f4"), predictions=np.ones((1, 1), "f4"))
    write_bundle(members, folder / f"{run}.tar.gz")
    return (folder / f"{run}.tar.gz").read_bytes()


def promote(
    store: MemoryStore, run: str = RUN, model: bytes | None = None, told: Any = None, unit: str = "hours"
) -> None:
    """Puts a bundle into service, whatever its quality."""
    with tempfile.TemporaryDirectory() as folder:
        archive = bundle(
            Path(folder), run, graph() if model is None else model, about() if told is None else told, unit
        )
    store.put(KEYS.model(run), archive)
    standing = pointer.read(store, KEYS)
    before = standing[0] if standing else None
    named = {"model_uri": store.uri(KEYS.model(run)), "run_ts": run, "sha256": hashlib.sha256(archive).hexdigest()}
    seen = {"seq": before.seq + 1 if before else 1, "previous": before.run_ts if before else None}
    rest = {"job_name": "job", "train_uri": "s3://bucket/t", "updated_at": "2026-11-12T15:10:00Z", "token": 1}
    last = {"previous_seq": before.seq if before else None, "evaluation_uri": "s3://bucket/e", "move": "promote"}
    store.put(KEYS.pointer(), encode(asdict(pointer.Pointer(**named, **seen, **rest, **last))))  # type: ignore[arg-type]


class States:
    """A state machine whose executions are the test's; what is started runs."""

    def __init__(self) -> None:
        self.executions: dict[str, Execution] = {}

    def start_execution(self, name: str, document: Mapping[str, Any]) -> None:
        text = json.dumps(document)
        if name in self.executions and self.executions[name].input != text:
            raise AlreadyRunning(f"'{name}' was started with another input.")
        self.executions.setdefault(name, Execution("RUNNING", NOW, input=text))

    def describe_execution(self, name: str) -> Execution | None:
        return self.executions.get(name)


@dataclass
class World:
    """The ports of the function, and requests to it."""

    store_: MemoryStore = field(default_factory=MemoryStore)
    states: States = field(default_factory=States)
    clock: Clock = field(default_factory=lambda: Clock(NOW))
    noted: Any = None
    """Ports to hand over instead of these."""

    def store(self) -> MemoryStore:
        return self.store_

    reader = store

    def files(self, pipeline: Pipeline) -> MemoryStore:
        assert pipeline.name == "rul"
        return self.store_

    def machine(self) -> States:
        return self.states

    def handle(self, event: dict[str, Any], context: Any = None) -> dict[str, Any]:
        """The function's result, without the logging of its context."""
        handler: Any = app.handler
        result: dict[str, Any] = handler.__wrapped__(event, context, self.noted or self, self.clock)
        return result

    def ask(
        self, request: str, body: Any = None, kind: str = "application/json", **query: str
    ) -> tuple[int, dict[str, Any]]:
        """Status and document of an answer to a request such as `GET /health`."""
        method, _, path = request.partition(" ")
        text = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        target = f"{path}?{urlencode(query)}" if query else path
        headers = [("Host", "api"), *([("Content-Type", kind)] if text else [])]
        status, found, content = answer_of(self.handle(event_of(method, target, headers, text, "127.0.0.1")))
        assert found["Content-Type"] == "application/json"
        document: dict[str, Any] = json.loads(content)
        return status, document

    def predict(self, zone: str = PRESS.zone, equipment: str = PRESS.equipment) -> tuple[int, dict[str, Any]]:
        """The answer to a request for a prediction."""
        return self.ask("GET /api/v1/predict", zoneId=zone, equipId=equipment)


@contextmanager
def configured() -> Iterator[None]:
    """What the template tells the function."""
    told = {"RATCHET_BUCKET": "bucket", "RATCHET_STACK": "stack", "RATCHET_API_PIPELINE": "rul"}
    settings.cache_clear()
    with mock.patch.dict(os.environ, told):
        yield
    settings.cache_clear()


def whole() -> World:
    """A champion is in service, three days have landed, and files came since; the process has served nothing yet."""
    service.cache_clear()
    world = World()
    PRESS.write(world.store_, range(HOURS))
    land_days(world.store_, SOURCE, 0, 3)
    promote(world.store_)
    return world


def clone(world: World) -> World:
    """The same, to be changed; the process has served nothing yet."""
    service.cache_clear()
    store = MemoryStore()
    store.objects = dict(world.store_.objects)
    return replace(world, store_=store, states=States(), clock=Clock(NOW))


def serving() -> Service:
    """What the process holds."""
    return service("rul")
