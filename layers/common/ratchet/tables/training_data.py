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

BATCH_ROWS = 10_000
GROUP = "group"
Floats = NDArray[np.float32]
Instants = NDArray[np.int64]


@dataclass(frozen=True)
class TrainingData:
    """The rows of `train` and `validation`, each in the order of `starts`.

    float32 `x` [N, inputs], NaN where an input is missing, and `y` [N, targets]; `inputs` (of runs before there were
    names: empty) and `targets` name their columns. Inputs were known at `starts`, labels at `ends`, in microseconds
    since the epoch. `groups` are texts [N], where rows have one.
    """

    x: dict[str, Floats]
    y: dict[str, Floats]
    targets: list[str]
    manifest: dict[str, Any]
    inputs: list[str]
    starts: dict[str, Instants]
    ends: dict[str, Instants]
    groups: dict[str, NDArray[np.str_]] | None = None


def read(folder: Path) -> TrainingData:
    """The rows in a channel's folder. Raises BadInput when they are not those that the manifest describes."""
    manifest = _manifest(folder)
    table = _table(folder / "train.parquet", manifest)
    # The manifest is sorted by name; the order of the outputs is that of the columns.
    targets = [name for name in table.column_names if name in manifest["targets"]]
    flat = np.concatenate([chunk.flatten().to_numpy() for chunk in table["features"].chunks])
    x = flat.reshape(-1, manifest["feature_dim"])
    inputs = manifest.get("about", {}).get("inputs", [])
    if len(inputs) not in (0, x.shape[1]):
        raise BadInput(f"The manifest names {len(inputs)} inputs for {x.shape[1]}; prepare the data again.")
    y = np.column_stack([table[name].to_numpy() for name in targets]).astype(np.float32)
    part = table["part"].to_numpy(zero_copy_only=False)
    masks = {name: np.asarray(part == name) for name in ("train", "validation")}

    def parted(rows: NDArray[Any]) -> dict[str, NDArray[Any]]:
        return {name: rows[mask] for name, mask in masks.items()}

    starts, ends = (parted(table[name].to_numpy().astype(np.int64)) for name in ("base_ts", "ts"))
    groups = parted(np.array(table[GROUP].to_pylist(), np.str_)) if GROUP in table.column_names else None
    return TrainingData(parted(x), parted(y), targets, manifest, inputs, starts, ends, groups)


def _manifest(folder: Path) -> dict[str, Any]:
    """The manifest, if it describes the very file beside it. Raises BadInput."""
    path = folder / "train.parquet"
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
        with path.open("rb") as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        described = manifest["digests"]["train"]
    except FileNotFoundError as error:
        raise BadInput(f"{error.filename} is missing; the channel must be the folder of a prepared run.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInput(f"{folder}/manifest.json is no manifest of a prepared run; prepare the data again.") from error
    if digest != described:
        raise BadInput(f"{path} is not the file that its manifest describes; prepare the data again.")
    return manifest


def _table(path: Path, manifest: dict[str, Any]) -> Any:
    """The rows as Arrow has them. Raises BadInput when their columns are not those of the manifest."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            # In batches: memory is not set aside for rows that the file only says it has.
            table = pa.Table.from_batches(file.iter_batches(BATCH_ROWS), file.schema_arrow)
        table.validate(full=True)
        found = {field.name: field.type for field in table.schema}
        kind = found.get("features", pa.null())
        vector = (kind.value_type, kind.list_size) if pa.types.is_fixed_size_list(kind) else None
        instants = dict.fromkeys(("base_ts", "ts"), pa.timestamp("us", "UTC"))
        texts = dict.fromkeys(("part", *({GROUP} & set(found))), pa.string())
        wanted = {**dict.fromkeys(manifest["targets"], pa.float64()), **instants, **texts}
    # Arrow's input errors are plain OSErrors, its names that are no text ValueErrors.
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} cannot be read ({str(error)!r:.200}); prepare the data again.") from error
    if not table.num_rows:
        raise BadInput(f"{path} holds no rows; prepare the data again.")
    nulls, twice = any(column.null_count for column in table.columns), len(found) < table.num_columns
    others = [name for name, kind in wanted.items() if found.get(name) != kind]
    # A missing input is NaN; null is none.
    whole = not twice and vector == (pa.float32(), manifest.get("feature_dim"))
    holes = whole and any(chunk.flatten().null_count for chunk in table["features"].chunks)
    if nulls or others or holes or not whole:
        raise BadInput(f"{path} has other columns than its manifest says; prepare the data again.")
    return table
