"""The port `Source`: keyset pages of declared tables. What an adapter must do, and the page it hands over."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

import numpy as np

from ratchet.catalog import Table
from ratchet.extraction.columns import Column, Columns, empty, length, take
from ratchet.instants import iso

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, order=True)
class Rejected:
    """A row that breaks a declared type: its key as text, why, and the row as the source sent it."""

    key: str
    reason: str
    row: str


@dataclass(frozen=True)
class Page:
    """Rows of one page in key order, those that were rejected, and the last key that was read.

    `cursor` is the source's own text for that key and None only where the page holds no key at all, `read` counts every
    row, `rejected` lists (key, or None where there is none to read, and the row).
    """

    columns: Columns
    rejected: list[tuple[datetime | None, Rejected]]
    cursor: str | None
    read: int


@dataclass(frozen=True)
class Marker:
    """The one row of the optional table `ratchet_seed`: whether the data is synthetic, and where it came from."""

    synthetic: bool | None = None
    source: str | None = None


class Source(Protocol):
    """Where rows come from.

    Every method raises Unavailable after bounded retries, SourceRefused for a key or login that is refused, and
    SourceMismatch where a declared table or column is not there or is of another type.
    """

    def page(self, name: str, table: Table, *, after: str | None, before: str | None = None, limit: int) -> Page:
        """Rows with `after` < key < `before` in key order: at most `limit`, perhaps fewer, none only at the end."""

    def counts(self, name: str, table: Table, *, start: datetime, end: datetime) -> dict[date, int]:
        """Rows per UTC day with `start` <= key < `end`; days without rows may be missing."""

    def has_rows(self, name: str, table: Table) -> bool:
        """Checks that the declared columns can be read, and says whether there is any row."""

    def filtered(self, name: str) -> bool:
        """Whether row policies apply to this reader of the table, so that no rows may mean that it may see none."""

    def marker(self) -> Marker:
        """What `ratchet_seed` says; all unknown where there is no such table or row."""


class PageBuilder:
    """Collects the rows of a page; an adapter fills row `index` of `columns` and calls `accept` or `reject`."""

    def __init__(self, table: Table, capacity: int) -> None:
        """Room for `capacity` rows."""
        self.columns = empty(table, capacity)
        self.index = 0
        self._key = table.key
        self._rejected: list[tuple[datetime | None, Rejected]] = []

    def accept(self) -> None:
        """Keeps the row just filled in."""
        self.index += 1

    def reject(self, instant: datetime | None, text: str, reason: str, row: str) -> None:
        """Sets a row aside; `instant` is its key, or None where the key's `text` cannot be read."""
        self._rejected.append((instant, Rejected(iso(instant) if instant else text, reason, row)))

    def build(self, cursor: str | None) -> Page:
        """The page. Rows that share their key are all set aside: nothing tells which of them is right."""
        read = self.index + len(self._rejected)
        columns = take(self.columns, slice(0, self.index))
        keys = columns[self._key]
        _, inverse, repeats = np.unique(keys, return_inverse=True, return_counts=True)
        double = repeats[inverse] > 1
        for row in np.flatnonzero(double):
            self.reject(instant_of(keys[row]), "", f"duplicate {self._key}", _show(take(columns, row)))
        return Page(take(columns, ~double) if double.any() else columns, self._rejected, cursor, read)


def microseconds(instant: datetime) -> int:
    """Microseconds since 1970 in UTC, as datetime64[us] counts them."""
    return (instant - EPOCH) // MICROSECOND


def instant_of(value: np.datetime64) -> datetime:
    """The aware UTC instant of a datetime64[us]."""
    return EPOCH + int(value.astype("datetime64[us]").astype(np.int64)) * MICROSECOND


def by_day(columns: Columns, key: str) -> Iterator[tuple[date, Columns]]:
    """The rows of each UTC day; the rows must be in key order."""
    if not length(columns):
        return
    days: Column = columns[key].astype("datetime64[D]")
    starts = np.flatnonzero(np.concatenate(([True], days[1:] != days[:-1])))
    for start, end in zip(starts, [*starts[1:], len(days)], strict=True):
        yield days[start].item(), take(columns, slice(start, end))


def _show(row: Columns) -> str:
    return str({name: value.tolist() if isinstance(value, np.ndarray) else str(value) for name, value in row.items()})
