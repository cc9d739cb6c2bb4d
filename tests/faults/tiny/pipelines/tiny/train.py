"""Trains `tiny` in place of SageMaker's toolkit: the same folders, the same bytes from the same rows every time.

What it shall do instead stands in a file of orders: which write to die before or after, or how to fail.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from ratchet.serving.bundle_document import of_training
from ratchet.tables.training_data import TrainingData, read


class Writer:
    """Writes files, and dies where it was told to."""

    def __init__(self, dies: list[Any] | None) -> None:
        self.written, self.dies = 0, dies

    def write(self, path: Path, body: bytes) -> None:
        self.written += 1
        self._die("before")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        self._die("after")

    def _die(self, when: str) -> None:
        if self.dies == [self.written, when]:
            os.kill(os.getpid(), signal.SIGKILL)


def fit(data: TrainingData, ridge: float) -> np.ndarray:
    """Weights float32 [2, 1] of a ridge regression."""
    x, y = data.x["train"].astype(np.float64), data.y["train"].astype(np.float64)
    return np.linalg.solve(x.T @ x + ridge * np.eye(2), x.T @ y).astype(np.float32)


def graph(weights: np.ndarray) -> bytes:
    """ONNX of `features @ weights`."""
    shapes = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width])
        for name, width in (("features", 2), ("predictions", 1))
    ]
    node = helper.make_node("MatMul", ["features", "weights"], ["predictions"])
    made = helper.make_graph([node], "linear", shapes[:1], shapes[1:], [numpy_helper.from_array(weights, "weights")])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def reference(graph_body: bytes, data: TrainingData, off_by: float) -> bytes:
    """reference.npz with the graph's own answers, or others."""
    rows = data.x["validation"][:8]
    session = onnxruntime.InferenceSession(graph_body, providers=["CPUExecutionProvider"])
    (answers,) = session.run(["predictions"], {"features": rows})
    path = Path("reference.npz")
    np.savez(path, features=rows, predictions=answers + np.float32(off_by))
    return path.read_bytes()


def describe(data: TrainingData, knobs: dict[str, Any]) -> bytes:
    """bundle.json."""
    means = dict(zip(data.targets, data.y["train"].mean(axis=0, dtype=np.float64).tolist(), strict=True))
    facts = {name: knobs[name] for name in ("run_ts", "train_uri", "code_version")}
    own = {"hyperparameters": {"ridge": knobs["ridge"]}, "metrics": {}, "device": "cpu"}
    return json.dumps(of_training(data.manifest, means, unit="none", packages=["numpy"], **facts, **own)).encode()


def main(base: Path, orders: dict[str, Any]) -> None:
    """Reads the channel, trains, writes the bundle's files, or does what it is told instead."""
    knobs = json.loads((base / "input/config/hyperparameters.json").read_text())
    data, writer, model = read(base / "input/data/train"), Writer(orders.get("dies")), base / "model"
    does = orders.get("does", "train")
    if does == "exit":
        sys.exit(7)
    if does == "sleep":
        time.sleep(300)
    if does == "diverge":
        raise FloatingPointError("The loss in epoch 3 is nan: lower lr.")
    if does == "leave nothing":
        return
    writer.write(base / "checkpoints/checkpoint.json", b"{}")
    weights = fit(data, float(knobs["ridge"])) * np.float32(orders.get("strength", 1.0))
    body = graph(weights)
    writer.write(model / "model.onnx", body)
    writer.write(model / "reference.npz", reference(body, data, 1.0 if does == "disagree" else 0.0))
    writer.write(model / "bundle.json", describe(data, knobs))
    (base / "output/writes").write_text(str(writer.written))


if __name__ == "__main__":
    root = Path(os.environ["SAGEMAKER_BASE_DIR"])
    try:
        main(root, json.loads(Path(sys.argv[1]).read_text()))
    except Exception as error:
        # As AWS's toolkit has it.
        (root / "output/failure").write_text(f'ExecuteUserScriptError:\nErrorMessage "{type(error).__name__}: {error}"')
        raise
