"""One table within one invocation: rows land first, the watermark follows, and only the lease's holder moves it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np

from ratchet import lease
from ratchet.catalog import Pipeline
from ratchet.extraction import watermark
from ratchet.extraction.landing import Area, Batch, survey
from ratchet.extraction.source import Marker, Rejected, Source, instant_of
from ratchet.extraction.watermark import Watermark
from ratchet.instants import Clock, iso
from ratchet.sources import Table, Tables
from ratchet.store import ObjectStore

RESERVE_SECONDS = 60.0


@dataclass(frozen=True)
class Work:
    """What an invocation works with."""

    store: ObjectStore
    source: Source
    pipeline: Pipeline
    clock: Clock
    run_ts: str
    execution: str
    token: int
    out_of_time: Callable[[], bool]
    """Whether the invocation should come to its end and be called again."""

    @property
    def declared(self) -> Tables:
        """What `pipeline.yaml` says of the source."""
        return self.pipeline.source_as(Tables)


def stop_before(time_left: Callable[[], float]) -> Callable[[], bool]:
    """Says that the time is up when fewer seconds are left than a page with its retries and landing it may take."""
    reserve = min(RESERVE_SECONDS, time_left() / 3)
    return lambda: time_left() < reserve


@dataclass
class Progress:
    """A table's landing area and watermark, and what this invocation has done to them."""

    work: Work
    table: Table
    area: Area
    mark: Watermark
    etag: str | None
    rows_read: int = 0
    rows_changed: int = 0

    def land(self, batches: dict[date, Batch], **moved: Any) -> None:
        """Lands what was read of some days, then moves the watermark and the fields in `moved`. Raises as `move`."""
        self._check_lease()
        days, changes, top = dict(self.mark.days), self.mark.changes, self.mark.instant
        for day, batch in batches.items():
            landed, changed = self.area.land(day, batch)
            before = days.get(day.isoformat())
            changes += before is None or before.etag != landed.etag
            days[day.isoformat()] = landed
            self.rows_changed += changed
            # Rows set aside as well: what is counted as landed is counted at the source up to the watermark.
            keys = np.concatenate([batch.columns[self.table.key], batch.rejected_keys])
            if len(keys):
                newest = instant_of(keys.max())
                top = max(top, newest) if top else newest
        rows = sum(day.rows for day in days.values())
        self.move(days=days, changes=changes, rows=rows, watermark=iso(top) if top else None, **moved)

    def land_keyless(self, rows: list[Rejected]) -> None:
        """Lands rows whose key cannot be read. Raises LeaseLost."""
        self._check_lease()
        self.area.land_keyless(rows)

    def move(self, **moved: Any) -> None:
        """Moves fields of the watermark. Raises LeaseLost, Unavailable when another process moved it meanwhile."""
        work = self.work
        self.mark = replace(self.mark, updated_at=iso(work.clock()), token=work.token, **moved)
        self._check_lease()
        self.etag = watermark.move(work.store, work.pipeline.keys, self.mark, self.etag)

    def _check_lease(self) -> None:
        """Before anything is written: a run that lost its lease would land older rows over another's newer ones."""
        work = self.work
        lease.check(work.store, work.pipeline.keys, execution=work.execution, token=work.token)


def begin(work: Work, name: str, marker: Marker) -> Progress:
    """A table as it stands now."""
    keys, table = work.pipeline.keys, work.declared.tables[name]
    mark, etag = watermark.read(work.store, keys, name)
    area = survey(work.store, keys, name, table)
    return Progress(work, table, area, replace(mark, synthetic=marker.synthetic, source=marker.source), etag)
