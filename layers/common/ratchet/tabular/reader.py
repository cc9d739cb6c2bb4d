"""A CSV file of records: sound rows out, a block at a time; the others are counted by the reason and named by number.

Nothing of a row that is set aside is kept or said but the row's number: whoever may see the file can look it up.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import NDArray

from ratchet.errors import BadInput, SourceMismatch
from ratchet.extraction.source import EPOCH, MICROSECOND
from ratchet.instants import parse_instant, plausible
from ratchet.tabular.layout import AT, GROUP, TIMESTAMP, Layout
from ratchet.tabular.text import header, lines

BLOCK_BYTES = 1 << 22
KEPT = 1000
"""Rows set aside whose numbers are kept; all are counted."""
MOST_TORN = 250_000
"""Rows with another number of columns, whose numbers are all needed to tell those of the others."""
NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
LONGEST = 64
"""Characters of a group's name, since an array has room for the longest in each row."""
LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}
Flags = NDArray[np.bool_]
Seen = Callable[[int], None]
"""Is told how many bytes more have been read."""


@dataclass
class Aside:
    """Rows that are no records: how many for which reason, and the numbers of the first, the header being row 1."""

    counts: Counter[str] = field(default_factory=Counter)
    rows: list[tuple[str, int]] = field(default_factory=list)
    torn: list[int] = field(default_factory=list)
    """Those without the right number of columns, in order."""

    def add(self, reason: str, number: int) -> None:
        """Counts a row and keeps its number while there is room."""
        self.counts[reason] += 1
        if len(self.rows) < KEPT:
            self.rows.append((reason, number))

    def tear(self, row: pyarrow.csv.InvalidRow) -> str:
        """Arrow's handler of rows with another number of columns, which ends the file where they are too many."""
        if len(self.torn) == MOST_TORN:
            return "error"
        self.torn.append(row.number)
        self.add("another number of columns", row.number)
        return "skip"

    def numbers(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The numbers in the file of rows by their places among those that were not torn."""
        before = np.array(self.torn, np.int64) - np.arange(len(self.torn)) - FIRST
        found: NDArray[np.int64] = places + FIRST + np.searchsorted(before, places, "right")
        return found


FIRST = 2
"""The number of the row after the header."""


def blocks(
    path: Path, layout: Layout, at: datetime, aside: Aside, seen: Seen = lambda size: None
) -> Iterator[pa.Table]:
    """The sound rows with the columns of `layout.schema` but for the key; `at` is when they were put there.

    Raises SourceMismatch for a file that is empty, no CSV in UTF-8, or without a column.
    """
    header(path, layout.columns)
    parse = pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=aside.tear)
    types = dict.fromkeys(layout.columns, pa.string())
    convert = pyarrow.csv.ConvertOptions(
        column_types=types, include_columns=layout.columns, strings_can_be_null=False, check_utf8=True
    )
    options = pyarrow.csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES)
    written, size, read = lines(path), path.stat().st_size, 0
    if written <= 1:
        raise SourceMismatch("The file has no records: the first line names the columns, and records follow.")
    try:
        # Arrow reads ahead by itself: a file of Python's would have it wait for the interpreter, at its end for ever.
        with pa.OSFile(str(path)) as file, pyarrow.csv.open_csv(file, options, parse, convert) as found:
            for block in found:
                yield _Block(block, layout, read, aside).sound(at)
                read += block.num_rows
                seen(size * block.num_rows // written)
    except pa.ArrowException:
        if len(aside.torn) == MOST_TORN:
            raise SourceMismatch(
                f"More than {MOST_TORN:,} rows have another number of columns than the first line names: mend them."
            ) from None
        # Its text may quote the file.
        raise SourceMismatch(f"The file is no CSV whose rows are shorter than {BLOCK_BYTES:,} bytes.") from None
    if written != read + len(aside.torn) + 1:
        raise SourceMismatch("A quoted value goes on over lines, or is never closed: write each row on one line.")


class _Block:
    """Rows as text, and what is wrong with them: the first reason of each counts."""

    def __init__(self, block: pa.RecordBatch, layout: Layout, read: int, aside: Aside) -> None:
        self.layout, self.read, self.aside = layout, read, aside
        self.texts = {name: pc.utf8_trim_whitespace(block.column(name)) for name in layout.columns}
        self.faulty: Flags = np.zeros(block.num_rows, np.bool_)

    def sound(self, at: datetime) -> pa.Table:
        """The rows without a fault, typed; the others go aside."""
        layout, columns = self.layout, dict[str, pa.Array]()
        columns[AT] = self._instants(at)
        columns[GROUP] = self.texts[layout.group]
        self._refuse(f"{layout.group} is missing", _flags(pc.equal(columns[GROUP], "")))
        long = pc.greater(pc.utf8_length(columns[GROUP]), LONGEST)
        self._refuse(f"{layout.group} is longer than {LONGEST} characters", _flags(long))
        columns |= {name: self._number(name, *bounds) for name, bounds in layout.numbers.items()}
        columns |= {name: self._category(name, values) for name, values in layout.categories.items()}
        columns[layout.label] = self._label()
        kinds = [layout.schema.field(name) for name in columns]
        return pa.table([*columns.values()], pa.schema(kinds)).filter(pa.array(~self.faulty))

    def _instants(self, at: datetime) -> pa.Array:
        name = self.layout.event_time
        if name is None:
            return pa.repeat(pa.scalar(at, TIMESTAMP), len(self.faulty))
        micros = np.array([_micros(text) for text in self.texts[name].to_pylist()], np.int64)
        self._refuse(f"{name} is no instant with an offset", ~plausible(micros))
        return pa.array(micros).cast(TIMESTAMP)

    def _number(self, name: str, low: float, high: float) -> pa.Array:
        texts = self.texts[name]
        none, numeric = pc.equal(texts, ""), pc.match_substring_regex(texts, NUMBER)
        self._refuse(f"{name} is no number", _flags(pc.invert(pc.or_(none, numeric))))
        values = pc.cast(pc.if_else(numeric, texts, None), pa.float64())
        outside = pc.or_(pc.less(values, low), pc.greater(values, high)).fill_null(False)
        self._refuse(f"{name} is not within {low:g} to {high:g}", _flags(outside))
        return values

    def _category(self, name: str, values: tuple[str, ...]) -> pa.Array:
        texts = self.texts[name]
        none = pc.equal(texts, "")
        known = pc.is_in(texts, pa.array(values))
        self._refuse(f"{name} is none of its categories", _flags(pc.invert(pc.or_(none, known))))
        return pc.if_else(none, None, texts)

    def _label(self) -> pa.Array:
        name = self.layout.label
        place = pc.index_in(self.texts[name], pa.array(list(LABELS)))
        self._refuse(f"{name} is neither 0 nor 1", _flags(place.is_null()))
        return pc.take(pa.array([*LABELS.values()], pa.int8()), place)

    def _refuse(self, reason: str, faulty: Flags) -> None:
        ours = np.flatnonzero(faulty & ~self.faulty)
        for number in self.aside.numbers(self.read + ours).tolist():
            self.aside.add(reason, number)
        self.faulty |= faulty


def _flags(found: pa.Array) -> Flags:
    flags: Flags = found.to_numpy(zero_copy_only=False).astype(np.bool_)
    return flags


def _micros(text: str) -> int:
    """Microseconds since the epoch; long before it where the text is no instant."""
    try:
        return (parse_instant(text) - EPOCH) // MICROSECOND
    except BadInput:
        return -1
