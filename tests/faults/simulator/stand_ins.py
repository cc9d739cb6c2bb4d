"""What computes and decides nothing about who may write, made cheap: file formats, models, the statistics of the gate.

Everything that reads or writes the bucket is the product's own. A file is JSON here, a model one number (`scale`), and
a challenger beats the champion when its number is greater.
"""

import json
import sys
import tempfile
import types
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from ratchet import catalog, evaluate, store, training
from ratchet.endpoint import verify
from ratchet.errors import BadBundle
from ratchet.evaluation import candidates, evidence, judge, scores
from ratchet.evaluation.health import Health
from ratchet.evaluation.judge import Judgement
from ratchet.evaluation.scores import Scores
from ratchet.extraction.source import Rejected
from ratchet.gate import checks
from ratchet.gate.bootstrap import Effect
from ratchet.gate.checks import Parity
from ratchet.gate.metrics import TargetMetrics
from ratchet.registry import asking, visit
from ratchet.serving import champion, session
from ratchet.source_archive import Archive
from ratchet.sources import Table, Tables
from ratchet.tables import dataset, joined, landing_file, set_aside
from ratchet.tables.dataset import Dataset

from tests.faults.simulator.scratch import Folder

NAME = "simulated"
LEFT = Table("ts", {"ts": "timestamp", "vector": "float32[2]"})
RIGHT = Table("at", {"at": "timestamp", "value": "float64"})
HOLDOUT_ROWS = 64
OVERLAP_MINUTES = 40
OVERLAP = timedelta(minutes=OVERLAP_MINUTES)
COMPARED: set[tuple[float, float | None]] = set()
"""Which models, by their numbers, were really compared: challenger and champion."""


@cache
def pipeline() -> catalog.Pipeline:
    """`returns` with two narrow tables and one target."""
    returns = catalog.load("returns")
    data = replace(returns.data, features={"vector": 2}, targets={"value": "percent"}, min_rows=3)
    gate = replace(returns.gate, budgets={}, min_holdout_rows=8, min_new_holdout_rows=0)
    serving = replace(returns.serving, table="left", staleness_minutes=100_000)
    source = Tables("tables", "left", 3, OVERLAP_MINUTES, 24, {"left": LEFT, "right": RIGHT})
    return replace(returns, name=NAME, prefix="", source=source, data=data, gate=gate, serving=serving)


def encode(document: Any) -> bytes:
    """In place of the spelling for people: Python's own encoder is slow once it indents."""
    return json.dumps(document, sort_keys=True, allow_nan=False).encode()


def _users_of_encode() -> list[Any]:
    return [
        each
        for name, each in sys.modules.items()
        if name.startswith("ratchet") and vars(each).get("encode") is store.encode
    ]


@contextmanager
def simulated() -> Iterator[None]:
    """Puts the stand-ins in place until the block ends."""
    features = types.ModuleType(f"pipelines.{NAME}.features")
    features.FIELDS = {"vector": 2}  # type: ignore[attr-defined]
    features.arrays = lambda vector: vector  # type: ignore[attr-defined]
    features.inputs = lambda vector, row: np.asarray(vector, np.float32)  # type: ignore[attr-defined]
    package = types.ModuleType(f"pipelines.{NAME}")
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict("sys.modules", {package.__name__: package, features.__name__: features}))
        for user in _users_of_encode():
            stack.enter_context(mock.patch.object(user, "encode", encode))
        for module, name, stand_in in _STAND_INS:
            stack.enter_context(mock.patch.object(module, name, stand_in))
        yield


@dataclass(frozen=True)
class Bundle:
    """What the reader of bundles hands over."""

    document: dict[str, Any]

    @property
    def folder(self) -> Path:
        return Path("unused")

    def reference(self) -> tuple[Any, Any]:
        rows = np.ones((1, 2), np.float32)
        return rows, load_session(self).predict(rows)


@dataclass(frozen=True)
class Model:
    """Predicts `scale` times the first input."""

    run_ts: str
    targets: tuple[str, ...]
    scale: float
    width: int = 2

    def predict(self, rows: Any) -> Any:
        return (np.asarray(rows, np.float32)[:, :1] * np.float32(self.scale)).astype(np.float32)


def pack(run_ts: str, train_uri: str, data_digest: str, scale: float) -> bytes:
    """The bundle of a model."""
    interval = {"start": "2026-11-01T00:00:00Z", "end": "2026-11-20T00:00:00Z"}
    document = {
        **{"format": 1, "pipeline": NAME, "run_ts": run_ts, "train_uri": train_uri, "data_digest": data_digest},
        **{"targets": [{"name": "value", "unit": "percent"}], "training": interval, "validation": interval},
        **{"synthetic": False, "code_version": "", "frameworks": {}, "hyperparameters": {}, "metrics": {}},
        **{"device": "cpu", "scale": scale},
    }
    return json.dumps(document).encode()


def read_bundle(archive: Path, folder: Path, name: str) -> Bundle:
    """In place of the reader of archives."""
    try:
        return Bundle(json.loads(archive.read_bytes()))
    except ValueError as error:
        raise BadBundle("The bundle cannot be read to its end.") from error


def load_session(bundle: Bundle) -> Model:
    """In place of ONNX Runtime."""
    return Model(bundle.document["run_ts"], ("value",), bundle.document["scale"])


def examine(challenger: Any, declared: Any, manifest: Any, measure: Any) -> Health:
    """In place of parity and budgets."""
    return Health([checks.schema([])], Parity(1, 0.0, 1.0), {})


