"""Pages of rows as a broken or hostile server would send them: as JSON, and as PostgreSQL's binary COPY."""

import json
import math
import struct
from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
from ratchet.adapters import copy_binary
from ratchet.adapters.rows import Incomplete, RowReader, decode_page
from ratchet.errors import SourceMismatch
from ratchet.extraction.source import Page, PageBuilder, instant_of
from ratchet.sources import Table

from tests.faults.hostile import changes
from tests.faults.hostile.target import Target, name_of

TABLE = Table("ts", {"ts": "timestamp", "vector": "float32[2]", "value": "float64", "note": "text", "at": "timestamp"})
CASTS = {"ts": "timestamptz", "vector": "float4[]", "value": "float8", "note": "text", "at": "timestamptz"}
TICKS = 848_534_400_000_000
"""2026-11-21 in microseconds since 2000, as the server counts."""
CELLS = [
    None,
    b"",
    b"\xff",
    bytes(8),
    b"\x7f" + b"\xff" * 7,
    b"\x80" + bytes(7),
    bytes(4000),
    struct.pack(">d", math.nan),
]


def json_page(rng: Random) -> bytes:
    """A page of up to three rows."""
    rows: Any = [
        {
            "ts": f"2026-11-21T04:0{minute}:00+00:00",
            "vector": [0.5, -minute],
            "value": 1.5,
            "note": "a",
            "at": f"2026-11-21T04:00:00.00{minute}+00:00",
        }
        for minute in range(rng.choice((0, 1, 2, 3, 3)))
    ]
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        rows = changes.of_json(rng, rows)
    body = changes.dumps(rows)
    return changes.of_bytes(rng, body) if rng.random() < 0.3 else body


def check_json(body: bytes) -> str:
    """Decodes it; the standard library must see the same rows in it."""
    try:
        page = decode_page(body, "t", TABLE)
    except (Incomplete, SourceMismatch) as error:
        return name_of(error)
    try:
        rows = json.loads(body, object_pairs_hook=_once)
    except Twice:
        return "rows"
    assert _facts(page) == _facts(_row_by_row(rows))
    return _judged(page)


class Twice(Exception):
    """A name stands twice in an object: which of the two counts is nowhere agreed."""


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Twice
    return found


def _row_by_row(rows: list[Any]) -> Page:
    builder, reader, cursor = PageBuilder(TABLE, len(rows)), RowReader("t", TABLE), None
    for row in rows:
        cursor = reader.read(row, builder) or cursor
    return builder.build(cursor)


def _facts(page: Page) -> tuple[Any, ...]:
    columns = {name: values.tolist() for name, values in page.columns.items()}
    return columns, [(instant, row.reason) for instant, row in page.rejected], page.cursor, page.read


def _judged(page: Page) -> str:
    """What came of a page, once it holds what landing takes for granted."""
    assert page.read == len(page.columns["ts"]) + len(page.rejected)
    for instant in (*page.columns["ts"], *page.columns["at"]):
        instant_of(instant)
    assert np.isfinite(page.columns["vector"]).all()
    assert np.isfinite(page.columns["value"]).all()
    aside = [text for _, row in page.rejected for text in (row.key, row.reason, row.row)]
    "".join([*page.columns["note"], *aside, page.cursor or ""]).encode()
    offsets = [instant.utcoffset() for instant, _ in page.rejected if instant]
    assert not any(offsets)
    return "rows set aside" if page.rejected else "rows"


def copied(rng: Random) -> bytes:
    """A COPY of up to three rows."""
    rows: list[list[Any]] = [
        [_ticks(minute * 60_000_000), array([0.5, -minute]), struct.pack(">d", 1.5), b"a", _ticks(0)]
        for minute in range(rng.choice((0, 1, 2, 3, 3)))
    ]
    for _ in range(rng.choice((0, 1, 1, 2, 3)) if rows else 0):
        _tamper(rng, rng.choice(rows))
    body = copy_of(rows)
    return changes.of_bytes(rng, body) if rng.random() < 0.4 else body


def _tamper(rng: Random, row: list[Any]) -> None:
    at, way = rng.randrange(len(row)), rng.random()
    if way < 0.3:
        row[at] = changes.of_bytes(rng, row[at] or b"")
    elif way < 0.6:
        row[at] = rng.choice((*CELLS, row[at - 1]))
    elif way < 0.9:
        numbers = [rng.choice((1.0, math.nan, 3e38)) for _ in range(rng.choice((0, 1, 2, 3)))]
        row[at] = array(numbers, rng.choice((700, 701, 25)), rng.choice((0, 1, 2, -1)), rng.choice((0, 1)))
    elif way < 0.95 and len(row) > 1:
        del row[at]
    else:
        row.insert(at, b"x")


def array(values: Sequence[float], oid: int = 700, dimensions: int = 1, nulls: int = 0) -> bytes:
    """As `array_send` writes it."""
    element = ">id" if oid == 701 else ">if"
    lengths = struct.pack(">ii", len(values), 1) * max(0, dimensions)
    cells = [struct.pack(element, struct.calcsize(element) - 4, value) for value in values]
    return b"".join([struct.pack(">iii", dimensions, nulls, oid), lengths, *cells])


def copy_of(rows: Sequence[Sequence[bytes | None]]) -> bytes:
    """The body of a COPY."""
    parts = [b"PGCOPY\n\xff\r\n\0", bytes(8)]
    for row in rows:
        cells = [struct.pack(">i", -1) if cell is None else struct.pack(">i", len(cell)) + cell for cell in row]
        parts += [struct.pack(">h", len(row)), *cells]
    return b"".join([*parts, struct.pack(">h", -1)])


def _ticks(more: int) -> bytes:
    return struct.pack(">q", TICKS + more)


def check_copy(body: bytes) -> str:
    """Decodes it."""
    try:
        return _judged(copy_binary.decode(body, TABLE, CASTS))
    except SourceMismatch as error:
        return name_of(error)


JSON = Target(
    json_page,
    check_json,
    (
        lambda: b"[" * 10_000_000,
        lambda: b'[{"ts":' * 1_000_000,
        lambda: b"[" + b"9" * 10_000_000 + b"]",
        lambda: b'["' + b"\\ud800" * 2_000_000 + b'"]',
        lambda: b"[" + b"{}," * 200_000 + b"{}]",
        lambda: (
            b'[{"ts":"2026-11-21T04:00:00+00:00","vector":[' + b"0," * 1_000_000 + b'0],"value":1,"note":"","at":null}]'
        ),
        lambda: b'[{"ts":"' + b"0" * 10_000_000 + b'","vector":[1,2],"value":1,"note":"","at":null}]',
        lambda: b'[{"ts":null,"vector":"' + b"[" * 1_000_000 + b'","value":1,"note":"","at":null}]',
    ),
)
COPY = Target(
    copied,
    check_copy,
    (
        lambda: b"PGCOPY\n\xff\r\n\0" + bytes(8),
        lambda: b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 2**31 - 1),
        lambda: copy_of([[b"", b"", b"", b"", None]])[:-6] + struct.pack(">i", 2**31 - 1),
        lambda: copy_of([[_ticks(0), bytes(30_000_000), b"", b"", b""]]),
        lambda: copy_of([[None] * 5])[:-2] + struct.pack(">hiiiii", 5, -1, -1, -1, -1, -1) * 100_000,
    ),
)
