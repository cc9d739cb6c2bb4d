"""Landing Parquet: one table and UTC day as bytes, the same rows always as the same bytes; rejected rows beside them.

Floats are split by byte and compressed by LZ4: noisy mantissas hardly shrink, zstd would save 5 % of size and cost
readers two thirds more time. `float32[n]` is a fixed-size list, so that readers get one flat buffer.
"""

import io
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ratchet.catalog import Table
from ratchet.errors import ForeignDocument
from ratchet.extraction.columns import Column, Columns, empty, width
from ratchet.extraction.source import Rejected
from ratchet.tables.numbers import TIMESTAMP, to_arrow, to_numpy

ROW_GROUP = 1000
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
    try:
        found = pq.read_table(pa.BufferReader(body), columns=list(table.columns), use_threads=False)
    except (pa.ArrowException, KeyError) as error:
        raise ForeignDocument(f"{key} is no landing file ({error}); move it away, it will be read anew.") from error
    if not found.num_rows:
        return empty(table)
    if not _alike(found.schema, schema(table)):
        raise ForeignDocument(f"{key} has other columns than pipeline.yaml; move landing/ away, it will be read anew.")
    return {name: _to_numpy(found.column(name), kind) for name, kind in table.columns.items()}


def write_rejected(rows: Iterable[Rejected]) -> bytes:
    """Rejected rows as Parquet, in key order."""
    listed = sorted(rows)
    columns = [[row.key for row in listed], [row.reason for row in listed], [row.row for row in listed]]
    return _bytes(pa.Table.from_arrays([pa.array(values, pa.string()) for values in columns], schema=REJECTED), [])


def read_rejected(body: bytes, key: str) -> list[Rejected]:
    """Rejected rows in key order. Raises ForeignDocument."""
    try:
        found = pq.read_table(pa.BufferReader(body), schema=REJECTED, use_threads=False).to_pylist()
    except pa.ArrowException as error:
        raise ForeignDocument(f"{key} holds no rejected rows of ours ({error}); move it away.") from error
    return [Rejected(**row) for row in found]


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
    """Whether the columns are the same; whether a list's numbers may be null is not asked."""
    pairs = zip(found, declared, strict=True)
    return found.names == declared.names and all(_values(a.type) == _values(b.type) for a, b in pairs)


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
