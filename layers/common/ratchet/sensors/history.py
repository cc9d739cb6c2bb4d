"""The hours of one machine: from days that have landed, and from its own files of the others.

Today and the day before are always read from the files, if there are any: some come after their day has landed. A day's
files come to the same table here as in landing, and what was read is kept for the next time, by its tag.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from ratchet.errors import Unavailable
from ratchet.extraction.source import EPOCH
from ratchet.files.part import digest
from ratchet.files.recent import Recent
from ratchet.files.rows import read as read_part
from ratchet.instants import run_name
from ratchet.sensors import samples
from ratchet.sensors.hours import Hours
from ratchet.sensors.kind import AT_ONCE, Source
from ratchet.sensors.samples import Machine, Samples
from ratchet.store import Listed, ObjectStore

KEPT_BYTES, ENTRY_BYTES = 384 << 20, 500
"""Of what was read, in memory, and of what it takes to keep anything at all."""
DAY = timedelta(days=1)
LANDED = timedelta(minutes=1)
"""How long it is not asked again which days have landed: it is a listing of all that ever have."""
EMPTY = timedelta(minutes=10)
"""How long a day that had neither landed nor any file is not looked at again."""
Wanted = dict[Hashable, Callable[[], Any]]
"""What has to be read, each by its key and tag, and how."""


class History:
    """The hours of a source's machines, with what this process has read of them; for one request at a time."""

    def __init__(self, source: Source, kept_bytes: int = KEPT_BYTES) -> None:
        """Reads nothing yet."""
        self._source = source
        self._recent = Recent(kept_bytes)

    def read(
        self, store: ObjectStore, files: ObjectStore, machine: Machine, now: datetime, late: Callable[[], bool]
    ) -> pa.Table | None:
        """A machine's hours, as landed, in the order of the days of the span before `now` and of the present one.

        None where there is no file and no row of it. Raises ForeignDocument for a part that cannot be read, and
        Unavailable, also once `late` says that time is over: what was read by then is kept.
        """
        span = self._span(now)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            landed = self._landed(store, span, now)
            listed = self._listed(pool, files, machine, [day for day in span if day not in landed], now)
            landed = {day: part for day, part in landed.items() if day not in listed}
            made = {day: self._recent.get(digest(found, self._source.reads)) for day, found in listed.items()}
            wanted: Wanted = {_tag(part): partial(self._part, store, part.key) for part in landed.values()}
            for day, found in listed.items():
                if made[day] is None:
                    wanted |= {_tag(file): partial(self._file, files, machine, file.key) for file in found}
            known = self._load(pool, wanted, late)
        tables = [self._source.schema.empty_table()]
        for day in [*span, span[-1] + DAY]:
            if day in landed:
                tables.append(known[_tag(landed[day])].of(machine))
            elif day in listed:
                tables.append(self._day(listed[day], known) if made[day] is None else made[day])
        rows = pa.concat_tables(tables)
        return rows if listed or rows.num_rows else None

    def _span(self, now: datetime) -> list[date]:
        """The whole days before the present one in which all lies that a row looks at."""
        return self._source.last_days(run_name(now), self._source.history_days).days()

    def _landed(self, store: ObjectStore, span: Sequence[date], now: datetime) -> dict[date, Listed]:
        """The objects of the days whose document stands beside them."""
        keys, table = self._source.pipeline.keys, self._source.table
        held: tuple[datetime, dict[str, Listed]] = self._recent.get(LANDED) or (EPOCH, {})
        at, listed = held
        if not timedelta() <= now - at < LANDED:
            listed = {each.key: each for each in store.list(f"{keys.landing_root(table)}dt=")}
            self._recent.put(LANDED, (now, listed), ENTRY_BYTES * len(listed))
        names = {day: f"dt={day.isoformat()}" for day in span}
        return {
            day: listed[keys.part(table, name)]
            for day, name in names.items()
            if keys.part(table, name) in listed and keys.part_document(table, name) in listed
        }

    def _listed(
        self, pool: ThreadPoolExecutor, files: ObjectStore, machine: Machine, absent: list[date], now: datetime
    ) -> dict[date, list[Listed]]:
        """The machine's files of the days that have not landed, of today and of the day before, where it has any."""
        newest = self._span(now)[-1]
        days = {newest, newest + DAY} | {day for day in absent if now - self._emptied(machine, day) >= EMPTY}
        found = dict(zip(days, pool.map(lambda day: self._list(files, machine, day), days), strict=True))
        for day in (day for day, listed in found.items() if day < newest and not listed):
            self._recent.put((machine, day), now, ENTRY_BYTES)
        return {day: listed for day, listed in found.items() if listed}

    def _emptied(self, machine: Machine, day: date) -> datetime:
        """When a day of a machine was last found without files."""
        found: datetime = self._recent.get((machine, day)) or EPOCH
        return found

    def _list(self, files: ObjectStore, machine: Machine, day: date) -> list[Listed]:
        zone, equipment = machine
        prefix = f"{self._source.prefix}date={day.isoformat()}/zone_id={zone}/equip_id={equipment}/"
        return [each for each in files.list(prefix) if each.key.endswith(".json")]

    def _load(self, pool: ThreadPoolExecutor, wanted: Wanted, late: Callable[[], bool]) -> dict[Hashable, Any]:
        """All that is wanted, a few at a time where it has to be read."""
        known = {key: self._recent.get(key) for key in wanted}
        missing = [key for key, value in known.items() if value is None]
        for first in range(0, len(missing), AT_ONCE):
            if late():
                raise Unavailable(
                    "To read that machine's history takes longer than an answer may: ask again, it goes on."
                )
            some = missing[first : first + AT_ONCE]
            for key, value in zip(some, pool.map(lambda key: wanted[key](), some), strict=True):
                known[key] = value
                self._recent.put(key, value, ENTRY_BYTES + value.nbytes)
        return known

    def _part(self, store: ObjectStore, key: str) -> "_Part":
        stored = store.get(key)
        if stored is None:
            raise Unavailable(f"{key} went away while it was read; ask again.")
        return _Part.indexed(read_part(self._source, stored.body, key))

    def _file(self, files: ObjectStore, machine: Machine, key: str) -> "_File":
        stored = files.get(key)
        return _File(_of(samples.read(stored.body if stored else b"", self._source.layout), machine))

    def _day(self, listed: Sequence[Listed], known: Mapping[Hashable, Any]) -> pa.Table:
        """What the files of a day come to, as landing has it."""
        hours = Hours(self._source.layout)
        for file in listed:
            hours.add(known[_tag(file)].samples)
        table = hours.table()
        self._recent.put(digest(listed, self._source.reads), table, ENTRY_BYTES + table.nbytes)
        return table


