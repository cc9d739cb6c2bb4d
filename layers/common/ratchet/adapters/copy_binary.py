"""PostgreSQL's binary COPY format into columns: what is asked of the server for a type, and how cells are read.

Format: https://www.postgresql.org/docs/current/sql-copy.html (Binary Format); arrays as `array_send` writes them.
"""

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ratchet.adapters.rows import Fault, floats, within_float32
from ratchet.errors import SourceMismatch
from ratchet.extraction.columns import width
from ratchet.extraction.source import EPOCH, MICROSECOND, Page, PageBuilder
from ratchet.sources import Table

SIGNATURE = b"PGCOPY\n\xff\r\n\0"
BROKEN = "The database answers with no whole binary COPY of the declared columns; check db_url in the secret."
INT16, INT32 = struct.Struct(">h"), struct.Struct(">i")
EPOCH_2000 = 946_684_800_000_000
INFINITY = 2**63 - 1
FLOAT4 = np.dtype([("length", ">i4"), ("value", ">f4")])
FLOAT8 = np.dtype([("length", ">i4"), ("value", ">f8")])
FLOAT4_OID = 700
NUMBERS = {"float4", "float8", "numeric", "int2", "int4", "int8"}
TEXTS = {"text", "varchar", "json", "jsonb", "vector", "halfvec"}
Cell = bytes | None
Reader = Callable[[bytes], Any]


def cast(name: str, column: str, kind: str, found: str) -> str:
    """The type that a column of type `found` is asked for as. Raises SourceMismatch where it cannot hold `kind`."""
    if kind == "timestamp" and found == "timestamptz":
        return found
    if kind == "float64" and found in NUMBERS:
        return "float8"
    if width(kind) and found == "_float4":
        return "float4[]"
    if width(kind) and found.startswith("_") and found[1:] in NUMBERS:
        return "float8[]"
    if (width(kind) or kind == "text") and found in TEXTS:
        return "text"
    wanted = {"timestamp": "timestamptz", "float64": "double precision", "text": "text"}.get(kind, "real[]")
    raise SourceMismatch(f"{name}.{column} is {found}, declared {kind}: make it {wanted}, or correct pipeline.yaml.")


def decode(body: bytes, table: Table, casts: Mapping[str, str]) -> Page:
    """The rows of one COPY; `casts` names what each declared column was asked for as, in the order of the columns.

    Raises SourceMismatch when the body is no whole COPY of the declared columns.
    """
    try:
        rows = list(_tuples(body, len(table.columns)))
    except struct.error as error:
        raise SourceMismatch(BROKEN) from error
    builder, cursor = PageBuilder(table, len(rows)), None
    readers = [(name, _reader(kind, casts[name])) for name, kind in table.columns.items()]
    position = list(table.columns).index(table.key)
    for row in rows:
        cursor = _key_text(row[position]) or cursor
        _read(row, readers, table, builder)
    return builder.build(cursor)


def _read(row: list[Cell], readers: list[tuple[str, Reader]], table: Table, builder: PageBuilder) -> None:
    cells = dict(zip(table.columns, row, strict=True))
    try:
        for column, reader in readers:
            builder.columns[column][builder.index] = _named(reader, cells[column], column)
    except Fault as fault:
        text = _key_text(cells[table.key])
        instant = _instant_of(cells[table.key])
        builder.reject(instant, text or "null", str(fault), _show(cells, dict(readers)))
    else:
        builder.accept()


def _tuples(body: bytes, columns: int) -> Iterator[list[Cell]]:
    """The cells of each row; None is null. Raises SourceMismatch, and struct.error where the body breaks off."""
    if not body.startswith(SIGNATURE):
        raise SourceMismatch(BROKEN)
    position = 19 + max(0, INT32.unpack_from(body, 15)[0])
    while (count := INT16.unpack_from(body, position)[0]) == columns:
        position += 2
        row: list[Cell] = []
        for _ in range(count):
            length = INT32.unpack_from(body, position)[0]
            position += 4
            row.append(None if length < 0 else body[position : position + length])
            position += max(length, 0)
        yield row
    if count != -1:
        raise SourceMismatch(BROKEN)


