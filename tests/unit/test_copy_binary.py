"""Bodies of COPY that PostgreSQL does not write: what they cost is their row, or a named error, and no time."""

import struct

import pytest
from ratchet.adapters.copy_binary import decode
from ratchet.errors import SourceMismatch
from ratchet.sources import Table

TABLE = Table("ts", {"ts": "timestamp", "vector": "float32[2]", "value": "float64", "note": "text"})
CASTS = {"ts": "timestamptz", "vector": "float4[]", "value": "float8", "note": "text"}
KEY = struct.pack(">q", 848_534_400_000_000)
VECTOR = struct.pack(">iiiii", 1, 0, 700, 2, 1) + struct.pack(">if", 4, 0.5) * 2
ROW = {"ts": KEY, "vector": VECTOR, "value": struct.pack(">d", 1.5), "note": b"a"}


def body(*rows):
    parts = [b"PGCOPY\n\xff\r\n\0", bytes(8)]
    for cells in rows:
        parts.append(struct.pack(">h", len(cells)))
        parts += [struct.pack(">i", len(cell)) + cell for cell in cells]
    return b"".join([*parts, b"\xff\xff"])


def test_a_body_is_decoded_whole():
    page = decode(body(ROW.values()), TABLE, CASTS)
    assert (page.columns["vector"].tolist(), page.cursor) == ([[0.5, 0.5]], "2026-11-21T00:00:00+00:00")


@pytest.mark.parametrize("end", range(len(body(ROW.values()))))
def test_a_body_that_breaks_off_anywhere_is_a_mismatch(end):
    with pytest.raises(SourceMismatch, match="no whole binary COPY"):
        decode(body(ROW.values())[:end], TABLE, CASTS)


@pytest.mark.parametrize("cells", [[], [KEY], [*ROW.values(), b"more"]], ids=["no cells", "too few", "too many"])
def test_a_row_of_other_columns_is_a_mismatch(cells):
    with pytest.raises(SourceMismatch, match="declared columns"):
        decode(body(cells), TABLE, CASTS)


@pytest.mark.parametrize("key", [b"", b"\0" * 4, b"\0" * 9])
def test_a_key_that_is_no_timestamp_is_a_mismatch(key):
    with pytest.raises(SourceMismatch, match=f"key of {len(key)} bytes"):
        decode(body({**ROW, "ts": key}.values()), TABLE, CASTS)


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [
        ("value", b"\0", "is no number"),
        ("value", b"\0" * 16, "is no number"),
        ("note", b"\xff", "is no text"),
        ("vector", b"", "has 0 values, not 2"),
        ("vector", VECTOR[:10], "has 0 values, not 2"),
        ("vector", VECTOR[:-1], "is no array of numbers"),
        ("vector", VECTOR + b"\0", "is no array of numbers"),
        ("vector", VECTOR[:20] + b"\0\0\0\5" + VECTOR[24:], "is no array of numbers"),
        ("vector", b"\xff" * 4 + VECTOR[4:], "has -1 dimensions"),
    ],
)
def test_a_cell_that_is_not_as_its_type_is_sent_costs_its_row(column, cell, reason):
    page = decode(body({**ROW, column: cell}.values()), TABLE, CASTS)
    assert [rejected.reason for _, rejected in page.rejected] == [f"{column} {reason}"]
