"""What a training job reads from its channel: the rows of train.parquet as numpy arrays, and their manifest.

Imports pyarrow when it reads: a training image may lack it until the job has installed it.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import BadInput

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class TrainingData:
    """float32 `x` [N, inputs] and `y` [N, targets] of `train` and `validation`; `targets` names y's columns."""

    x: dict[str, Floats]
    y: dict[str, Floats]
    targets: list[str]
    manifest: dict[str, Any]


def read(folder: Path) -> TrainingData:
    """The rows in a channel's folder. Raises BadInput when they are not those that the manifest describes."""
    import pyarrow.parquet as pq

    path = folder / "train.parquet"
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        with path.open("rb") as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except FileNotFoundError as error:
        raise BadInput(f"{error.filename} is missing; the channel must be the folder of a prepared run.") from error
    if digest != manifest["digests"]["train"]:
        raise BadInput(f"{path} is not the file that its manifest describes; prepare the data again.")
    table = pq.read_table(path)
    # The manifest is sorted by name; the order of the outputs is that of the columns.
    targets = [name for name in table.column_names if name in manifest["targets"]]
    flat = np.concatenate([chunk.flatten().to_numpy() for chunk in table["features"].chunks])
    x = flat.reshape(-1, manifest["feature_dim"])
    y = np.column_stack([table[name].to_numpy() for name in targets]).astype(np.float32)
    part = table["part"].to_numpy(zero_copy_only=False)
    masks = {name: np.asarray(part == name) for name in ("train", "validation")}
    return TrainingData({k: x[m] for k, m in masks.items()}, {k: y[m] for k, m in masks.items()}, targets, manifest)
