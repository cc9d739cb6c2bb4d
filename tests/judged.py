"""Material for tests of the evaluation: bundles around tiny linear ONNX models, a holdout, a manifest, in a store."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
from onnx import TensorProto, helper, numpy_helper
from ratchet.catalog import Pipeline, load
from ratchet.evaluate import Request
from ratchet.evaluation.measure import Cost
from ratchet.instants import iso, run_name
from ratchet.lease import Lease
from ratchet.serving.bundle import Bundle
from ratchet.store import encode

from tests.fakes import MemoryStore

START = datetime(2026, 11, 1, tzinfo=UTC)
STEP = timedelta(minutes=10)
WIDTH = 512
HOLDER = "arn:aws:states:::execution:the-run"


def returns(**gate: Any) -> Pipeline:
    """The pipeline `returns`, with other gate settings where asked."""
    pipeline = load("returns")
    return replace(pipeline, gate=replace(pipeline.gate, **gate))


def linear_model(weights: np.ndarray, bias: np.ndarray | None = None) -> bytes:
    """ONNX bytes of `features @ weights (+ bias)`; weights are [inputs, targets]."""
    width, targets = weights.shape
    offset = np.zeros(targets) if bias is None else bias
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["features", "weights", "bias"], ["predictions"])],
        "linear",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", width])],
        [helper.make_tensor_value_info("predictions", TensorProto.FLOAT, ["N", targets])],
        [
            numpy_helper.from_array(weights.astype(np.float32), "weights"),
            numpy_helper.from_array(offset.astype(np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def fragile_model(weights: np.ndarray) -> bytes:
    """As `linear_model` for rows far from zero, such as the reference's; NaN for normed ones, such as the holdout's."""
    model = onnx.load_from_string(linear_model(weights))
    limit, nothing, axes = (np.array(value, kind) for value, kind in ((10, "f4"), (0, "f4"), ([1], "i8")))
    for name, value in (("limit", limit), ("nothing", nothing), ("axes", axes)):
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    model.graph.node[0].output[0] = "sound"
    for kind, takes, gives in (
        ("ReduceSumSquare", ["features", "axes"], "size"),
        ("Sub", ["size", "limit"], "above"),
        ("Sqrt", ["above"], "root"),
        ("Mul", ["root", "nothing"], "nought"),
        ("Add", ["sound", "nought"], "predictions"),
    ):
        model.graph.node.append(helper.make_node(kind, takes, [gives]))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def archive(members: Mapping[str, bytes]) -> bytes:
    """A `model.tar.gz` of these members."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, body in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            tar.addfile(entry, io.BytesIO(body))
    return packed.getvalue()


@dataclass
class Rows:
    """Prepared rows in order of `starts` (base_ts); `ends` are those of the labels."""

    starts: list[datetime]
    ends: list[datetime]
    features: np.ndarray
    realised: np.ndarray
    groups: list[str] | None = None
    baselines: Mapping[str, np.ndarray] = field(default_factory=dict)

    def parquet(self, targets: Iterable[str], first: int) -> bytes:
        """holdout.parquet of the rows from `first` on."""
        kind = pa.timestamp("us", "UTC")
        columns: dict[str, Any] = {
            "base_ts": pa.array(self.starts[first:], kind),
            "ts": pa.array(self.ends[first:], kind),
        }
        columns |= {name: self.realised[first:, index] for index, name in enumerate(targets)}
        columns |= {f"baseline_{name}": values[first:] for name, values in self.baselines.items()}
        columns |= {"group": self.groups[first:]} if self.groups else {}
        columns["features"] = pa.FixedSizeListArray.from_arrays(self.features[first:].ravel(), self.features.shape[1])
        buffer = io.BytesIO()
        pq.write_table(pa.table(columns), buffer)
        return buffer.getvalue()


