"""A source in memory, with the server's page cap, and a pipeline of two small tables to extract from it."""

import json
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from ratchet import catalog, lease
from ratchet.catalog import Pipeline
from ratchet.extraction.progress import Work
from ratchet.extraction.source import Marker, Page, PageBuilder, microseconds
from ratchet.instants import iso, parse_instant
from ratchet.sources import Table, Tables

from tests.fakes import Clock, Executions, MemoryStore

START = datetime(2026, 11, 1, tzinfo=UTC)
LEFT = Table("ts", {"ts": "timestamp", "vector": "float32[2]"})
RIGHT = Table("at", {"at": "timestamp", "value": "float64"})
EXECUTION = "arn:aws:states:::execution:returns:one"


class Killed(Exception):
    """The invocation died here."""


@dataclass
class FakeSource:
    """`Source` over {table: {instant: value}}; a value of None is a row that breaks its type. `cap` is the server's.

    `broken` says what such a row's value is. The pages whose numbers are in `blank` come without their rows.
    """

    tables: dict[str, dict[datetime, float | None]] = field(default_factory=dict)
    cap: int = 1000
    hides: bool = False
    seed: Marker = field(default_factory=Marker)
    pages: int = 0
    dies_at: int | None = None
    blank: Container[int] = ()
    broken: str = "broken"
    on_page: Any = None

    def page(self, name: str, table: Table, *, after: str | None, before: str | None = None, limit: int) -> Page:
        self.pages += 1
        if self.dies_at is not None and self.pages >= self.dies_at:
            raise Killed
        if self.on_page:
            self.on_page()
        low = parse_instant(after) if after else None
        high = parse_instant(before) if before else None
        rows = sorted(self.tables.get(name, {}).items())
        rows = [row for row in rows if (low is None or row[0] > low) and (high is None or row[0] < high)]
        rows = rows[: min(limit, self.cap)] if self.pages not in self.blank else []
        builder = PageBuilder(table, len(rows))
        for instant, value in rows:
            if value is None:
                last = next(reversed(table.columns))
                builder.reject(instant, "", f"{last} is {self.broken}", json.dumps(iso(instant)))
                continue
            for column in table.columns:
                cell = np.datetime64(microseconds(instant), "us") if column == table.key else value
                builder.columns[column][builder.index] = cell
            builder.accept()
        return builder.build(iso(rows[-1][0]) if rows else None)

    def newest(self, name: str, table: Table, *, before: str | None = None) -> str | None:
        high = parse_instant(before) if before else None
        keys = [instant for instant in self.tables.get(name, {}) if high is None or instant < high]
        return iso(max(keys)) if keys else None

    def counts(self, name: str, table: Table, *, start: datetime, end: datetime) -> dict[date, int]:
        return Counter(instant.date() for instant in self.tables.get(name, {}) if start <= instant < end)

    def has_rows(self, name: str, table: Table) -> bool:
        return bool(self.tables.get(name))

    def filtered(self, name: str) -> bool:
        return self.hides

    def marker(self) -> Marker:
        return self.seed


def small_pipeline(page_rows: int = 4) -> Pipeline:
    """`returns` with two narrow tables, `left` (the canary) and `right`."""
    returns = catalog.load("returns")
    source = Tables("tables", "left", page_rows, 180, 24, {"left": LEFT, "right": RIGHT})
    return replace(returns, source=source, data=replace(returns.data, min_rows=3))


def rows_every(minutes: int, count: int, start: datetime = START, value: float = 1.0) -> dict[datetime, float | None]:
    """`count` rows, `minutes` apart."""
    return {start + timedelta(minutes=minutes * i): value + i for i in range(count)}


def work_on(
    store: MemoryStore, source: FakeSource, clock: Clock, *, run: str = "r1", calls: int = 10**9, page_rows: int = 4
) -> Work:
    """An invocation that holds the lease and is out of time after `calls` pages."""
    pipeline = small_pipeline(page_rows)
    answer = lease.take(store, pipeline.keys, Executions(), clock, execution=EXECUTION, run_ts=run, ttl=timedelta(1))
    end = source.pages + calls
    return Work(store, source, pipeline, clock, run, EXECUTION, answer.lease.token, lambda: source.pages >= end)
