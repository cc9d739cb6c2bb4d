"""Reads the holdout in batches (docs/contracts.md, holdout.parquet): rows sorted by `base_ts` that no training sees."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ratchet.errors import ContractError
from ratchet.tables.numbers import TIMESTAMP

BATCH_ROWS = 1024


@dataclass(frozen=True)
class Batch:
    """Some rows: minutes since the epoch [N], realised values [N, targets], features float32 [N, inputs]."""

    minutes: NDArray[np.int64]
    realised: NDArray[np.float64]
    features: NDArray[np.float32]


def count(path: Path) -> int:
    """How many rows the file has. Raises ContractError when it cannot be read."""
    with _opened(path) as file:
        return int(file.metadata.num_rows)


def read(path: Path, targets: Sequence[str]) -> Iterator[Batch]:
    """The rows in order, at most BATCH_ROWS at a time.

    Raises ContractError when a column is missing or of another type than in the contract, or the file is damaged.
    """
    with _opened(path) as file:
        wanted = {"base_ts": TIMESTAMP, **dict.fromkeys(targets, pa.float64()), "features": pa.float32()}
        wrong = [name for name, kind in wanted.items() if _kind(file.schema_arrow, name) != kind]
        if wrong:
            raise ContractError(f"The holdout lacks {', '.join(wrong)} as declared; prepare the data again.")
        for rows in file.iter_batches(BATCH_ROWS, columns=["base_ts", *targets, "features"]):
            if any(column.null_count for column in rows.columns):
                raise ContractError("The holdout holds nulls; prepare the data again.")
            yield _batch(rows, targets)


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    # Arrow's input errors are plain OSErrors, its names that are no text ValueErrors.
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ContractError(f"The holdout cannot be read ({str(error)!r:.200}); prepare the data again.") from error


def _kind(schema: pa.Schema, name: str) -> pa.DataType | None:
    """A column's type, that of the numbers in `features`; None where there is no such column, or more than one."""
    if len(schema.get_all_field_indices(name)) != 1:
        return None
    kind = schema.field(name).type
    if pa.types.is_fixed_size_list(kind) != (name == "features"):
        return None
    return kind.value_type if name == "features" else kind


def _batch(rows: pa.RecordBatch, targets: Sequence[str]) -> Batch:
    instants = rows.column("base_ts").to_numpy(zero_copy_only=False)
    features = rows.column("features")
    return Batch(
        minutes=instants.astype("datetime64[m]").astype(np.int64),
        realised=np.column_stack([rows.column(name).to_numpy(zero_copy_only=False) for name in targets]),
        features=features.flatten().to_numpy(zero_copy_only=False).reshape(len(rows), features.type.list_size),
    )
