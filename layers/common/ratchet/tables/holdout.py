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
    """Some rows: minutes since the epoch [N] and those of the labels' ends, realised values [N, targets], features
    float32 [N, inputs], where NaN is what is missing; the groups [N] and each prepared baseline's answers [N], if asked
    for.
    """

    minutes: NDArray[np.int64]
    ends: NDArray[np.int64]
    realised: NDArray[np.float64]
    features: NDArray[np.float32]
    groups: NDArray[np.str_] | None
    baselines: dict[str, NDArray[np.float64]]


def count(path: Path) -> int:
    """How many rows the file has. Raises ContractError when it cannot be read."""
    with _opened(path) as file:
        return int(file.metadata.num_rows)


def read(
    path: Path, targets: Sequence[str], *, grouped: bool = False, baselines: Sequence[str] = ()
) -> Iterator[Batch]:
    """The rows in order, at most BATCH_ROWS at a time, with their groups and the answers of `baselines`.

    Raises ContractError when a column is missing or of another type than in the contract, a baseline has no answer to a
    row, or the file is damaged.
    """
    numbers = [*targets, *map(_column, baselines)]
    wanted = {"base_ts": TIMESTAMP, "ts": TIMESTAMP, **dict.fromkeys(numbers, pa.float64()), "features": pa.float32()}
    wanted |= {"group": pa.string()} if grouped else {}
    with _opened(path) as file:
        wrong = [name for name, kind in wanted.items() if _kind(file.schema_arrow, name) != kind]
        if wrong:
            raise ContractError(f"The holdout lacks {', '.join(wrong)} as declared; prepare the data again.")
        for rows in file.iter_batches(BATCH_ROWS, columns=list(wanted)):
            if any(column.null_count for column in (*rows.columns, rows.column("features").flatten())):
                raise ContractError("The holdout holds nulls; prepare the data again.")
            yield _batch(rows, targets, grouped, baselines)


def _column(baseline: str) -> str:
    return f"baseline_{baseline}"


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


def _batch(rows: pa.RecordBatch, targets: Sequence[str], grouped: bool, baselines: Sequence[str]) -> Batch:
    features = rows.column("features")
    answers = {name: _numbers(rows, _column(name)) for name in baselines}
    silent = [name for name, values in answers.items() if not np.isfinite(values).all()]
    if silent:
        raise ContractError(f"The holdout has rows without an answer of {', '.join(silent)}; prepare the data again.")
    return Batch(
        minutes=_minutes(rows, "base_ts"),
        ends=_minutes(rows, "ts"),
        realised=np.column_stack([_numbers(rows, name) for name in targets]),
        features=features.flatten().to_numpy(zero_copy_only=False).reshape(len(rows), features.type.list_size),
        groups=np.array(rows.column("group").to_pylist(), np.str_) if grouped else None,
        baselines=answers,
    )


def _minutes(rows: pa.RecordBatch, column: str) -> NDArray[np.int64]:
    instants = rows.column(column).to_numpy(zero_copy_only=False)
    return np.asarray(instants.astype("datetime64[m]").astype(np.int64))


def _numbers(rows: pa.RecordBatch, column: str) -> NDArray[np.float64]:
    return np.asarray(rows.column(column).to_numpy(zero_copy_only=False))
