"""CSV files of records as a spreadsheet, a cut transfer or a stranger would leave them, each with a person's name.

The name is a marker: it stands in a personal column alone, so that nothing may say it, whatever befalls the rest.
"""

import json
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from ratchet.errors import SourceMismatch
from ratchet.sources import TabularFiles
from ratchet.tabular.kind import Source

from tests import filed
from tests.faults.hostile import changes
from tests.faults.hostile.target import Target, name_of

SOURCE = Source(filed.clicks())
HEADER = filed.COLUMNS.split(",")
NAME = HEADER.index("full_name")
MARKER = "Plantée Őnlyhere"
NAMES = [MARKER, f'"{MARKER}"', f'"{MARKER}, 31"', f'"a\n{MARKER}"', f'"{MARKER}', f'{MARKER}"', f'"x""{MARKER}"', ""]
ROW = ["7", MARKER, "31", "Female", "Mobile", "Top", "News", "Night", "1"]
CELLS = [*("", " ", '""', '"', "3,1", "1e999", "-0", "+.5e1", "nan", "1_0", "\u0663", "0x1F", "400", "1.0", "NULL")]
CELLS += [*("\0", "\ufeff", "\n", "\r", "a\r\nb", "\u2028", "x" * 70, "9" * 5000, "\U0001f600", "Robot", "=1+1", "'")]
ENDS = ["\n", "\n", "\r\n", "\r", "\n\r", "\n\n", " \n"]
ENCODINGS = [*("utf-8",) * 40, "utf-8-sig", "utf-16", "utf-32", "cp1252", "utf-7"]
AT, KEY = datetime(2026, 11, 20, tzinfo=UTC), "adclick/datasets/a.csv"
PATH = Path("records.csv")
MIB = 1 << 20


def file(rng: Random) -> bytes:
    """One of them. Where bytes change at random a name may come to stand in another column, so there is none."""
    tampered = rng.random() < 0.4
    names = [""] if tampered else [MARKER] if rng.random() < 0.7 else NAMES
    rows = [_row(rng, rng.choice(names)) for _ in range(rng.choice((0, 1, 2, 2, 3, 9)))]
    ended = rng.choice(ENDS)
    lines = [_header(rng) if rng.random() < 0.15 else HEADER, *rows]
    text = "".join(",".join(line) + (ended if rng.random() < 0.95 else rng.choice(ENDS)) for line in lines)
    body = text.encode(rng.choice(ENCODINGS), "replace")
    if not tampered:
        return body if rng.random() < 0.8 else body[: rng.randrange(len(body) + 1)]
    for _ in range(rng.choice((1, 1, 2, 4))):
        body = changes.of_bytes(rng, body)
    return body


def _row(rng: Random, name: str) -> list[str]:
    """Who it is stands in front of the name, so that a quote there would take the name in: there is none."""
    row = [str(rng.randrange(9)), name, *ROW[NAME + 1 :]]
    if rng.random() < 0.1:
        row[0] = rng.choice([cell for cell in CELLS if '"' not in cell and "," not in cell])
    for _ in range(rng.choice((0, 0, 0, 0, 1, 2))):
        row[rng.randrange(NAME + 1, len(row))] = rng.choice(CELLS)
    if rng.random() < 0.1:
        row = row[: rng.randrange(1, len(row) + 1)] + rng.choice(([], ["x"], [""] * 300))
    return row


def _header(rng: Random) -> list[str]:
    """With a column after the name renamed, left out, there twice or quoted, or one more."""
    at = rng.randrange(NAME + 1, len(HEADER))
    other = rng.choice(([], ["click"], [f'"{HEADER[at]}"'], [f" {HEADER[at]}"], [HEADER[at]] * 2, [HEADER[at].upper()]))
    return (
        [*HEADER[:at], *other, *HEADER[at + 1 :]] if rng.random() < 0.8 else [*HEADER, *rng.choice(([""], ["x"] * 9))]
    )


def check(body: bytes) -> str:
    """Reads it as ingesting does; what it says is without names, and what lands is what can be read again."""
    PATH.write_bytes(body)
    try:
        found = SOURCE.content(PATH, KEY, AT)
    except SourceMismatch as error:
        return _refused(error)
    told = json.dumps([found.ignored, found.rejected, found.about, [vars(line) for line in found.aside]])
    assert not _tells(told)
    assert not any(_tells(str(column.unique())) for column in found.rows.columns if column.type == "string")
    assert found.rows.schema == SOURCE.schema
    assert SOURCE.fault(found.rows) is None
    assert sum(found.rejected.values()) >= len(found.aside)
    return "rows set aside" if found.rejected else "rows" if found.rows.num_rows else "nothing"


def _refused(error: SourceMismatch) -> str:
    """As it stands in a log, with all that led to it."""
    assert not _tells("".join(traceback.format_exception(error)))
    return name_of(error)


def _tells(text: str) -> bool:
    """Whether any of the name is there, as text, as JSON or as Python writes it."""
    return "Plant" in text or "nlyhere" in text


def _after_header(line: str, megabytes: int = 16) -> Callable[[], bytes]:
    return lambda: filed.impressions() + line.encode() * (megabytes * MIB // len(line))


assert isinstance(SOURCE.declared, TabularFiles)
LARGEST = SOURCE.declared.max_bytes // MIB
RECORDS = Target(
    file,
    check,
    (
        # Millions of columns, of rows that are none, of rows that are hardly any, and fields that never end.
        lambda: ",".join([*HEADER, *["x"] * 4 * MIB]).encode() + b"\n" + ",".join(ROW).encode(),
        _after_header(",", 64),
        _after_header(f"{',' * MIB}\n", 64),
        _after_header("1\n", LARGEST),
        _after_header("\n", LARGEST),
        _after_header('"', 64),
        _after_header("x", 64),
        _after_header("7,,,,,,,,0\n"),
        _after_header(f"7,{MARKER * 9999},31\n"),
        lambda: filed.impressions(*(f"{number},,,,,,,,0" for number in range(400_000))),
        lambda: bytes(64 * MIB),
        lambda: b"id," * 32 * MIB,
    ),
)