def _reader(kind: str, asked: str) -> Reader:
    size = width(kind)
    if size is not None and asked == "text":
        return lambda cell: floats(_text(cell), size)
    if size is not None:
        return lambda cell: within_float32(_array(cell, size))
    scalars: dict[str, Reader] = {"timestamp": _timestamp, "float64": _float8, "text": _text}
    return scalars[kind]


def _array(cell: bytes, size: int) -> NDArray[Any]:
    """The float64 numbers of a one-dimensional array without nulls. Raises Fault."""
    # An empty array has no dimension, and so no length of one.
    dimensions, nulls, oid, length = struct.unpack_from(">iiii", cell.ljust(16, b"\0"))
    if dimensions not in (0, 1):
        raise Fault(f"has {dimensions} dimensions")
    if length != size:
        raise Fault(f"has {length} values, not {size}")
    if nulls:
        raise Fault("holds a value that is no number")
    kind = FLOAT4 if oid == FLOAT4_OID else FLOAT8
    elements = np.frombuffer(cell, kind, size, offset=20) if len(cell) == 20 + size * kind.itemsize else None
    if elements is None or (elements["length"] != kind["value"].itemsize).any():
        raise Fault("is no array of numbers")
    return elements["value"].astype(np.float64)


def _timestamp(cell: bytes) -> np.datetime64:
    if _instant_of(cell) is None:
        raise Fault("is no instant")
    return np.datetime64(_microseconds(cell), "us")


def _float8(cell: bytes) -> float:
    if len(cell) != 8:
        raise Fault("is no number")
    (number,) = struct.unpack(">d", cell)
    if not np.isfinite(number):
        raise Fault("is not finite")
    return float(number)


def _text(cell: bytes) -> str:
    try:
        return cell.decode()
    except UnicodeDecodeError as error:
        raise Fault("is no text") from error


def _microseconds(cell: bytes) -> int:
    """Microseconds since 1970."""
    return int.from_bytes(cell, "big", signed=True) + EPOCH_2000


def _instant_of(cell: Cell) -> datetime | None:
    """The instant, or None for null, infinity and years that Python does not know."""
    try:
        return EPOCH + _microseconds(cell) * MICROSECOND if cell is not None and len(cell) == 8 else None
    except OverflowError:
        return None


def _key_text(cell: Cell) -> str | None:
    """A key as PostgreSQL reads it back exactly: the cursor of the next page. Raises SourceMismatch."""
    if cell is None:
        return None
    if len(cell) != 8:
        raise SourceMismatch(f"The database answers with a key of {len(cell)} bytes; check db_url in the secret.")
    ticks = int.from_bytes(cell, "big", signed=True)
    if abs(ticks) >= INFINITY:
        return "infinity" if ticks > 0 else "-infinity"
    instant = _instant_of(cell)
    return instant.isoformat() if instant else f"@{ticks}"


def _named(reader: Reader, cell: Cell, column: str) -> Any:
    if cell is None:
        raise Fault(f"{column} is null")
    try:
        return reader(cell)
    except Fault as fault:
        raise Fault(f"{column} {fault}") from fault


def _show(cells: Mapping[str, Cell], readers: Mapping[str, Reader]) -> str:
    """The row as text: what can be read as such, the rest as the hexadecimal digits of its binary form."""

    def shown(column: str, cell: Cell) -> Any:
        try:
            value = _named(readers[column], cell, column)
        except Fault:
            return None if cell is None else cell.hex()
        return value.tolist() if isinstance(value, np.ndarray) else value

    return json.dumps({column: shown(column, cell) for column, cell in cells.items()}, default=str)
