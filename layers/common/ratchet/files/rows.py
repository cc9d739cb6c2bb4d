"""A part's rows, read back from its Parquet: bounded memory, and nothing of an object that somebody else put there."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ratchet.errors import ForeignDocument
from ratchet.files.kind import Kind
from ratchet.instants import plausible

BATCH_ROWS = 10_000
MOST_BYTES = 256 << 20
"""Of a part's rows in memory, where a few bytes of a file can stand for any number of rows."""
LARGEST = 1e140
"""Of a number, since squares of many are summed up."""
MOST_SAMPLES = 1 << 40
"""In a row, since those of many are summed up."""


def read(source: Kind, where: Path | bytes, key: str) -> pa.Table:
    """The rows as the source's `schema` has them; `key` names the object in messages. Raises ForeignDocument."""
    try:
        with pq.ParquetFile(pa.BufferReader(where) if isinstance(where, bytes) else where) as file:
            found = _table(file, source.schema)
    # Arrow's input errors are plain OSErrors, its names that are no text ValueErrors.
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _foreign(key, f"{str(error)!r:.200}") from error
    fault = found if isinstance(found, str) else _fault(found) or source.fault(found)
    if fault:
        raise _foreign(key, fault)
    return found


def _table(file: pq.ParquetFile, declared: pa.Schema) -> pa.Table | str:
    """The declared columns, in order, or why the file has none."""
    there = file.schema_arrow
    if not all(
        len(there.get_all_field_indices(field.name)) == 1 and there.field(field.name).type == field.type
        for field in declared
    ):
        return "its columns are not those of the source"
    batches, size = list[pa.RecordBatch](), 0
    for batch in _batches(file, declared):
        batches.append(batch)
        size += batch.nbytes
        if size > MOST_BYTES:
            return f"it holds more than {MOST_BYTES:,} bytes of rows"
    return pa.Table.from_batches(batches, declared.with_metadata(there.metadata))


def _batches(file: pq.ParquetFile, declared: pa.Schema) -> Iterator[pa.RecordBatch]:
    for batch in file.iter_batches(BATCH_ROWS, columns=declared.names, use_threads=False):
        batch.validate(full=True)
        columns = [batch.column(name) for name in declared.names]
        yield pa.RecordBatch.from_arrays(columns, schema=declared.with_metadata(file.schema_arrow.metadata))


def _fault(found: pa.Table) -> str | None:
    """The first column whose values no row of ours has, nulls aside: instants, numbers, counts of samples."""
    for name, column in zip(found.column_names, found.columns, strict=True):
        values = column.drop_null()
        if pa.types.is_timestamp(column.type):
            sound = plausible(values.cast(pa.int64()).to_numpy())
        elif pa.types.is_floating(column.type):
            sound = np.abs(values.to_numpy()) <= LARGEST
        elif pa.types.is_int64(column.type):
            counts = values.to_numpy()
            sound = (counts > 0) & (counts < MOST_SAMPLES)
        else:
            continue
        if not sound.all():
            return f"its {name} holds what no part of ours does"
    return None


def _foreign(key: str, fault: str) -> ForeignDocument:
    return ForeignDocument(f"{key} holds no rows of ours ({fault}); move it away, the next run lands it anew.")
