"""Trains `returns`: a multilayer perceptron from two embeddings to six strategy returns, and writes its bundle.

SageMaker script mode: rows and manifest in SM_CHANNEL_TRAIN, the bundle's files to SM_MODEL_DIR (packed by SageMaker as
model.tar.gz), metrics to SM_OUTPUT_DATA_DIR, checkpoints to /opt/ml/checkpoints. Hyperparameters arrive as text.
"""

import argparse
import copy
import io
import json
import logging
import os
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ratchet.script import Job, started
from ratchet.tables.training_data import TrainingData, read
from torch import Tensor, nn

KNOBS = {
    "epochs": 100, "batch_size": 64, "lr": 1e-3, "weight_decay": 1e-4, "dropout": 0.15,
    "hidden_dims": "256,128,64", "use_layernorm": False, "patience": 15, "seed": 42,
}  # fmt: skip
"""The hyperparameters and their defaults; pipeline.yaml names the values of a run."""
NEEDS = {"pyarrow": "pyarrow", "onnx": "onnx==1.23.2", "onnxscript": "onnxscript==0.7.2"}
PACKAGES = ("torch", "numpy", "onnx", "onnxscript", "pyarrow")

log = logging.getLogger("train")


class Model(nn.Module):  # type: ignore[misc]
    """float32 [N, inputs] to float32 [N, targets] in the targets' own units; all scaling is inside the graph."""

    def __init__(self, inputs: int, targets: int, hidden: list[int], dropout: float, layernorm: bool) -> None:
        """Linear, optional LayerNorm, ReLU and Dropout per hidden layer, then a linear head."""
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip([inputs, *hidden], hidden, strict=False):
            layers += [nn.Linear(before, after), *([nn.LayerNorm(after)] if layernorm else [])]
            layers += [nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden[-1] if hidden else inputs, targets))
        for name, size in (("x", inputs), ("y", targets)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))

    def forward(self, features: Tensor) -> Tensor:
        """Predictions in the targets' units; a constant target is its mean, exactly."""
        return self.standardised(features) * self.y_scale + self.y_mean

    def standardised(self, features: Tensor) -> Tensor:
        """Predictions in standard deviations from the mean."""
        return self.layers((features - self.x_mean) / self.x_scale)

    def fit_scales(self, x: Tensor, y: Tensor) -> None:
        """Mean and standard deviation of the training rows; constant inputs keep 1, constant targets get 0."""
        for name, values, constant in (("x", x, 1.0), ("y", y, 0.0)):
            mean, scale = values.double().mean(0), values.double().std(0, unbiased=False)
            getattr(self, f"{name}_mean").copy_(mean)
            getattr(self, f"{name}_scale").copy_(torch.where(scale > 1e-8, scale, torch.full_like(scale, constant)))

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """MSE in units of each target's standard deviation, so that no target drowns another."""
        wanted = torch.where(self.y_scale > 0, (targets - self.y_mean) / self.y_scale, 0.0)
        return (self.standardised(features) - wanted).square().mean()


def fit(model: Model, data: TrainingData, job: Job, device: torch.device) -> dict[str, Any]:
    """Trains until validation stops improving, resuming from a checkpoint; leaves the best weights in `model`."""
    knobs = job.knobs
    x, y = ({part: torch.from_numpy(rows).to(device) for part, rows in parts.items()} for parts in (data.x, data.y))
    model.fit_scales(x["train"], y["train"])
    optimizer = torch.optim.Adam(model.parameters(), lr=knobs.lr, weight_decay=knobs.weight_decay)
    checkpoint = job.checkpoint_dir / "checkpoint.pt"
    # What a checkpoint must agree on to be resumed.
    basis = json.dumps({"rows": data.manifest["digests"]["train"], **vars(knobs)}, sort_keys=True)
    state = resume(checkpoint, basis, model, optimizer, device)
    while state["epoch"] < knobs.epochs and state["epoch"] - state["best_epoch"] < knobs.patience:
        began, epoch = time.monotonic(), state["epoch"] + 1
        train_loss = run_epoch(model, optimizer, x["train"], y["train"], knobs, epoch)
        validation_loss = evaluate(model, x["validation"], y["validation"])
        if not np.isfinite([train_loss, validation_loss]).all():
            # The built-in name is one that SageMaker's toolkit quotes in the reason of a failed job.
            raise FloatingPointError(
                f"The loss in epoch {epoch} is {train_loss} ({validation_loss} on validation): lower lr."
            )
        if validation_loss < state["best_loss"]:
            # A deep copy: `state_dict` holds the live tensors, which the next step changes.
            state |= {"best": copy.deepcopy(model.state_dict()), "best_loss": validation_loss, "best_epoch": epoch}
        state["epoch"] = epoch
        save(checkpoint, {**state, "model": model.state_dict(), "optimizer": optimizer.state_dict()})
        progress = f"train_loss={train_loss:.6f} validation_loss={validation_loss:.6f} best_epoch={state['best_epoch']}"
        log.info("epoch %d/%d %s seconds=%.2f", epoch, knobs.epochs, progress, time.monotonic() - began)
    model.load_state_dict(state["best"])
    return {"best_epoch": state["best_epoch"], "best_validation_loss": state["best_loss"], "epochs": state["epoch"]}