def score(path: Path, declared: Any, challenger: Model, rival: Model | None, start: datetime) -> Scores:
    """In place of predictions on the holdout."""
    minutes = np.arange(HOLDOUT_ROWS, dtype=np.int64) * 10
    values = [np.full((HOLDOUT_ROWS, 1), model.scale) if model else None for model in (challenger, rival)]
    realised = np.zeros((HOLDOUT_ROWS, 1))
    return Scores(minutes, realised, values[0], values[1], HOLDOUT_ROWS, minutes, {}, None)  # type: ignore[arg-type]


def judge_scores(found: Scores, targets: Any, declared: Any, alpha: float) -> Judgement:
    """In place of the bootstrap: surely better, or surely worse."""
    ours = float(found.challenger[0, 0])
    theirs = None if found.champion is None else float(found.champion[0, 0])
    COMPARED.add((ours, theirs))
    comparison = None if theirs is None else _effect(0.5 if ours > theirs else -0.5)
    metrics = [TargetMetrics(1.0, 1.0, 0.0, 0.5)]
    return Judgement(
        losses={"challenger": 1.0, "champion": 2.0, "zero": 3.0, "train_mean": 3.0},
        skill={"zero": _effect(0.5), "train_mean": _effect(0.5)},
        champion_skill={},
        comparison=comparison,
        reference="zero" if theirs is None else "champion",
        by_target={"value": _effect(0.5)},
        challenger=metrics,
        champion=None if theirs is None else metrics,
        block_minutes=10,
        advantage=np.zeros(HOLDOUT_ROWS),
    )


def _effect(estimate: float) -> Effect:
    return Effect(estimate, estimate - 0.1, estimate + 0.1, 0.01, 0.05, 0.1, 0.05, 8)


def write_rows(table: Table, columns: dict[str, Any]) -> bytes:
    """In place of Parquet."""
    keys = columns[table.key].astype("datetime64[us]").astype(np.int64).tolist()
    rest = {name: values.tolist() for name, values in columns.items() if name != table.key}
    return json.dumps({table.key: keys, **rest}).encode()


def read_rows(table: Table, body: bytes, key: str) -> dict[str, Any]:
    """In place of Parquet."""
    told = json.loads(body)
    columns: dict[str, Any] = {table.key: np.array(told[table.key], "int64").view("datetime64[us]")}
    for name, kind in table.columns.items():
        if name != table.key:
            dtype = np.float32 if kind.startswith("float32") else np.float64
            columns[name] = (
                np.array(told[name], dtype).reshape(-1, 2)
                if kind.startswith("float32")
                else np.array(told[name], dtype)
            )
    return columns


def write_rejected(rows: Any) -> bytes:
    """In place of Parquet."""
    return json.dumps(sorted([row.key, row.reason, row.row] for row in rows)).encode()


def read_rejected(body: bytes, key: str) -> list[Rejected]:
    """In place of Parquet."""
    return [Rejected(*row) for row in json.loads(body)]


def window(declared: Any, days: Any, limit: int, until: datetime) -> Any:
    """In place of the join: the keys of the left table alone."""
    keys = [json.loads(path.read_bytes())["ts"] for path in days["left"]]
    return np.array([key for part in keys for key in part if key <= until.timestamp() * 1e6], np.int64)


def build(declared: Any, days: Any, instants: Any, folder: Path) -> Dataset:
    """In place of the join: what landed, cut in two."""
    rows = [json.loads(path.read_bytes()) for table in ("left", "right") for path in days[table]]
    files = {name: folder / f"{name}.parquet" for name in ("train", "holdout", "rejected")}
    for name, path in files.items():
        path.write_text(json.dumps([name, rows]))
    third = len(instants) // 3
    counts = {"joined": len(instants), "rejected": {}, "embargoed": 0}
    counts |= {"train": len(instants) - 2 * third, "validation": third, "holdout": third}
    described = {"unit": "percent", "mean": 0.0, "variance": 1.0, "counted": True, "why_not": None}
    return Dataset(files, counts, {}, {"value": described}, {})


def gather(store: Any, declared: Any, *where: Any) -> dict[str, int]:
    """In place of copying rejected rows."""
    return {}


class Serial:
    """A pool of no threads: whoever downloads waits for its turn like everybody."""

    def __init__(self, workers: int) -> None:
        pass

    def __enter__(self) -> "Serial":
        return self

    def __exit__(self, *raised: object) -> None:
        return None

    def map(self, function: Any, *arguments: Any) -> Any:
        return map(function, *arguments)


class Source(Archive):
    """Code that is packed at once."""

    digest = "0123456789abcdef"

    def build(self) -> bytes:
        return b"the code"


_STAND_INS: list[tuple[Any, str, Any]] = [
    *((module, "TemporaryDirectory", Folder) for module in (tempfile, evaluate, champion)),
    *((module, "read_bundle", read_bundle) for module in (training, candidates, champion, verify)),
    *((module, "load", lambda name: pipeline()) for module in (asking, visit)),
    (session, "load", load_session),
    (evidence, "examine", examine),
    (scores, "score", score),
    (judge, "judge", judge_scores),
    (evaluate.card, "render", lambda evaluation, series: json.dumps(evaluation["generated_at"]).encode()),
    (landing_file, "write", write_rows),
    (landing_file, "read", read_rows),
    (landing_file, "write_rejected", write_rejected),
    (landing_file, "read_rejected", read_rejected),
    (dataset, "window", window),
    (dataset, "build", build),
    (set_aside, "gather", gather),
    (joined, "ThreadPoolExecutor", Serial),
]