@dataclass(frozen=True)
class _Part:
    """A day's rows and where in them each machine's are; landed rows are in the order of their machines."""

    rows: pa.Table
    places: Mapping[Machine, tuple[int, int]]

    @classmethod
    def indexed(cls, rows: pa.Table) -> "_Part":
        places: dict[Machine, tuple[int, int]] = {}
        names = zip(rows["zone_id"].to_pylist(), rows["equip_id"].to_pylist(), strict=True)
        for index, machine in enumerate(names):
            places[machine] = (places.get(machine, (index, index))[0], index + 1)
        return cls(rows, places)

    @property
    def nbytes(self) -> int:
        return int(self.rows.nbytes)

    def of(self, machine: Machine) -> pa.Table:
        first, end = self.places.get(machine, (0, 0))
        return self.rows.slice(first, end - first)


@dataclass(frozen=True)
class _File:
    """The samples in a file."""

    samples: Samples

    @property
    def nbytes(self) -> int:
        return int(5 * self.samples.value.nbytes)


def _tag(listed: Listed) -> tuple[str, str]:
    return listed.key, listed.etag


def _of(found: Samples, machine: Machine) -> Samples:
    """Those of one machine: a file may hold several."""
    ours = found.machine == (found.machines.index(machine) if machine in found.machines else -1)
    count = int(ours.sum())
    arrays = (np.zeros(count, np.int64), found.sensor[ours], found.at[ours], found.value[ours])
    return Samples([machine], *arrays, found.ignored, found.rejected)
