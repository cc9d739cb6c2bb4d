"""`seed energy --from-csv`: a meter's file into the bucket, its dates moved by whole weeks so that it ends now.

Weekday and hour stay, and over 16 years nearly the season. What is no reading goes along as it is: that is for the
pipeline to judge. Memory is bounded by a line, not by the file.
"""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from ratchet.catalog import Pipeline
from ratchet.errors import BadInput
from ratchet.instants import Clock, utc_now
from ratchet.sources import MeterFiles
from ratchet.store import ObjectStore

from local.seeding.destinations import Marker
from local.seeding.lines import Lines, layout_of
from local.seeding.uploads import Clear, Progress, mark

WEEK = timedelta(days=7)
HEADER_BYTES = 1 << 16
NAMED = (".csv", ".txt")
"""What the names of a meter's files end in."""
EVERY = 500_000
"""Lines from one line of progress to the next."""


@dataclass(frozen=True)
class MeterReport:
    """What was written; `passed_on` counts lines without an instant, `left_out` readings that would lie after now."""

    files: int
    readings: int
    passed_on: int
    left_out: int
    first: datetime
    last: datetime
    weeks: int
    """By which the dates were moved."""
    synthetic: bool
    source: str


@dataclass
class Counts:
    """What went by; `first` and `last` are of readings, on the clock of the site."""

    readings: int = 0
    passed_on: int = 0
    left_out: int = 0
    first: datetime = datetime.max
    last: datetime = datetime.min

    def add(self, at: datetime) -> None:
        """Counts a reading."""
        self.readings += 1
        if at < self.first:
            self.first = at
        if at > self.last:
            self.last = at


@dataclass(frozen=True)
class MeterFile:
    """A CSV file in one of a source's layouts, and its latest reading on the clock of the site."""

    path: Path
    lines: Lines
    last: datetime


@dataclass(frozen=True)
class Made:
    """A file as it is to land: what is in it, and by how many weeks the dates that were counted have been moved."""

    path: Path
    counts: Counts
    weeks: int
    marker: Marker


def read(path: Path, pipeline: Pipeline, progress: Progress = lambda line: None) -> MeterFile:
    """Finds the layout and the latest reading. Raises BadInput where the file has none, BadConfiguration."""
    if path.suffix.lower() not in NAMED:
        raise BadInput(f"{path.name} would not land: name it as one of {', '.join('*' + each for each in NAMED)}.")
    counts = Counts()
    with path.open("rb") as file:
        layout, header = layout_of(file.readline(HEADER_BYTES), pipeline.source_as(MeterFiles).layouts)
        lines = Lines(layout, header)
        for _ in moved(file, lines, 0, datetime.max, counts, progress):
            pass
    if not counts.readings:
        raise BadInput(f"No line of {path} has a time like {layout.time_format}; is it another kind of file?")
    return MeterFile(path, lines, counts.last)


def seed_file(
    store: ObjectStore,
    pipeline: Pipeline,
    clear: Clear,
    file: MeterFile,
    *,
    shift: bool = True,
    progress: Progress = lambda line: None,
    clock: Clock = utc_now,
) -> MeterReport:
    """Its readings moved so that they reach now and end there, or all as they are. Raises BadInput, Unavailable."""
    now = clock().astimezone(ZoneInfo(pipeline.time_zone)).replace(tzinfo=None)
    weeks = -((file.last - now) // WEEK) if shift else 0
    marker, counts = Marker(False, f"readings of {file.path.name}"), Counts()
    with tempfile.TemporaryDirectory() as folder, file.path.open("rb") as read_from:
        made = Path(folder) / file.path.name
        with made.open("wb") as written:
            written.write(read_from.readline(HEADER_BYTES))
            until = now if shift else datetime.max
            written.writelines(moved(read_from, file.lines, weeks, until, counts, progress))
        return land(store, pipeline, clear, Made(made, counts, weeks, marker), progress)


def moved(
    file: Iterable[bytes], lines: Lines, weeks: int, until: datetime, counts: Counts, progress: Progress
) -> Iterator[bytes]:
    """The lines after the header with their dates moved, without readings after `until`; others as they are."""
    days, latest = 7 * weeks, until - weeks * WEEK if weeks else until
    for number, line in enumerate(file, 1):
        if number % EVERY == 0:
            progress(f"{number:,} lines read")
        reading = lines.read(line)
        if reading is None:
            counts.passed_on += 1
            yield line
        elif reading[1] > latest:
            counts.left_out += 1
        else:
            counts.add(reading[1])
            yield lines.moved(reading[0], days) if days else line


def land(store: ObjectStore, pipeline: Pipeline, clear: Clear, made: Made, progress: Progress) -> MeterReport:
    """Writes a file in place of what was there. Raises BadInput where there are no readings, Unavailable."""
    counts, marker = made.counts, made.marker
    if not counts.readings:
        raise BadInput(f"No reading of {made.path.name} lies before now; --no-shift leaves the dates as they are.")
    prefix, zone = pipeline.source_as(MeterFiles).prefix, ZoneInfo(pipeline.time_zone)
    progress(f"Writing {counts.readings:,} readings")
    clear()
    # Before the file, which lands as soon as it is created, with what the marker says then.
    mark(store, prefix, marker)
    store.upload(made.path, f"{prefix}{made.path.name}")
    first, last = (
        (each + made.weeks * WEEK).replace(tzinfo=zone).astimezone(UTC) for each in (counts.first, counts.last)
    )
    told = counts.readings, counts.passed_on, counts.left_out
    return MeterReport(1, *told, first, last, made.weeks, marker.synthetic, marker.source)