def run_epoch(
    model: Model, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, knobs: argparse.Namespace, epoch: int
) -> float:
    """One pass over the rows in an order that depends on seed and epoch alone, so a resumed run repeats it."""
    torch.manual_seed(knobs.seed * 100_003 + epoch)
    model.train()
    total = torch.zeros((), device=x.device)
    for rows in torch.randperm(len(x)).to(x.device).split(knobs.batch_size):
        optimizer.zero_grad(set_to_none=True)
        loss = model.loss(x[rows], y[rows])
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(rows)
    return float(total) / len(x)


def evaluate(model: Model, x: Tensor, y: Tensor) -> float:
    """The loss without dropout."""
    model.eval()
    with torch.no_grad():
        return float(model.loss(x, y))


def resume(
    path: Path, basis: str, model: Model, optimizer: torch.optim.Optimizer, device: torch.device
) -> dict[str, Any]:
    """The state to go on from: a checkpoint of the same rows and hyperparameters, else the beginning."""
    fresh = {"epoch": 0, "best_epoch": 0, "best_loss": float("inf"), "best": None, "basis": basis}
    if not path.is_file():
        return fresh
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    if state["basis"] != basis:
        log.info("the checkpoint is of other rows or hyperparameters: starting over")
        return fresh
    model.load_state_dict(state.pop("model"))
    optimizer.load_state_dict(state.pop("optimizer"))
    log.info("resumed after epoch %d", state["epoch"])
    return state


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes a checkpoint whole or not at all: the machine may be taken away at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def export(model: Model, inputs: int) -> bytes:
    """The graph: `features` [N, inputs] to `predictions` [N, targets], any N; `model` is on the CPU."""
    options = {"opset_version": 20, "dynamo": True, "verbose": False}
    names = {"input_names": ["features"], "output_names": ["predictions"]}
    shapes = {"features": {0: torch.export.Dim("rows", min=1)}}
    with warnings.catch_warnings():
        # The exporter calls what PyTorch itself has deprecated.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(model, (torch.zeros(2, inputs),), dynamic_shapes=shapes, **names, **options)
    return bytes(program.model_proto.SerializeToString())


def weights(model: Model) -> bytes:
    """The state dict as PyTorch saves it."""
    saved = io.BytesIO()
    torch.save(model.state_dict(), saved)
    return saved.getvalue()


def predict(model: Model, x: np.ndarray) -> np.ndarray:
    """The framework's own predictions, float32 [N, targets]."""
    model.eval()
    with torch.no_grad():
        return np.asarray(model(torch.from_numpy(x)).numpy())


def measure(model: Model, data: TrainingData) -> dict[str, Any]:
    """What the validation rows say, per target in its own unit squared."""
    errors = np.square(predict(model, data.x["validation"]) - data.y["validation"]).mean(axis=0, dtype=np.float64)
    per_target = dict(zip(data.targets, errors.tolist(), strict=True))
    rows = {f"{part}_rows": len(values) for part, values in data.x.items()}
    return {**rows, "validation_mse": float(errors.mean()), "validation_mse_per_target": per_target}


def main(arguments: list[str] | None = None) -> None:
    """Reads, trains, measures, writes."""
    logging.basicConfig(format="%(message)s")
    log.setLevel(logging.INFO)
    with started(KNOBS, NEEDS, os.environ, arguments, epochs=1) as job:
        # Products of 64 rows are too small to share: a second thread waits more than it works.
        torch.set_num_threads(1)
        torch.manual_seed(job.knobs.seed)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        name = f"cuda: {torch.cuda.get_device_name()}" if device.type == "cuda" else "cpu"
        data = read(job.channel)
        width = data.x["train"].shape[1]
        log.info("device=%s train_rows=%d validation_rows=%d", name, len(data.x["train"]), len(data.x["validation"]))
        hidden = [int(size) for size in job.knobs.hidden_dims.split(",") if size]
        model = Model(width, len(data.targets), hidden, job.knobs.dropout, job.knobs.use_layernorm)
        metrics = fit(model.to(device), data, job, device) | measure(model.cpu(), data)
        files = {"model.onnx": export(model, width), "model.pth": weights(model)}
        facts = {"unit": "L2-normalised embeddings", "packages": PACKAGES, "device": name}
        job.leave(data, files, lambda x: predict(model, x), metrics, **facts)
    log.info("done: %s", json.dumps(metrics, sort_keys=True))


if __name__ == "__main__":
    main()
