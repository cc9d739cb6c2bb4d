"""Meter files as a source: a CSV file is a part, its rows are steps of a forecast (`ratchet.files.kind`)."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ratchet.catalog import Pipeline
from ratchet.errors import BadInput, SourceMismatch
from ratchet.extraction.source import EPOCH, Rejected
from ratchet.files.kind import Content, Examples
from ratchet.files.part import Part
from ratchet.files.span import Span
from ratchet.meters import readings
from ratchet.meters.forecast import Forecast
from ratchet.meters.layout import Layout
from ratchet.meters.readings import Aside, Readings
from ratchet.meters.series import Series
from ratchet.meters.steps import MICROS_PER_MINUTE, Steps
from ratchet.records import record
from ratchet.sources import MeterFiles
from ratchet.store import Listed, ObjectStore

STEPS = (15, 20, 30, 60, 120, 180, 240, 360, 720, 1440)
"""Minutes: what divides a day."""
FIRST_LINE = 4096
SCHEMA = pa.schema([("at", pa.timestamp("us", "UTC")), ("value", pa.float64()), ("count", pa.int64())])


@dataclass(frozen=True)
class File:
    """What is told of a part: its file, and how many days of the clock in UTC have readings."""

    file: str
    step_minutes: int
    days: int


class Source:
    """The meter files of a pipeline."""

    table = "readings"
    schema = SCHEMA

    def __init__(self, pipeline: Pipeline) -> None:
        """Raises BadConfiguration for layouts or a zone that make no sense."""
        self.pipeline = pipeline
        self.declared = pipeline.source_as(MeterFiles)
        self.prefix = self.declared.prefix
        self.layouts = {
            name: Layout(**vars(each), time_zone=pipeline.time_zone) for name, each in self.declared.layouts.items()
        }

    @property
    def reads(self) -> str:
        """The layouts and the finest step."""
        return repr((self.layouts, self.declared.step_minutes))

    def span(self, run_ts: str, month: str | None) -> Span:
        """Everything: what a forecast looks at lies years back."""
        return Span()

    def plan(self, files: ObjectStore, span: Span) -> dict[str, list[Listed]]:
        """Each CSV file by itself."""
        return {part_name(each.key): [each] for each in files.list(self.prefix) if is_meter_file(each.key)}

    def name_of(self, asked: str) -> str:
        """The part of a file, by its key."""
        return part_name(asked) if asked.startswith(self.prefix) else asked

    def files_of(self, files: ObjectStore, name: str) -> list[Listed]:
        """The file of a part, none where it is gone."""
        return self.plan(files, Span()).get(name, [])

    def read(self, files: ObjectStore, listed: list[Listed]) -> Content:
        """What the file's readings come to by steps; a block of it is in memory at a time. Raises SourceMismatch."""
        if not listed:
            step = self.declared.step_minutes
            rows = SCHEMA.with_metadata({"step_minutes": str(step)}).empty_table()
            return Content(rows, 0, {}, {}, asdict(File("", step, 0)), [])
        key, aside = listed[0].key, Aside()
        with TemporaryDirectory() as folder:
            path = Path(folder, "readings.csv")
            if files.download(key, path) is None:
                raise BadInput(f"{key} is gone; put it there again.")
            layout = self._layout(path, key)
            blocks = readings.read(path, layout, aside)
            first = next(blocks, Readings(np.empty(0, np.int64), np.empty(0)))
            step = max(self.declared.step_minutes, own_step(first.at))
            steps, records = Steps(step), 0
            for block in _with(first, blocks):
                steps.add(block)
                records += len(block.at)
        at, mean, count = steps.series()
        known = count > 0
        columns = [pa.array(at[known], SCHEMA.field("at").type), mean[known] * layout.factor, count[known]]
        rows = pa.Table.from_arrays(columns, schema=SCHEMA.with_metadata({"step_minutes": str(step)}))
        lines = [Rejected("", reason, line) for reason, line in aside.lines]
        about = asdict(File(key, step, len(np.unique(at[known] // DAY))))
        return Content(rows, records, {}, dict(aside.counts), about, lines)

    def fault(self, rows: pa.Table) -> str | None:
        """Steps are named, each once, in order, and have readings."""
        if any(column.null_count for column in rows.columns):
            return "it holds nulls"
        if (np.diff(rows["at"].cast(pa.int64()).to_numpy()) <= 0).any():
            return "its steps are not in order"
        told = (rows.schema.metadata or {}).get(b"step_minutes")
        least = self.declared.step_minutes
        steps = [str(step).encode() for step in (least, *STEPS) if step >= least]
        return None if told in steps else "its step is none that a file has"

    def shortage(self, parts: Mapping[str, Part]) -> str | None:
        """Days with readings, by files. Raises ForeignDocument."""
        days = sum(record(File, part.about, f"{name}.json").days for name, part in parts.items())
        if days >= self.declared.minimum_days:
            return None
        records = sum(part.records for part in parts.values())
        aside = Counter[str]()
        for part in parts.values():
            aside.update(part.rejected)
        told = f"; {aside.total():,} lines were rejected" if aside else ""
        return (
            f"There are {records:,} readings of {days:,} days in {len(parts):,} files below {self.prefix}"
            f" ({self.declared.minimum_days} days needed){told}."
        )

    def examples(self, parts: Iterator[pa.Table], span: Span, until: datetime) -> Examples:
        """A row per origin and horizon whose outcome is known at `until`."""
        series = Series.of(parts)
        first, last = (EPOCH + timedelta(microseconds=each) for each in (series.start, series.end))
        # By name: scoring reads parts too, and does without the library, since the model has its days.
        calendar = import_module("ratchet.meters.calendar")
        days = calendar.holidays_of(self.declared.holidays, first.year, last.year)
        return Forecast(self.pipeline, series.step_minutes, days).examples(series, until)

    def _layout(self, path: Path, key: str) -> Layout:
        """The layout whose columns the first line names. Raises SourceMismatch."""
        with path.open("rb") as file:
            line = file.readline(FIRST_LINE).decode("utf-8-sig", errors="replace").strip()
        for layout in self.layouts.values():
            columns = [column.strip().strip('"') for column in line.split(layout.delimiter)]
            if {*layout.time, layout.value} <= set(columns):
                return layout
        wanted = "; ".join(
            f"{name}: {layout.delimiter.join([*layout.time, layout.value])}" for name, layout in self.layouts.items()
        )
        raise SourceMismatch(
            f"The first line of {key} ({line[:120]!r}) has the columns of no layout ({wanted}): correct the file or "
            "source.layouts in pipeline.yaml."
        )


DAY = 1440 * MICROS_PER_MINUTE


def is_meter_file(key: str) -> bool:
    """Whether a key is that of readings."""
    return key.lower().endswith((".csv", ".txt"))


def part_name(key: str) -> str:
    """A part's name: that of its file may hold anything."""
    return f"file={hashlib.sha256(key.encode()).hexdigest()[:16]}"


def own_step(at: NDArray[np.int64]) -> int:
    """Minutes from one reading to the next, as most are, rounded up to what divides a day."""
    gaps = np.diff(at)
    usual = int(np.median(gaps[gaps > 0])) // MICROS_PER_MINUTE if (gaps > 0).any() else 0
    return next((step for step in STEPS if step >= usual), STEPS[-1])


def _with(first: Readings, rest: Iterator[Readings]) -> Iterator[Readings]:
    yield first
    yield from rest
