"""SageMaker's script mode: what a training script was told, and what it leaves behind for the gate.

Hyperparameters arrive as arguments, folders as variables of an environment, which the script hands over
(docs/training.md). How a model is trained and exported is the script's own.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ratchet.serving.bundle_document import of_training
from ratchet.source_archive import WHEELS, installed
from ratchet.tables.training_data import TrainingData
from ratchet.wheels import ensure

REFERENCE_ROWS = 256
RECORDED = ("run_ts", "train_uri", "code_version")
"""Arguments that the bundle records and training does not look at."""
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Job:
    """`knobs` are the hyperparameters, `recorded` what the bundle says besides; rows and manifest lie in `channel`."""

    knobs: argparse.Namespace
    recorded: dict[str, str]
    channel: Path
    model_dir: Path
    output_dir: Path
    checkpoint_dir: Path

    def leave(
        self,
        data: TrainingData,
        files: Mapping[str, bytes],
        predict: Callable[[Floats], NDArray[np.floating]],
        metrics: Mapping[str, Any],
        **facts: Any,
    ) -> None:
        """Writes the bundle's members, `files` being those of the model, and metrics.json.

        `predict` answers float [N, targets] by the framework itself, which the gate compares with the graph; `facts`
        are `of_training`'s `unit` and `packages`, and the `device`. Raises BadBundle.
        """
        asked = spread(data.x["validation"], REFERENCE_ROWS)
        for folder in (self.model_dir, self.output_dir):
            folder.mkdir(parents=True, exist_ok=True)
        for name, body in files.items():
            (self.model_dir / name).write_bytes(body)
        np.savez(self.model_dir / "reference.npz", features=asked, predictions=predict(asked).astype(np.float32))
        (self.model_dir / "bundle.json").write_text(_text(self._document(data, metrics, facts)))
        (self.output_dir / "metrics.json").write_text(_text(metrics))

    def _document(self, data: TrainingData, metrics: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
        means = data.y["train"].mean(axis=0, dtype=np.float64).tolist()
        run = self.recorded["run_ts"] or data.manifest["run_ts"]
        known: dict[str, Any] = {**self.recorded, "run_ts": run, "hyperparameters": vars(self.knobs), **facts}
        return of_training(data.manifest, dict(zip(data.targets, means, strict=True)), metrics=metrics, **known)


@contextmanager
def started(
    knobs: Mapping[str, Any],
    needs: Mapping[str, str],
    environment: Mapping[str, str],
    arguments: Sequence[str] | None = None,
    **dry: Any,
) -> Iterator[Job]:
    """The job that a script was started for, after installing what its image lacks of `needs`.

    `knobs` are the hyperparameters with their defaults. A dry run takes the values `dry` for some of them and keeps
    nothing. Raises TrainingFailed where something needed cannot be installed.
    """
    told = vars(_parser(knobs, environment).parse_args(arguments))
    ensure(needs, installed() / WHEELS)
    values = {name: told[name] for name in knobs} | (dry if told["dry_run"] else {})
    folders = ("model_dir", "output_data_dir", "checkpoint_dir")
    with TemporaryDirectory() as scratch:
        kept = [Path(scratch) if told["dry_run"] else told[name] for name in folders]
        recorded = {name: told[name] for name in RECORDED}
        yield Job(argparse.Namespace(**values), recorded, told["train"], *kept)


def spread(rows: Floats, most: int) -> Floats:
    """At most so many of the rows, evenly from the first to the last."""
    chosen: Floats = rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)]
    return chosen


def _parser(knobs: Mapping[str, Any], environment: Mapping[str, str]) -> argparse.ArgumentParser:
    """SageMaker hands every hyperparameter over as `--name text`."""
    parser = argparse.ArgumentParser()
    for name, default in knobs.items():
        kind: Any = (lambda text: text.lower() == "true") if isinstance(default, bool) else type(default)
        parser.add_argument(f"--{name}", type=kind, default=default)
    for name in RECORDED:
        parser.add_argument(f"--{name}", default="", help="recorded in the bundle")
    base = Path(environment.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    folders = {
        "train": environment.get("SM_CHANNEL_TRAIN", base / "input/data/train"),
        "model_dir": environment.get("SM_MODEL_DIR", base / "model"),
        "output_data_dir": environment.get("SM_OUTPUT_DATA_DIR", base / "output"),
        "checkpoint_dir": base / "checkpoints",
    }
    for name, folder in folders.items():
        parser.add_argument(f"--{name}", type=Path, default=Path(folder))
    parser.add_argument("--dry-run", action="store_true", help="as short as can be, nothing kept")
    return parser


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, sort_keys=True)