@dataclass
class World:
    """A store in which a run's data is prepared: targets are linear in the features, plus noise.

    The first half of the rows is for training, the rest is the holdout. `signal` is the true weights [inputs, targets].
    """

    store: MemoryStore
    pipeline: Pipeline
    signal: np.ndarray
    split: datetime
    run_ts: str = "2026-11-21T04-00-00Z"

    @property
    def width(self) -> int:
        return sum(self.pipeline.data.features.values())

    def request(self, run_ts: str | None = None) -> Request:
        keys, run = self.pipeline.keys, run_ts or self.run_ts
        uris = (keys.holdout(self.run_ts), keys.manifest(self.run_ts), keys.model(run))
        return Request(self.pipeline.name, run, HOLDER, *(self.store.uri(key) for key in uris), 7, f"mlops-{run[:10]}")

    def prepare(self, rows: Rows, changes: Mapping[str, Any] | None = None) -> None:
        """Puts the lease, the holdout and the manifest with its `changes`."""
        keys, half = self.pipeline.keys, len(rows.features) // 2
        self.store.put(keys.lease(), encode(asdict(Lease("held", HOLDER, self.run_ts, 7, iso(START), iso(START)))))
        body = rows.parquet(self.pipeline.data.targets, half)
        self.store.put(keys.holdout(self.run_ts), body)
        digests = {"train": "sha256:t", "holdout": f"sha256:{hashlib.sha256(body).hexdigest()}"}
        manifest = _manifest(self, rows.realised, half) | {"digests": digests}
        self.store.put(keys.manifest(self.run_ts), encode(manifest | dict(changes or {})))

    def bundle(
        self,
        weights: np.ndarray,
        run_ts: str | None = None,
        *,
        bias: np.ndarray | None = None,
        model: bytes | None = None,
        reference: np.ndarray | None = None,
        **changes: Any,
    ) -> str:
        """Puts a bundle of a linear model; returns its SHA-256. `changes` go into `bundle.json`."""
        run = run_ts or self.run_ts
        features = np.random.default_rng(1).normal(size=(16, weights.shape[0])).astype(np.float32)
        offset = 0.0 if bias is None else bias
        expected = features @ weights.astype(np.float32) + offset if reference is None else reference
        arrays = io.BytesIO()
        np.savez(arrays, features=features, predictions=expected.astype(np.float32))
        body = archive(
            {
                "bundle.json": json.dumps(self.bundle_document(run) | changes).encode(),
                "model.onnx": model or linear_model(weights, bias),
                "reference.npz": arrays.getvalue(),
            }
        )
        self.store.put(self.pipeline.keys.model(run), body)
        return hashlib.sha256(body).hexdigest()

    def bundle_document(self, run: str) -> dict[str, Any]:
        targets = self.pipeline.data.targets
        return {
            "format": 1,
            "pipeline": self.pipeline.name,
            "run_ts": run,
            "inputs": [{"name": "features", "dtype": "float32", "shape": [None, self.width], "unit": "1"}],
            "targets": [{"name": name, "unit": unit} for name, unit in targets.items()],
            "training": {"start": iso(START), "end": iso(self.split - STEP)},
            "validation": {"start": iso(self.split - 20 * STEP), "end": iso(self.split - STEP)},
            "train_mean": dict.fromkeys(targets, 0.0),
            "data_digest": "d" * 64,
            "train_uri": self.store.uri(self.pipeline.keys.train(self.run_ts)),
            "synthetic": False,
            "code_version": "1f2e3d4c",
            "frameworks": {"torch": "2.13.0", "onnx": "1.23.2"},
            "hyperparameters": {"epochs": 100, "lr": 0.001, "hidden_dims": "256,128,64"},
            "metrics": {
                "best_epoch": 17,
                "validation_mse": 0.0123,
                "validation_mse_per_target": {"breakout_return_pct": 0.5},
            },
            "device": "cpu",
        }

    def promote(self, run_ts: str, sha256: str, seq: int = 1) -> None:
        """Moves the pointer by hand."""
        keys = self.pipeline.keys
        document = {
            "model_uri": self.store.uri(keys.model(run_ts)),
            "run_ts": run_ts,
            "job_name": f"mlops-{run_ts[:10]}",
            "train_uri": self.store.uri(keys.train(run_ts)),
            "updated_at": iso(self.split),
            "sha256": sha256,
            "seq": seq,
            "previous": None,
            "previous_seq": None,
            "evaluation_uri": "",
            "token": seq,
            "move": "promote",
        }
        self.store.put(keys.pointer(), encode(document))

    def evaluation(self, run_ts: str | None = None) -> dict[str, Any]:
        """The evaluation that was written."""
        body = self.store.objects[self.pipeline.keys.evaluation(run_ts or self.run_ts)].body
        return dict(json.loads(body))


