"""The port `Source`: keyset pages of declared tables. What an adapter must do, the page it hands over, and when to
believe it: `pages` is how tables are read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

import numpy as np

from ratchet.errors import BadInput, SourceMismatch, Unavailable
from ratchet.extraction.columns import Column, Columns, empty, length, take
from ratchet.instants import iso, parse_instant
from ratchet.sources import Table

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
ASKED = 3
"""How often a page is asked for whose emptiness the source contradicts."""
CHANGED = 10
"""So many rows that break in the same way, without a sound one among them, are not bad rows but a changed column."""
NULL, DUPLICATE = "is null", "duplicate"
"""Words of reasons that rows can share in a table as it is declared."""


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
        """Rows with `after` < key < `before` in key order: at most `limit`, perhaps fewer.

        That there are none may be a fault on the way here: `pages` has it confirmed.
        """

    def newest(self, name: str, table: Table, *, before: str | None = None) -> str | None:
        """The greatest key, or the greatest below `before`, spelled as a page's cursor; None where there is no key."""

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
        """Sets a row aside; `instant` is its key, or None where the key's `text` cannot be read.

        The `reason` begins with the column's name and ends with `is null` where that is what is wrong.
        """
        self._rejected.append((instant, Rejected(iso(instant) if instant else text, reason, row)))

    def build(self, cursor: str | None) -> Page:
        """The page. Rows that share their key are all set aside: nothing tells which of them is right."""
        read = self.index + len(self._rejected)
        columns = take(self.columns, slice(0, self.index))
        keys = columns[self._key]
        _, inverse, repeats = np.unique(keys, return_inverse=True, return_counts=True)
        double = repeats[inverse] > 1
        for row in np.flatnonzero(double):
            self.reject(instant_of(keys[row]), "", f"{DUPLICATE} {self._key}", _show(take(columns, row)))
        return Page(take(columns, ~double) if double.any() else columns, self._rejected, cursor, read)


def pages(
    source: Source,
    name: str,
    table: Table,
    *,
    after: str | None,
    before: str | None = None,
    limit: int,
    filled: bool = False,
) -> Iterator[Page]:
    """The pages of what lies between two keys; the last one holds no key, and the source confirms that it is the last.

    `filled` says that the table has shown rows. Raises Unavailable where the source contradicts itself, SourceMismatch
    where a column is of another type than declared or keys do not grow, and what the port raises.
    """
    cursor, asked = after, 0
    while True:
        page = source.page(name, table, after=cursor, before=before, limit=limit)
        _check_columns(source, name, table, page)
        if page.cursor is not None:
            if cursor is not None and not _later(page.cursor, cursor):
                raise SourceMismatch(
                    f"The table {name} answers with rows up to {page.cursor} when asked for those after {cursor}: what "
                    f"stands between here and the database leaves the condition on {table.key} out."
                )
            yield page
            cursor, asked, filled = page.cursor, 0, True
            continue
        doubt = _doubt(source, name, table, cursor, before, filled=filled and not page.read)
        if doubt is None:
            yield page
            return
        asked += 1
        if asked == ASKED:
            raise Unavailable(
                f"The table {name} shows no rows after {cursor or 'its beginning'} although {doubt}: run again; if it "
                "stays so, look for a cache, a replica that lags, or a row policy that changed."
            )


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


def _doubt(
    source: Source, name: str, table: Table, cursor: str | None, before: str | None, *, filled: bool
) -> str | None:
    """Why a page without a key is not the end, if it is not. No key shows that: a table's rows do not all vanish."""
    newest = source.newest(name, table, before=before)
    if newest:
        return f"its newest key is {newest}" if _later(newest, cursor) else None
    oldest = source.page(name, table, after=None, limit=1).cursor
    if oldest:
        return f"its oldest key is {oldest}" if _later(before, oldest) else None
    return "it has shown some" if filled else None


def _later(bound: str | None, key: str | None) -> bool:
    """Whether a bound lies after a key; without either there is none."""
    try:
        return bound is None or key is None or (bound != key and parse_instant(bound) > parse_instant(key))
    except BadInput:
        return True  # One of them is infinity, and they differ.


def _check_columns(source: Source, name: str, table: Table, page: Page) -> None:
    """Raises SourceMismatch where a column must have changed, since it breaks row after row in the same way.

    Taken for bad rows, they would all be set aside. Where a page has too few to tell, the table's first rows do.
    """
    fault, count = _shared_fault(page)
    if 0 < count < CHANGED:
        first, count = _shared_fault(source.page(name, table, after=None, limit=CHANGED))
        count = count if first == fault else 0
    if count < CHANGED:
        return
    column = next((column for column in table.columns if fault.startswith(f"{column} ")), table.key)
    raise SourceMismatch(
        f"The table {name} has changed: {fault} in each of {count} rows. "
        f"Make {column} {table.columns[column]} again, or correct pipeline.yaml."
    )


def _shared_fault(page: Page) -> tuple[str, int]:
    """The fault that every row of a page has, and of how many rows; nulls aside, since any column may hold them."""
    reasons = [row.reason for _, row in page.rejected if not row.reason.endswith(NULL)]
    if length(page.columns) or len(set(reasons)) != 1 or reasons[0].startswith(DUPLICATE):
        return "", 0
    return reasons[0], len(reasons)


def _show(row: Columns) -> str:
    return str({name: value.tolist() if isinstance(value, np.ndarray) else str(value) for name, value in row.items()})
