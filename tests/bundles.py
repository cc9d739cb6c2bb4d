"""Small real bundles: a linear ONNX graph, packed by the product's own writer."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from ratchet import pointer
from ratchet.catalog import Pipeline, load
from ratchet.pointer import Pointer
from ratchet.serving.bundle import Bundle, write_bundle
from ratchet.serving.champion import Champion, Follower
from ratchet.store import ObjectStore, encode

RUN = "2026-11-21T04-00-00Z"
WIDTH = 512


def returns(**serving: Any) -> Pipeline:
    """The pipeline `returns`, with some of its `serving` replaced."""
    pipeline = load("returns")
    return replace(pipeline, serving=replace(pipeline.serving, **serving))


TARGETS = tuple(returns().data.targets)


def graph(
    width: int = WIDTH,
    targets: int = len(TARGETS),
    scale: float = 1.0,
    batch: str | int = "rows",
    ending: str = "Identity",
    operand: Sequence[int] = (),
    **attributes: int,
) -> bytes:
    """ONNX of `features @ weights`, where target j is `scale * features[j]`; `ending` is the operator that follows."""
    weights = numpy_helper.from_array(np.eye(width, targets, dtype=np.float32) * np.float32(scale), "weights")
    shapes = [
        helper.make_tensor_value_info("features", TensorProto.FLOAT, [batch, width]),
        helper.make_tensor_value_info("predictions", TensorProto.FLOAT, [batch, targets]),
    ]
    nodes = [
        helper.make_node("MatMul", ["features", "weights"], ["product"]),
        helper.make_node(ending, ["product", "operand"] if operand else ["product"], ["predictions"], **attributes),
    ]
    constants = [weights, *([numpy_helper.from_array(np.array(operand), "operand")] if operand else [])]
    made = helper.make_model(
        helper.make_graph(nodes, "linear", shapes[:1], shapes[1:], constants),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    onnx.checker.check_model(made)
    return made.SerializeToString()


def first_columns(width: int, targets: int) -> bytes:
    """ONNX whose answers are the first inputs, so that no other one that is missing matters."""
    chosen = numpy_helper.from_array(np.arange(targets), "chosen")
    shapes = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", size])
        for name, size in (("features", width), ("predictions", targets))
    ]
    node = helper.make_node("Gather", ["features", "chosen"], ["predictions"], axis=1)
    made = helper.make_model(
        helper.make_graph([node], "first", shapes[:1], shapes[1:], [chosen]),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    onnx.checker.check_model(made)
    return made.SerializeToString()


def document(
    run: str = RUN, width: int | None = None, targets: tuple[str, ...] | None = None, pipeline: str = "returns"
) -> dict[str, Any]:
    """A `bundle.json`; inputs and targets are the pipeline's where nothing else is said."""
    data = load(pipeline).data
    width = sum(data.features.values()) if width is None else width
    targets = tuple(data.targets) if targets is None else targets
    interval = {"start": "2026-11-01T00:00:00Z", "end": "2026-11-10T00:00:00Z"}
    return {
        "format": 1,
        "pipeline": pipeline,
        "run_ts": run,
        "inputs": [{"name": "features", "dtype": "float32", "shape": ["N", width], "unit": "none"}],
        "targets": [{"name": name, "unit": data.targets.get(name, "percent")} for name in targets],
        "training": interval,
        "validation": interval,
        "train_mean": dict.fromkeys(targets, 0.0),
        "data_digest": "0",
        "train_uri": "s3://bucket/train/train.parquet",
        "synthetic": True,
        "code_version": "0.1.0",
        "frameworks": {},
        "hyperparameters": {},
        "metrics": {},
        "device": "cpu",
    }


def unpacked(folder: Path, model: bytes | None = None, **fields: Any) -> Bundle:
    """A bundle as its reader leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    told = document(**fields)
    declared = load(told["pipeline"]).data
    width, outputs = sum(declared.features.values()), len(declared.targets)
    (folder / "model.onnx").write_bytes(graph(width, outputs) if model is None else model)
    (folder / "bundle.json").write_text(json.dumps(told))
    np.savez(folder / "reference.npz", features=np.ones((3, width), "f4"), predictions=np.zeros((3, outputs), "f4"))
    return Bundle(folder, told, folder / "model.onnx", folder / "reference.npz")


def packed(folder: Path, model: bytes | None = None, **fields: Any) -> bytes:
    """A `model.tar.gz`, made in a folder that holds none yet."""
    write_bundle(unpacked(folder / "members", model, **fields).folder, folder / "model.tar.gz")
    return (folder / "model.tar.gz").read_bytes()


def promote(
    store: ObjectStore,
    folder: Path,
    run: str = RUN,
    model: bytes | None = None,
    digest: str | None = None,
    **fields: Any,
) -> Pointer:
    """Puts a bundle into the store and points at it, whatever its quality: the move after the pointer's."""
    archive = packed(folder / run, model, **{"run": run, **fields})
    keys = load(fields.get("pipeline", "returns")).keys
    store.put(keys.model(run), archive)
    standing = pointer.read(store, keys)
    before = standing[0] if standing else None
    moved = Pointer(
        model_uri=store.uri(keys.model(run)),
        run_ts=run,
        job_name="job",
        train_uri="s3://bucket/train/train.parquet",
        updated_at="2026-11-21T04:10:00Z",
        sha256=digest or hashlib.sha256(archive).hexdigest(),
        seq=before.seq + 1 if before else 1,
        previous=before.run_ts if before else None,
        previous_seq=before.seq if before else None,
        evaluation_uri="s3://bucket/evaluation.json",
        token=1,
        move="promote",
    )
    store.put(keys.pointer(), encode(asdict(moved)))
    return moved


def champion(store: ObjectStore, folder: Path, **fields: Any) -> Champion:
    """A bundle that is promoted and loaded."""
    promote(store, folder, **fields)
    return Follower(load(fields.get("pipeline", "returns"))).current(store)


def row(base_ts: str = "2026-11-21T04:00:00Z", first: float = 0.5) -> dict[str, Any]:
    """A row to score: all zeros but for the first of each embedding."""
    return {"base_ts": base_ts, "embedding_a": [first, *[0.0] * 255], "embedding_b": [1.0, *[0.0] * 255]}
