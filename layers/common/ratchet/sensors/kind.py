"""Sensor files as a source: a day of the site is a part, an hour of a machine is a row (`ratchet.files.kind`)."""

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ratchet.catalog import Pipeline
from ratchet.errors import BadInput
from ratchet.files import span
from ratchet.files.kind import Content, Examples
from ratchet.files.part import Part
from ratchet.files.span import Span
from ratchet.records import record
from ratchet.sensors import faults, samples
from ratchet.sensors.hours import MEASURES, Hours
from ratchet.sensors.machines import Machine, layout_of, machines
from ratchet.sensors.samples import HOUR
from ratchet.sources import SensorFiles
from ratchet.store import Listed, ObjectStore

AT_ONCE = 16
"""Files that are in memory together while a day is read."""
NAME = re.compile(r"dt=(\d{4}-\d{2}-\d{2})")


@dataclass(frozen=True)
class Day:
    """What is told of a part: the machines, as `zone/equipment`, and the sensors that have samples in it."""

    machines: list[str]
    sensors: list[str]


class Source:
    """The sensor files of a pipeline."""

    table = "hours"

    def __init__(self, pipeline: Pipeline) -> None:
        """Raises BadConfiguration for sensors, ranges or a zone that make no sense."""
        self.pipeline = pipeline
        self.declared = pipeline.source_as(SensorFiles)
        self.layout = layout_of(self.declared, pipeline.time_zone)
        self.prefix = self.declared.prefix
        self.schema = Hours(self.layout).table().schema

    @property
    def reads(self) -> str:
        """Sensors with their names and ranges, the category and the clock."""
        return repr(self.layout)

    @property
    def history_days(self) -> int:
        """Days before a row's own in which all lies that it looks at, and a day more: a fault goes on into the next."""
        return -(-self.declared.windows.history // 24) + 1

    def span(self, run_ts: str, month: str | None) -> Span:
        """The whole days before the run's, or a month; with those before them that their first rows look back at."""
        rows = span.of_month(month) if month else self.last_days(run_ts, self.declared.window_days)
        return replace(rows, before=self.history_days)

    def last_days(self, run_ts: str, days: int) -> Span:
        """So many whole days before the one of an instant."""
        return span.before(run_ts, self.pipeline.time_zone, days)

    def plan(self, files: ObjectStore, wanted: Span) -> dict[str, list[Listed]]:
        """The files of each day that has any."""
        days = {f"dt={day.isoformat()}": self._list(files, day) for day in wanted.days()}
        return {name: listed for name, listed in days.items() if listed}

    def name_of(self, asked: str) -> str:
        """A day's name is its own."""
        return asked

    def files_of(self, files: ObjectStore, name: str) -> list[Listed]:
        """The files of a day. Raises BadInput."""
        matched = NAME.fullmatch(name)
        if not matched:
            raise BadInput(f"'{name}' is no day of sensor files; write it as dt=2026-11-21.")
        try:
            return self._list(files, date.fromisoformat(matched[1]))
        except ValueError as error:
            raise BadInput(f"'{name}': there is no such day.") from error

    def read(self, files: ObjectStore, listed: list[Listed]) -> Content:
        """What the files come to; a few of them are in memory at a time."""
        found = Hours(self.layout)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for first in range(0, len(listed), AT_ONCE):
                some = listed[first : first + AT_ONCE]
                for body in pool.map(lambda file: b"".join(files.stream(file.key)), some):
                    found.add(samples.read(body, self.layout))
        rows = found.table()
        about = Day(
            machines=sorted({f"{zone}/{machine}" for zone, machine in _machines(rows)}),
            sensors=[name for name in self.declared.sensors if rows[f"{name}_count"].null_count < rows.num_rows],
        )
        return Content(rows, found.samples, dict(found.ignored), dict(found.rejected), asdict(about), [])

    def fault(self, rows: pa.Table) -> str | None:
        """Each row names its machine and hour, and has all measures of a sensor or none."""
        if any(rows[name].null_count for name in ("zone_id", "equip_id", "hour")):
            return "its machines and hours hold nulls"
        for sensor in self.layout.sensors:
            first, *others = (rows[f"{sensor}_{measure}"].is_null() for measure in MEASURES)
            if not all(other.equals(first) for other in others):
                return f"it has some measures of {sensor} and lacks others"
        return None

    def shortage(self, parts: Mapping[str, Part]) -> str | None:
        """By the records that were counted, never by the size of files. Raises ForeignDocument."""
        least = self.declared.minimum
        told = [record(Day, part.about, f"{name}.json") for name, part in parts.items()]
        found = {
            "records": (sum(part.records for part in parts.values()), least.records),
            "days": (sum(part.records > 0 for part in parts.values()), least.days),
            "machines": (len({name for day in told for name in map(str, day.machines)}), least.machines),
            "sensors": (len({name for day in told for name in map(str, day.sensors)}), least.sensors),
        }
        if all(number >= needed for number, needed in found.values()):
            return None
        numbers = ", ".join(f"{number:,} {name} ({needed:,} needed)" for name, (number, needed) in found.items())
        aside = sum(sum(part.rejected.values()) for part in parts.values())
        return f"There are {numbers}" + (f"; {aside:,} records were rejected." if aside else ".")

    def examples(self, parts: Iterator[pa.Table], wanted: Span, until: datetime) -> Examples:
        """A row per hour in the span of a machine whose hours left are known at `until`."""
        found = Hours(self.layout)
        for table in parts:
            found.take(table)
        rows = _Rows(self, _hour(wanted.begins(self.pipeline.time_zone)), int(until.timestamp()) * 1_000_000)
        for machine in machines(found, self.declared):
            rows.add(machine)
        return rows.examples()

    def features(self, machine: Machine, life: slice) -> NDArray[np.float32]:
        """The inputs of a life, float32 [hours, inputs]."""
        make, sensors = self.pipeline.module("features"), list(self.declared.sensors)
        rows: NDArray[np.float32] = make.of_life(
            machine.hours[life], machine.values[life], sensors, self.declared.windows
        )
        return rows

    def inputs(self) -> list[str]:
        """The names of the inputs, in order."""
        make = self.pipeline.module("features")
        return list(make.names(list(self.declared.sensors), self.declared.windows))

    def _list(self, files: ObjectStore, day: date) -> list[Listed]:
        return [each for each in files.list(f"{self.prefix}date={day.isoformat()}/") if each.key.endswith(".json")]


def _hour(at: datetime) -> int:
    """Hours since the epoch."""
    return int(at.timestamp()) // 3600


def _machines(rows: pa.Table) -> set[tuple[str, str]]:
    return set(zip(rows["zone_id"].to_pylist(), rows["equip_id"].to_pylist(), strict=True))


class _Rows:
    """Rows of machines as they are added."""

    def __init__(self, source: Source, first: int, known_until: int) -> None:
        self.source = source
        self.first = first
        self.known_until = known_until
        self.parts: list[tuple[Any, ...]] = []
        self.censored = 0
        self.closed = 0

    def add(self, machine: Machine) -> None:
        cap = self.source.declared.cap_hours
        left = faults.remaining(machine.hours, machine.faulty, cap)
        ends = (machine.hours + np.where(np.isfinite(left), left, cap).astype(np.int64) + 1) * HOUR
        known = np.isfinite(left) & (ends <= self.known_until)
        for life in machine.lives():
            number = self.closed if machine.faulty[life][-1] else -1
            self.closed += number >= 0
            rows = self.source.features(machine, life)
            asked = machine.hours[life] >= self.first
            kept = known[life] & asked
            self.censored += int((asked & ~kept).sum())
            base, count = (machine.hours[life] + 1) * HOUR, int(kept.sum())
            group = np.full(count, f"{machine.zone}/{machine.equipment}")
            lives = np.full(count, number)
            self.parts.append((base[kept], ends[life][kept], lives, rows[kept], left[life][kept], group))

    def examples(self) -> Examples:
        empty = (np.empty(0, np.int64),) * 3 + (np.empty((0, len(self.source.inputs())), np.float32),)
        parts = self.parts or [(*empty, np.empty(0), np.empty(0, "<U1"))]
        base, ends, lives, features, left, groups = (np.concatenate(each) for each in zip(*parts, strict=True))
        order = np.lexsort((groups, base))
        width = len(self.source.declared.sensors)
        told = np.isfinite(features[:, :width]).any(axis=0)
        sensors = [name for name, there in zip(self.source.declared.sensors, told.tolist(), strict=True) if there]
        return Examples(
            base_ts=base[order],
            ends=ends[order],
            lives=lives[order],
            features=features[order],
            targets=left[order, None],
            groups=groups[order],
            baselines={},
            left_out={"hours left not known yet": self.censored} if self.censored else {},
            about={"inputs": self.source.inputs(), "sensors": sensors},
        )
