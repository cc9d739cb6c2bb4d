"""A meter file: CSV in, readings as arrays out, a block at a time; lines that break the contract are set aside.

Memory is bounded by the block, not by the file. A last line without an end is taken for cut off, whatever it says: its
number may have lost digits.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import NDArray

from ratchet.errors import SourceMismatch
from ratchet.instants import plausible
from ratchet.meters.layout import Layout

BLOCK_BYTES = 1 << 23
KEPT = 1000
"""Lines set aside that are kept to be looked at; all are counted."""
HOUR = 3_600_000_000
"""In microseconds."""
LARGEST = 1e100
"""Of a reading, since many are summed up."""
NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"


@dataclass(frozen=True)
class Readings:
    """N readings in the order of the file: `at` microseconds since the epoch, `value` NaN where the meter had none."""

    at: NDArray[np.int64]
    value: NDArray[np.float64]


@dataclass
class Aside:
    """Lines that are no readings: how many for which reason, and the first of them as they stood."""

    counts: Counter[str] = field(default_factory=Counter)
    lines: list[tuple[str, str]] = field(default_factory=list)

    def add(self, reason: str, line: str) -> None:
        """Counts a line and keeps it while there is room."""
        self.counts[reason] += 1
        if len(self.lines) < KEPT:
            self.lines.append((reason, line[:1000]))


def read(path: Path, layout: Layout, aside: Aside) -> Iterator[Readings]:
    """The readings in a file, block by block; what is set aside goes to `aside`.

    Raises SourceMismatch for a file without the declared columns, or that is no text of UTF-8.
    """
    parse = pyarrow.csv.ParseOptions(delimiter=layout.delimiter, invalid_row_handler=_handler(aside))
    wanted = [*layout.time, layout.value]
    convert = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(wanted, pa.string()), include_columns=wanted, strings_can_be_null=False
    )
    options = pyarrow.csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES)
    clock = _Clock(layout.time_zone)
    try:
        cut = _cut(path)
        # Arrow reads ahead by itself: a file of Python's would have it wait for the interpreter, at its end for ever.
        with pa.OSFile(str(path)) as file:
            whole = file.get_stream(0, file.size() - len(cut))
            with pyarrow.csv.open_csv(whole, options, parse, convert) as blocks:
                for block in blocks:
                    yield _readings(block, layout, clock, aside)
    except (pa.ArrowException, KeyError, UnicodeDecodeError) as error:
        raise SourceMismatch(
            f"The file is no CSV with the columns {', '.join(wanted)} ({str(error)!r:.200}): correct source in "
            "pipeline.yaml, or the file."
        ) from error
    if cut:
        aside.add("cut off", cut.decode(errors="replace"))


def _cut(path: Path) -> bytes:
    """The last line of the file where it has no end; nothing where it has one."""
    begun = b""
    with path.open("rb") as file:
        while piece := file.read(BLOCK_BYTES):
            whole, _, begun = (begun + piece).rpartition(b"\n")
            # Arrow's reader would meet what is no text in a line that it sets aside, and lose it.
            whole.decode()
    return begun


def _handler(aside: Aside) -> Callable[[pyarrow.csv.InvalidRow], str]:
    def handle(row: pyarrow.csv.InvalidRow) -> str:
        aside.add("another number of columns", row.text)
        return "skip"

    return handle


def _readings(block: pa.RecordBatch, layout: Layout, clock: "_Clock", aside: Aside) -> Readings:
    times = [block.column(name) for name in layout.time]
    joined = times[0] if len(times) == 1 else pc.binary_join_element_wise(*times, " ")
    told = pc.extract_regex(joined, layout.pattern)
    local = pc.strptime(joined, layout.time_format, "us", error_is_null=True)
    # The 31st of February would be the 3rd of March, the 60th second the next minute.
    for name, found in (("d", pc.day), ("S", pc.second)):
        if told.type.get_field_index(name) >= 0:
            local = pc.if_else(pc.equal(found(local), pc.cast(pc.struct_field(told, name), pa.int64())), local, None)
    texts = pc.utf8_trim_whitespace(block.column(layout.value))
    none = pc.is_in(texts, pa.array(["", *layout.missing]))
    numeric = pc.match_substring_regex(texts, NUMBER)
    value = pc.cast(pc.if_else(numeric, texts, "nan"), pa.float64()).to_numpy(zero_copy_only=False)
    micros = local.fill_null(0).cast(pa.int64()).to_numpy()
    no_time = local.is_null().to_numpy(zero_copy_only=False) | ~plausible(micros)
    no_value = ~pc.or_(none, numeric).to_numpy(zero_copy_only=False) | (np.abs(value) > LARGEST)
    for reason, faulty in (("time is no instant", no_time), ("value is no number", no_value & ~no_time)):
        for index in np.flatnonzero(faulty).tolist():
            aside.add(reason, layout.delimiter.join(str(column[index]) for column in block.columns))
    sound = ~(no_time | no_value)
    return Readings(clock.utc(micros[sound]), value[sound])


class _Clock:
    """A clock on the wall, read in order: an hour that comes twice is the first one until time seems to run back."""

    def __init__(self, zone: str) -> None:
        self._zone, self._before = ZoneInfo(zone), -(1 << 62)

    def utc(self, local: NDArray[np.int64]) -> NDArray[np.int64]:
        """Microseconds since the epoch for local ones, in the order of the file."""
        if not len(local):
            return local
        hours, which = np.unique(local // HOUR, return_inverse=True)
        offsets = np.array([self._offsets(hour) for hour in hours.tolist()], np.int64)
        first: NDArray[np.int64] = local - offsets[which, 0]
        second: NDArray[np.int64] = local - offsets[which, 1]
        twice = first != second
        if not twice.any():
            self._before = int(first[-1])
            return first
        found = first.copy()
        for index in np.flatnonzero(twice).tolist():
            before = int(found[index - 1]) if index else self._before
            found[index] = first[index] if first[index] > before else second[index]
        self._before = int(found[-1])
        return found

    def _offsets(self, hour: int) -> tuple[int, int]:
        """Microseconds by which an hour since 1970 is ahead of UTC, the first and the second time that it comes."""
        local = datetime(1970, 1, 1, tzinfo=self._zone) + timedelta(hours=hour)
        ahead = [local.replace(fold=fold).utcoffset() or timedelta() for fold in (0, 1)]
        first, second = (each // timedelta(microseconds=1) for each in ahead)
        # Where an hour is skipped, both are wrong in a way: the first is what a clock that was not put forward shows.
        return (first, second) if first > second else (first, first)