def world(
    rows: int = 600, *, noise: float = 1.0, seed: int = 0, manifest: Mapping[str, Any] | None = None, **gate: Any
) -> World:
    """A prepared run; `trend` is constant and `short_hold` redundant, as in the data that the pipeline was made for."""
    made = World(MemoryStore(), returns(**gate), _signal(seed), START + rows // 2 * STEP)
    rng = np.random.default_rng(seed + 1)
    features = rng.normal(size=(rows, WIDTH))
    features /= np.linalg.norm(features.reshape(rows, 2, 256), axis=2).repeat(256, axis=1)
    market = np.repeat(rng.exponential(size=rows // 12 + 1), 12)[:rows, None]
    realised = features @ made.signal + noise * (0.5 + market) * rng.normal(size=(rows, 6))
    realised[:, 0], realised[:, 5] = 0.0, -realised[:, 4]
    starts = [START + index * STEP for index in range(rows)]
    made.prepare(Rows(starts, [start + STEP for start in starts], features.astype(np.float32), realised), manifest)
    return made


def _signal(seed: int) -> np.ndarray:
    weights = np.random.default_rng(seed).normal(size=(WIDTH, 6))
    weights[:, 0], weights[:, 5] = 0.0, -weights[:, 4]
    return weights


def _manifest(made: World, realised: np.ndarray, half: int) -> dict[str, Any]:
    constant = {i: "constant (always 0)" for i in range(realised.shape[1]) if not np.ptp(realised[:, i])}
    why_not = constant | ({5: "redundant: −long_hold_return_pct"} if realised.shape[1] == 6 else {})
    targets = {
        name: {
            "unit": unit,
            "mean": float(realised[:half, index].mean()),
            "variance": float(realised[:half, index].var()),
            "counted": index not in why_not,
            "why_not": why_not.get(index),
        }
        for index, (name, unit) in enumerate(made.pipeline.data.targets.items())
    }
    end = made.split + (len(realised) - half - 1) * STEP
    validation = made.split - 20 * STEP
    return {
        "pipeline": made.pipeline.name,
        "run_ts": made.run_ts,
        "generated_at": "2026-11-21T04:02:11Z",
        "landing": {"ai_outputs": 3, "simulations_10m": 2},
        "counts": {
            "joined": len(realised) + 9,
            "rejected": {"norm": 4, "not_finite": 3},
            "embargoed": 2,
            "train": half - 20,
            "validation": 19,
            "holdout": len(realised) - half,
        },
        "intervals": {
            "train": {"start": iso(START), "end": iso(validation - 2 * STEP)},
            "validation": {"start": iso(validation), "end": iso(made.split - 2 * STEP)},
            "holdout": {"start": iso(made.split), "end": iso(end)},
        },
        "targets": targets,
        "schema": {},
        "feature_dim": made.width,
        "synthetic": False,
        "source": "supabase",
        "limit": 0,
    }


def cheap(bundle: Bundle) -> Cost:
    """Says what a small model costs, at once."""
    return Cost(p95_ms=0.02, memory_mib=70.0)


def later(run_ts: str, hours: int) -> str:
    """The name of a run so many hours after another."""
    return run_name(datetime.strptime(run_ts, "%Y-%m-%dT%H-%M-%SZ").replace(tzinfo=UTC) + timedelta(hours=hours))
