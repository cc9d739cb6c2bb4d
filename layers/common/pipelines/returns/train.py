"""Trains `returns`: a multilayer perceptron from two embeddings to six strategy returns, and writes its bundle.

SageMaker script mode: rows and manifest in SM_CHANNEL_TRAIN, the bundle's files to SM_MODEL_DIR (packed by SageMaker as
model.tar.gz), metrics to SM_OUTPUT_DATA_DIR, checkpoints to /opt/ml/checkpoints. Hyperparameters arrive as text.
"""

import argparse
import copy
import json
import logging
import os
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ratchet.serving.bundle_document import of_training
from ratchet.tables.training_data import TrainingData, read
from ratchet.wheels import ensure
from torch import Tensor, nn

KNOBS = {
    "epochs": 100, "batch_size": 64, "lr": 1e-3, "weight_decay": 1e-4, "dropout": 0.15,
    "hidden_dims": "256,128,64", "use_layernorm": False, "patience": 15, "seed": 42,
}  # fmt: skip
"""The hyperparameters and their defaults; pipeline.yaml names the values of a run."""
REFERENCE_ROWS = 256
NEEDS = {"pyarrow": "pyarrow", "onnx": "onnx==1.23.2", "onnxscript": "onnxscript==0.7.2"}

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


def fit(model: Model, data: TrainingData, knobs: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Trains until validation stops improving, resuming from a checkpoint; leaves the best weights in `model`."""
    x, y = ({part: torch.from_numpy(rows).to(device) for part, rows in parts.items()} for parts in (data.x, data.y))
    model.fit_scales(x["train"], y["train"])
    optimizer = torch.optim.Adam(model.parameters(), lr=knobs.lr, weight_decay=knobs.weight_decay)
    checkpoint = Path(knobs.checkpoint_dir) / "checkpoint.pt"
    # What a checkpoint must agree on to be resumed.
    basis = json.dumps({"rows": data.manifest["digests"]["train"], **hyperparameters(knobs)}, sort_keys=True)
    state = resume(checkpoint, basis, model, optimizer, device)
    while state["epoch"] < knobs.epochs and state["epoch"] - state["best_epoch"] < knobs.patience:
        started, epoch = time.monotonic(), state["epoch"] + 1
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
        log.info("epoch %d/%d %s seconds=%.2f", epoch, knobs.epochs, progress, time.monotonic() - started)
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


def export(model: Model, inputs: int, path: Path) -> None:
    """Writes the graph: `features` [N, inputs] to `predictions` [N, targets], any N."""
    options = {"opset_version": 20, "dynamo": True, "external_data": False, "verbose": False}
    names = {"input_names": ["features"], "output_names": ["predictions"]}
    shapes = {"features": {0: torch.export.Dim("rows", min=1)}}
    with warnings.catch_warnings():
        # The exporter calls what PyTorch itself has deprecated.
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (torch.zeros(2, inputs),), path, dynamic_shapes=shapes, **names, **options)


def write_files(model: Model, data: TrainingData, document: dict[str, Any], folder: Path) -> None:
    """Puts model.onnx, model.pth, reference.npz and bundle.json into `folder`; `model` is on the CPU."""
    folder.mkdir(parents=True, exist_ok=True)
    validation = data.x["validation"]
    export(model, validation.shape[1], folder / "model.onnx")
    torch.save(model.state_dict(), folder / "model.pth")
    rows = np.linspace(0, len(validation) - 1, min(REFERENCE_ROWS, len(validation))).astype(int)
    np.savez(folder / "reference.npz", features=validation[rows], predictions=predict(model, validation[rows]))
    (folder / "bundle.json").write_text(json.dumps(document, indent=2, sort_keys=True))


def predict(model: Model, x: np.ndarray) -> np.ndarray:
    """The framework's own predictions, float32 [N, targets]."""
    model.eval()
    with torch.no_grad():
        return np.asarray(model(torch.from_numpy(x)).numpy())


def describe(data: TrainingData, knobs: argparse.Namespace, metrics: dict[str, Any], device: str) -> dict[str, Any]:
    """`bundle.json`, as docs/contracts.md has it."""
    means = data.y["train"].mean(axis=0, dtype=np.float64).tolist()
    return of_training(
        data.manifest,
        dict(zip(data.targets, means, strict=True)),
        unit="L2-normalised embeddings",
        packages=("torch", "numpy", "onnx", "onnxscript", "pyarrow"),
        run_ts=knobs.run_ts or data.manifest["run_ts"],
        train_uri=knobs.train_uri,
        code_version=knobs.code_version,
        hyperparameters=hyperparameters(knobs),
        metrics=metrics,
        device=device,
    )


def measure(model: Model, data: TrainingData) -> dict[str, Any]:
    """What the validation rows say, per target in its own unit squared."""
    errors = np.square(predict(model, data.x["validation"]) - data.y["validation"]).mean(axis=0, dtype=np.float64)
    per_target = dict(zip(data.targets, errors.tolist(), strict=True))
    rows = {f"{part}_rows": len(values) for part, values in data.x.items()}
    return {**rows, "validation_mse": float(errors.mean()), "validation_mse_per_target": per_target}


def hyperparameters(knobs: argparse.Namespace) -> dict[str, Any]:
    """The values of all KNOBS."""
    return {name: getattr(knobs, name) for name in KNOBS}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Hyperparameters and paths; SageMaker hands every hyperparameter over as `--name text`."""
    parser = argparse.ArgumentParser()
    for name, default in KNOBS.items():
        kind: Any = (lambda text: text.lower() == "true") if isinstance(default, bool) else type(default)
        parser.add_argument(f"--{name}", type=kind, default=default)
    for name in ("run_ts", "train_uri", "code_version"):
        parser.add_argument(f"--{name}", default="", help="recorded in the bundle")
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    parser.add_argument("--train", type=Path, default=os.environ.get("SM_CHANNEL_TRAIN", base / "input/data/train"))
    parser.add_argument("--model_dir", type=Path, default=os.environ.get("SM_MODEL_DIR", base / "model"))
    parser.add_argument("--output_data_dir", type=Path, default=os.environ.get("SM_OUTPUT_DATA_DIR", base / "output"))
    parser.add_argument("--checkpoint_dir", type=Path, default=base / "checkpoints")
    parser.add_argument("--dry-run", action="store_true", help="one epoch, nothing kept")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Reads, trains, measures, writes."""
    logging.basicConfig(format="%(message)s")
    log.setLevel(logging.INFO)
    knobs = parse(arguments)
    ensure(NEEDS, Path(__file__).resolve().parents[2] / "wheels")
    torch.set_num_threads(1)  # Products of 64 rows are too small to share: a second thread waits more than it works.
    torch.manual_seed(knobs.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = f"cuda: {torch.cuda.get_device_name()}" if device.type == "cuda" else "cpu"
    data = read(knobs.train)
    log.info("device=%s train_rows=%d validation_rows=%d", name, len(data.x["train"]), len(data.x["validation"]))
    hidden = [int(size) for size in knobs.hidden_dims.split(",") if size]
    model = Model(data.x["train"].shape[1], len(data.targets), hidden, knobs.dropout, knobs.use_layernorm)
    with tempfile.TemporaryDirectory() as scratch:
        if knobs.dry_run:
            knobs.epochs, knobs.checkpoint_dir = 1, Path(scratch)
            knobs.model_dir = knobs.output_data_dir = Path(scratch)
        metrics = fit(model.to(device), data, knobs, device) | measure(model.cpu(), data)
        write_files(model, data, describe(data, knobs, metrics, name), knobs.model_dir)
        knobs.output_data_dir.mkdir(parents=True, exist_ok=True)
        (knobs.output_data_dir / "metrics.json").write_text(json.dumps(metrics, indent=2, sort_keys=True))
    log.info("done: %s", json.dumps(metrics, sort_keys=True))


if __name__ == "__main__":
    main()
