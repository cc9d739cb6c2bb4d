"""train.parquet, holdout.parquet and rejected.parquet: the same rows always as the same bytes, written as they come."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ratchet.tables.numbers import TIMESTAMP, texts, to_arrow

ROW_GROUP = 1000
PAGE_BYTES = 64 * 1024


def schema(numbers: list[str], width: int, *extra: str) -> pa.Schema:
    """`base_ts`, `ts`, float64 `numbers` (targets and more), text columns `extra`, and `features` float32 [width]."""
    texts = [(name, pa.string()) for name in extra]
    columns = [("base_ts", TIMESTAMP), ("ts", TIMESTAMP), *((name, pa.float64()) for name in numbers), *texts]
    # What may be null carries a level for each value, which costs as much time as the values.
    element = pa.field("element", pa.float32(), nullable=False)
    return pa.schema([*columns, pa.field("features", pa.list_(element, width), nullable=False)])


def batch(
    declared: pa.Schema,
    base_ts: NDArray[np.int64],
    ts: NDArray[np.int64],
    targets: NDArray[np.float64],
    features: NDArray[np.float32],
    extra: Mapping[str, NDArray[np.str_]],
) -> pa.RecordBatch:
    """Rows as Arrow: microseconds, float64 [N, targets], float32 [N, width] and text columns, in the schema's order."""
    columns: dict[str, Any] = {name: texts(values.tolist()) for name, values in extra.items()}
    columns["base_ts"], columns["ts"] = to_arrow(base_ts, TIMESTAMP), to_arrow(ts, TIMESTAMP)
    columns["features"] = to_arrow(features, declared.field("features").type)
    names = [field.name for field in declared if field.name not in columns]
    columns |= {name: to_arrow(targets[:, index], pa.float64()) for index, name in enumerate(names)}
    return pa.RecordBatch.from_arrays([columns[field.name] for field in declared], schema=declared)


class RowGroups:
    """A Parquet file written in row groups of exactly ROW_GROUP rows, whatever the batches handed in."""

    def __init__(self, path: Path, declared: pa.Schema) -> None:
        """Opens the file; use it in a `with`."""
        self.rows = 0
        self._schema = declared
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._writer = pq.ParquetWriter(
            path,
            declared,
            compression="zstd",
            # Mantissas are noise at any level, exponents shrink at every one: a higher level costs time and saves 4 %.
            compression_level=-1,
            # Small pages are compressed within the processor's cache, and a writer holds a column's pages twice.
            data_page_size=PAGE_BYTES,
            use_dictionary=False,
            # Floats of one magnitude share their upper bytes: split by byte they compress, interleaved they do not.
            use_byte_stream_split=["features.list.element"],
            write_statistics=["base_ts", "ts"],
        )

    def __enter__(self) -> "RowGroups":
        """The file itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Writes what waits, unless an error is on its way, and closes the file."""
        try:
            if kind is None:
                self._flush(0)
        finally:
            self._writer.close()

    def write(self, rows: pa.RecordBatch) -> None:
        """Appends rows of the file's schema."""
        self.rows += rows.num_rows
        self._pending.append(rows)
        self._pending_rows += rows.num_rows
        if self._pending_rows >= ROW_GROUP:
            self._flush(ROW_GROUP)

    def _flush(self, least: int) -> None:
        """Writes whole row groups until fewer than `least` rows wait (all of them for 0)."""
        table = pa.Table.from_batches(self._pending, self._schema)
        start = 0
        while table.num_rows - start >= max(least, 1):
            self._writer.write_table(table.slice(start, ROW_GROUP), row_group_size=ROW_GROUP)
            start += ROW_GROUP
        rest = table.slice(min(start, table.num_rows))
        self._pending, self._pending_rows = rest.to_batches(), rest.num_rows
