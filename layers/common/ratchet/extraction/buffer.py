"""Rows that have been read and not landed, by UTC day, so that a day is written once and not once per page."""

from dataclasses import replace
from datetime import date, datetime

import numpy as np

from ratchet.extraction.columns import Columns, empty, join, length
from ratchet.extraction.landing import Batch
from ratchet.extraction.source import Page, Rejected, by_day, microseconds
from ratchet.sources import Table


class Buffer:
    """Holds the pages of one table in key order; `rows` counts what it holds."""

    def __init__(self, table: Table) -> None:
        """An empty buffer."""
        self._table = table
        self._columns: dict[date, list[Columns]] = {}
        self._rejected: dict[date, list[tuple[datetime, Rejected]]] = {}
        self.rows = 0

    def add(self, page: Page) -> list[Rejected]:
        """Takes a page; gives back its rejected rows whose key cannot be read, since they belong to no day."""
        for day, columns in by_day(page.columns, self._table.key):
            self._columns.setdefault(day, []).append(columns)
            self.rows += length(columns)
        keyless = [row for instant, row in page.rejected if instant is None]
        for instant, row in page.rejected:
            if instant is not None:
                self._rejected.setdefault(instant.date(), []).append((instant, row))
        self.rows += len(page.rejected) - len(keyless)
        return keyless

    @property
    def last_day(self) -> date | None:
        """The day that the next page may go on with."""
        return max({*self._columns, *self._rejected}, default=None)

    def drain(self, before: date | None = None) -> dict[date, Batch]:
        """Hands over the days before the one given, or all of them, in order."""
        days = sorted(day for day in {*self._columns, *self._rejected} if before is None or day < before)
        return {day: self._batch(day) for day in days}

    def whole(self, day: date) -> Batch:
        """Hands over a day as everything that the source has of it."""
        return replace(self._batch(day), whole=True)

    def _batch(self, day: date) -> Batch:
        rejected = self._rejected.pop(day, [])
        columns = join([empty(self._table), *self._columns.pop(day, [])])
        self.rows -= length(columns) + len(rejected)
        keys = np.array([microseconds(instant) for instant, _ in rejected], "datetime64[us]")
        return Batch(columns, [row for _, row in rejected], keys)
