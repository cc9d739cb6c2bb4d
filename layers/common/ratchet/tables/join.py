"""The exact inner join of a feature table and a label table: a streaming merge of two sorted tables.

Holds one batch of each side, whatever the tables hold. Reads local Parquet files, wherever they come from.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ratchet.errors import ForeignDocument
from ratchet.tables.numbers import TIMESTAMP, to_arrow, to_numpy

Instants = NDArray[np.int64]
"""Microseconds since the epoch, UTC."""
BATCH_ROWS = 1000
# Arrow's own allocator keeps what a batch has freed; the system's holds a quarter less and costs no time.
pa.set_memory_pool(pa.system_memory_pool())
END = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Side:
    """One table: its files in the order of their rows, its unique sorted key, and what to add to it before matching."""

    paths: Sequence[Path]
    key: str
    columns: Sequence[str]
    shift_micros: int = 0


@dataclass(frozen=True)
class Match:
    """Rows of both sides that belong together, in the order of `instants` int64 [N] (the left side's shifted key)."""

    instants: Instants
    left: pa.RecordBatch
    right: pa.RecordBatch


def micros(column: pa.Array) -> Instants:
    """A timestamp column as microseconds since the epoch; nulls are not expected in a key."""
    same = column if column.type == TIMESTAMP else column.cast(TIMESTAMP)
    return to_numpy(same.view(pa.int64()))


def common_instants(left: Side, right: Side) -> Instants:
    """The instants that both sides have, sorted and unique; reads the keys alone."""
    return np.intersect1d(_keys(left), _keys(right))


def matches(left: Side, right: Side) -> Iterator[Match]:
    """Every pair of rows with equal shifted keys, in their order; a key that stands twice matches twice.

    Raises ForeignDocument when a side is not sorted by its key.
    """
    a, b = _Cursor(left), _Cursor(right)
    while a.alive and b.alive:
        bound = min(a.bound, b.bound)
        yield from _pairs(a.take_before(bound), b.take_before(bound))
        for cursor in (a, b):
            if cursor.bound == bound:
                cursor.read()


def _keys(side: Side) -> Instants:
    batches = _batches(side.paths, [side.key])
    parts = [micros(batch.column(0)) + side.shift_micros for batch in batches]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _batches(paths: Sequence[Path], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    for path in paths:
        try:
            # An open file spares Arrow the search for the path's file system, which counts with one file a day.
            with pa.OSFile(str(path)) as opened, pq.ParquetFile(opened, pre_buffer=False) as file:
                yield from file.iter_batches(BATCH_ROWS, columns=list(columns), use_threads=False)
        # Of a file that is damaged Arrow says so in several ways, a plain OSError among them.
        except (pa.ArrowException, OSError, KeyError, IndexError) as error:
            raise ForeignDocument(f"{path.name} is no landing file; move landing/ away, it is read anew.") from error


def _pairs(a: tuple[Instants, pa.RecordBatch], b: tuple[Instants, pa.RecordBatch]) -> Iterator[Match]:
    left, right = a[0], b[0]
    first = np.searchsorted(right, left, "left")
    counts = np.searchsorted(right, left, "right") - first
    total = int(counts.sum())
    if total:
        from_left = np.repeat(np.arange(len(left)), counts)
        within = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
        from_right = np.repeat(first, counts) + within
        yield Match(left[from_left], _rows(a[1], from_left), _rows(b[1], from_right))


def _rows(batch: pa.RecordBatch, indices: NDArray[np.int64]) -> pa.RecordBatch:
    start, count = int(indices[0]), len(indices)
    # Matches are nearly always a contiguous run, which costs no copy.
    if int(indices[-1]) - start == count - 1 and (np.diff(indices) == 1).all():
        return batch.slice(start, count)
    return batch.take(to_arrow(indices, pa.int64()))


class _Cursor:
    """Reads a side batch by batch; rows before `bound` are complete, none with such a key can follow."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.source = _batches(side.paths, side.columns)
        self.keys: Instants = np.empty(0, np.int64)
        self.pending: pa.RecordBatch | None = None
        self.exhausted = False
        self.read()

    @property
    def alive(self) -> bool:
        return not self.exhausted or bool(len(self.keys))

    @property
    def bound(self) -> int:
        return END if self.exhausted else int(self.keys[-1])

    def read(self) -> None:
        """Appends at least BATCH_ROWS rows to what is pending: a file of one day is too small to be handled alone."""
        waiting = [self.pending] if self.pending is not None else []
        fresh = 0
        while fresh < BATCH_ROWS and (batch := next(self.source, None)) is not None:
            # Days landed earlier declare numbers of a list that may be null, days landed since do not.
            waiting.append(batch if not waiting or batch.schema == waiting[0].schema else batch.cast(waiting[0].schema))
            fresh += batch.num_rows
        if not fresh:
            self.exhausted = True
            return
        self.pending = pa.concat_batches(waiting)
        self.keys = micros(self.pending.column(self.side.key)) + self.side.shift_micros
        if (np.diff(self.keys) < 0).any():
            raise ForeignDocument(f"Landed rows are not sorted by '{self.side.key}'; move them away and extract again.")

    def take_before(self, bound: int) -> tuple[Instants, pa.RecordBatch]:
        """Removes and returns the rows with keys below `bound`."""
        count = int(np.searchsorted(self.keys, bound, "left"))
        keys, self.keys = self.keys[:count], self.keys[count:]
        pending = self.pending
        self.pending = pending.slice(count) if pending is not None else None
        return keys, pending.slice(0, count) if pending is not None else None
