"""Landing Parquet: one table and UTC day as bytes, the same rows always as the same bytes; rejected rows beside them.

Floats are split by byte and compressed by LZ4: noisy mantissas hardly shrink, zstd would save 5 % of size and cost
readers two thirds more time. `float32[n]` is a fixed-size list, so that readers get one flat buffer.
"""

import io
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ratchet.errors import ForeignDocument
from ratchet.extraction.columns import Column, Columns, empty, width
from ratchet.extraction.source import Rejected
from ratchet.sources import Table
from ratchet.tables.numbers import TIMESTAMP, to_arrow, to_numpy

ROW_GROUP = 1000
LARGEST = 256 << 20
"""Bytes of rows in a file. Reading holds them twice, and merging once more: beyond it no function has the memory."""
REJECTED = pa.schema([("key", pa.string()), ("reason", pa.string()), ("row", pa.string())])


def schema(table: Table) -> pa.Schema:
    """The Arrow schema of a table's landing files."""
    return pa.schema([(name, _type(kind)) for name, kind in table.columns.items()])


def write(table: Table, columns: Columns) -> bytes:
    """The rows, sorted by key already, as Parquet."""
    declared = schema(table)
    arrays = [_to_arrow(columns[field.name], field.type) for field in declared]
    floats = [_leaf(name, kind) for name, kind in table.columns.items() if kind.startswith("float")]
    return _bytes(pa.Table.from_arrays(arrays, schema=declared), floats)


def read(table: Table, body: bytes, key: str) -> Columns:
    """The rows of a landing file; `key` names the object in messages. Raises ForeignDocument."""
    found = _rows(body, schema(table), key)
    if not found.num_rows:
        return empty(table)
    columns = {name: _to_numpy(found.column(name), kind) for name, kind in table.columns.items()}
    keys = columns[table.key]
    if not (keys[1:] > keys[:-1]).all():
        raise ForeignDocument(f"The rows of {key} are not in the order of their keys; move it away.")
    return columns


def write_rejected(rows: Iterable[Rejected]) -> bytes:
    """Rejected rows as Parquet, in key order."""
    listed = sorted(rows)
    columns = [[row.key for row in listed], [row.reason for row in listed], [row.row for row in listed]]
    return _bytes(pa.Table.from_arrays([pa.array(values, pa.string()) for values in columns], schema=REJECTED), [])


def read_rejected(body: bytes, key: str) -> list[Rejected]:
    """Rejected rows in key order. Raises ForeignDocument."""
    return [Rejected(**row) for row in _rows(body, REJECTED, key).to_pylist()]


def _rows(body: bytes, declared: pa.Schema, key: str) -> pa.Table:
    """The declared columns of a file that anybody may have put there. Raises ForeignDocument."""
    batches: list[pa.RecordBatch] = []
    size = 0
    try:
        with pq.ParquetFile(pa.BufferReader(body)) as file:
            if not _alike(file.schema_arrow, declared):
                raise ForeignDocument(f"{key} has other columns than are declared; move it away, it will be read anew.")
            for batch in file.iter_batches(ROW_GROUP, columns=declared.names, use_threads=False):
                batch.validate(full=True)
                batches.append(batch)
                size += batch.nbytes
                # A few bytes can stand for any number of rows.
                if size > LARGEST:
                    raise ForeignDocument(f"{key} holds more than {LARGEST:,} bytes of rows; move it away.")
    # Arrow's input errors are plain OSErrors, its names that are no text ValueErrors.
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ForeignDocument(
            f"{key} is no file of ours ({str(error)!r:.200}); move it away, it will be read anew."
        ) from error
    found = pa.Table.from_batches(batches) if batches else declared.empty_table()
    if any(column.null_count for column in found.columns):
        raise ForeignDocument(f"{key} holds nulls, which never land; move it away, it will be read anew.")
    return found


def _type(kind: str) -> pa.DataType:
    size = width(kind)
    if size is not None:
        # What may be null carries a level for each value, a sixth of the time of reading it.
        return pa.list_(pa.field("element", pa.float32(), nullable=False), size)
    return {"timestamp": TIMESTAMP, "float64": pa.float64(), "text": pa.string()}[kind]


def _leaf(name: str, kind: str) -> str:
    return f"{name}.list.element" if width(kind) else name


def _to_arrow(values: Column, kind: pa.DataType) -> pa.Array:
    if pa.types.is_string(kind):
        return pa.array(values.tolist(), kind)
    return to_arrow(values, kind)


def _to_numpy(values: pa.ChunkedArray, kind: str) -> Column:
    size = width(kind)
    if size is not None:
        flat = np.concatenate([to_numpy(chunk.flatten()) for chunk in values.chunks])
        return flat.reshape(-1, size)
    if kind == "timestamp":
        values = values.cast(pa.int64())
    scalars: Column = np.concatenate([to_numpy(chunk) for chunk in values.chunks])
    return scalars.view("datetime64[us]") if kind == "timestamp" else scalars


def _alike(found: pa.Schema, declared: pa.Schema) -> bool:
    """Whether the declared columns are there, as declared; whether a list's numbers may be null is not asked."""
    return all(
        len(found.get_all_field_indices(field.name)) == 1
        and _values(found.field(field.name).type) == _values(field.type)
        for field in declared
    )


def _values(kind: pa.DataType) -> tuple[pa.DataType, int]:
    return (kind.value_type, kind.list_size) if pa.types.is_fixed_size_list(kind) else (kind, 1)


def _bytes(rows: pa.Table, floats: list[str]) -> bytes:
    sink = io.BytesIO()
    scalars = [field.name for field in rows.schema if not pa.types.is_nested(field.type)]
    with pq.ParquetWriter(
        sink,
        rows.schema,
        compression="lz4",
        use_dictionary=False,
        use_byte_stream_split=floats,
        write_statistics=scalars,
    ) as writer:
        writer.write_table(rows, row_group_size=ROW_GROUP)
    return sink.getvalue()
