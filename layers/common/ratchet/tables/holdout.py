"""Reads the holdout in batches (docs/contracts.md, holdout.parquet): rows sorted by `base_ts` that no training sees."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ratchet.errors import ContractError

BATCH_ROWS = 1024


@dataclass(frozen=True)
class Batch:
    """Some rows: minutes since the epoch [N], realised values [N, targets], features float32 [N, inputs]."""

    minutes: NDArray[np.int64]
    realised: NDArray[np.float64]
    features: NDArray[np.float32]


def count(path: Path) -> int:
    """How many rows the file has."""
    with pq.ParquetFile(path) as file:
        return int(file.metadata.num_rows)


def read(path: Path, targets: Sequence[str]) -> Iterator[Batch]:
    """The rows in order, at most BATCH_ROWS at a time. Raises ContractError when a column is missing."""
    with pq.ParquetFile(path) as file:
        missing = {"base_ts", "features", *targets} - set(file.schema_arrow.names)
        if missing:
            raise ContractError(f"The holdout lacks {', '.join(sorted(missing))}; prepare the data again.")
        for rows in file.iter_batches(BATCH_ROWS, columns=["base_ts", *targets, "features"]):
            yield _batch(rows, targets)


def _batch(rows: pa.RecordBatch, targets: Sequence[str]) -> Batch:
    instants = rows.column("base_ts").cast(pa.timestamp("us", "UTC")).to_numpy(zero_copy_only=False)
    features = rows.column("features")
    return Batch(
        minutes=instants.astype("datetime64[m]").astype(np.int64),
        realised=np.column_stack([rows.column(name).to_numpy(zero_copy_only=False) for name in targets]),
        features=features.flatten().to_numpy(zero_copy_only=False).reshape(len(rows), -1),
    )
