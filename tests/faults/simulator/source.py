"""The source's tables: a row is its instant and a version that grows whenever it is written again."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from ratchet.extraction.columns import empty
from ratchet.extraction.source import Marker, Page, Rejected, microseconds
from ratchet.instants import iso, parse_instant
from ratchet.sources import Table as Declared

STEP = timedelta(minutes=10)
EVENTS = ("new", "new", "bad", "written again", "late", "very late")


class Table:
    """Rows by instant; a version of None breaks its type. `late` are those that came behind the watermark's overlap."""

    def __init__(self, first: datetime | None = None, rows: int = 0) -> None:
        self.rows: dict[datetime, float | None] = {first + STEP * i: 1.0 for i in range(rows)} if first else {}
        self.late: set[datetime] = set()
        self.unscored: set[datetime] = set()

    def copy(self) -> "Table":
        other = Table()
        other.rows, other.late, other.unscored = dict(self.rows), set(self.late), set(self.unscored)
        return other

    def happen(self, event: str, overlap_minutes: int) -> None:
        """One of EVENTS."""
        newest = max(self.rows)
        if event in {"new", "bad"}:
            self.rows[newest + STEP] = 1.0 if event == "new" else None
            self.unscored |= {newest + STEP} if event == "bad" else set()
        elif event == "written again":
            self.rows[newest] = (self.rows[newest] or 0.0) + 1.0
        elif event == "late":
            # Beside the grid, so that nothing is replaced; within the overlap.
            instant = newest - timedelta(minutes=overlap_minutes // 2 + 1)
            self.rows.setdefault(instant, 1.0)
            self.unscored.add(instant)
        else:
            instant = min(self.rows) - STEP
            self.rows[instant] = 1.0
            self.late.add(instant)


class Source:
    """`Source` over the tables; `ask` waits for the turn of each request."""

    def __init__(self, tables: dict[str, Table], ask: Callable[[str, str], str]) -> None:
        self._tables, self._ask = tables, ask

    def page(self, name: str, table: Declared, *, after: str | None, before: str | None = None, limit: int) -> Page:
        empty_page = self._ask("page", name) == "empty page"
        low = parse_instant(after) if after else None
        high = parse_instant(before) if before else None
        rows = sorted(self._tables[name].rows.items())
        rows = [row for row in rows if (low is None or row[0] > low) and (high is None or row[0] < high)]
        rows = [] if empty_page else rows[:limit]
        sound = [row for row in rows if row[1] is not None]
        columns = empty(table, len(sound))
        for column, values in columns.items():
            values[...] = _cells(column == table.key, values, sound)
        rejected = [(at, Rejected(iso(at), "broken", "")) for at, version in rows if version is None]
        return Page(columns, rejected, iso(rows[-1][0]) if rows else None, len(rows))

    def newest(self, name: str, table: Declared, *, before: str | None = None) -> str | None:
        self._ask("newest", name)
        high = parse_instant(before) if before else None
        keys = [instant for instant in self._tables[name].rows if high is None or instant < high]
        return iso(max(keys)) if keys else None

    def counts(self, name: str, table: Declared, *, start: datetime, end: datetime) -> dict[date, int]:
        self._ask("counts", name)
        found: dict[date, int] = {}
        for instant in self._tables[name].rows:
            if start <= instant < end:
                found[instant.date()] = found.get(instant.date(), 0) + 1
        return found

    def has_rows(self, name: str, table: Declared) -> bool:
        self._ask("has rows", name)
        return bool(self._tables[name].rows)

    def filtered(self, name: str) -> bool:
        return False

    def marker(self) -> Marker:
        return Marker(False, "simulated")


def _cells(is_key: bool, values: Any, rows: list[tuple[datetime, float | None]]) -> Any:
    if is_key:
        return np.array([microseconds(instant) for instant, _ in rows], "int64").view("datetime64[us]")
    versions = np.array([version for _, version in rows], values.dtype)
    return versions[:, None] if values.ndim == 2 else versions
