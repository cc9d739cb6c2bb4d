"""`seed rul`: a history of sensor files, of simulated machines or of whatever recordings are handed over.

The marker comes last, so that half a seed carries none.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from ratchet.catalog import Pipeline
from ratchet.errors import BadConfiguration
from ratchet.instants import Clock, utc_now
from ratchet.sources import SensorFiles
from ratchet.store import ObjectStore

from local.seeding import wear
from local.seeding.destinations import Marker
from local.seeding.recordings import EPOCH, Channel, Recording, files
from local.seeding.uploads import Clear, Progress, mark, upload

ZONES = 3
HEALTHY = 6
"""Each so many-th machine never wears."""
OTHERS = 36
"""Samples of the machines from one record of another category to the next."""
JITTER_MICROS = 5_000_000
NAMES = {
    "temp": "UA10T-TEM",
    "humid": "UA10H-HUM",
    "pressure": "UA10H-PRS",
    "vibration": "UA10V-VIB",
    "active_power": "UA10P-PWR",
    "reactive_power": "UA10P-PWR",
}


@dataclass(frozen=True)
class SensorReport:
    """What was written; `records` are those of the pipeline's category, `others` those that it ignores."""

    files: int
    records: int
    others: int
    machines: int
    first: datetime
    last: datetime
    synthetic: bool
    source: str
    lives: int
    """Those that the history shows some of."""
    faults: int
    """Those that the history shows in full, or that are reported."""


@dataclass(frozen=True)
class History:
    """A machine's recording and what happens in it."""

    recording: Recording
    lives: int
    faults: int


def seed_machines(
    store: ObjectStore,
    pipeline: Pipeline,
    clear: Clear,
    *,
    machines: int = 24,
    days: int = 24,
    every_minutes: int = 10,
    seed: int = 42,
    progress: Progress = lambda line: None,
    clock: Clock = utc_now,
) -> SensorReport:
    """Simulated machines, up to the current hour. Raises BadConfiguration where a sensor has no range, Unavailable."""
    source = pipeline.source_as(SensorFiles)
    fleet = Fleet(machines, days, every_minutes, {name: _range(source, name) for name in wear.SENSORS}, clock(), seed)
    progress(f"Simulating {days} days of {machines} machines")
    histories = (fleet.history(number) for number in range(machines))
    marker = Marker(True, f"simulated machines (seed {seed})")
    return write(store, pipeline, clear, histories, marker, seed, progress)


def write(
    store: ObjectStore,
    pipeline: Pipeline,
    clear: Clear,
    histories: Iterable[History],
    marker: Marker,
    seed: int,
    progress: Progress,
) -> SensorReport:
    """The files of one machine after the other, in place of what was there, then the marker. Raises Unavailable."""
    source = pipeline.source_as(SensorFiles)
    seen = _Seen(source.category)

    def bodies() -> Iterator[tuple[str, bytes]]:
        for history in histories:
            seen.add(history)
            yield from files(history.recording, source.prefix, pipeline.time_zone, seed)

    clear()
    written = upload(store, bodies(), progress)
    mark(store, source.prefix, marker)
    return SensorReport(
        files=written,
        records=seen.records,
        others=seen.others,
        machines=seen.machines,
        first=_instant(min(seen.edges)),
        last=_instant(max(seen.edges)),
        synthetic=marker.synthetic,
        source=marker.source,
        lives=seen.lives,
        faults=seen.faults,
    )


@dataclass
class _Seen:
    """Sums of the histories that went by; `edges` are their first and last instants."""

    category: str
    records: int = 0
    others: int = 0
    machines: int = 0
    lives: int = 0
    faults: int = 0
    edges: list[int] = field(default_factory=list)

    def add(self, history: History) -> None:
        recording = history.recording
        ours = recording.records(self.category)
        self.records += ours
        self.others += recording.records() - ours
        self.machines += 1
        self.lives += history.lives
        self.faults += history.faults
        self.edges += [int(recording.at[0]), int(recording.at[-1])]


@dataclass(frozen=True)
class Fleet:
    """Simulated machines until `now`, sampled every so many minutes; `ranges` are low and high by sensor."""

    machines: int
    days: int
    every_minutes: int
    ranges: dict[str, tuple[float, float]]
    now: datetime
    seed: int

    def history(self, number: int) -> History:
        """One of the machines; the same seed at the same instant makes the same one."""
        chance = np.random.default_rng([self.seed, number])
        start = self.now.replace(minute=0, second=0, microsecond=0) - timedelta(days=self.days)
        # Counted back from the current hour, which thus has a sample however early in it this is.
        first = self.days * 1440 % self.every_minutes
        minutes = np.arange(first, (self.now - start) // timedelta(minutes=1) + 1, self.every_minutes)
        lives = wear.plan(24 * self.days + 1, number % HEALTHY == HEALTHY - 1, chance)
        values = wear.samples(lives, minutes / 60, self.ranges, chance)
        beside = np.full((len(minutes), 2), np.nan)
        beside[::OTHERS] = chance.normal((22.0, 75.0), (2.0, 8.0), beside[::OTHERS].shape)
        late = chance.integers(0, JITTER_MICROS // 1000, len(minutes)) * 1000
        at = np.minimum(micros(start) + 60_000_000 * minutes + late, micros(self.now))
        zone = f"20250507165750-{1 + number * min(ZONES, self.machines) // self.machines:03d}"
        recording = Recording(
            zone, f"20250507171316-{number + 1:03d}", _channels(number, zone), at, np.hstack([values, beside])
        )
        return History(recording, len(lives), wear.faults(lives, 24 * self.days))


def micros(at: datetime) -> int:
    """Microseconds since the epoch."""
    return (at - EPOCH) // timedelta(microseconds=1)


def _channels(number: int, zone: str) -> tuple[Channel, ...]:
    """The machine's sensors, and what stands beside it: a thermometer of its zone, somebody's watch."""
    ours = [Channel(name, f"{NAMES[name]}-{24060000 + number}", sensor.usual) for name, sensor in wear.SENSORS.items()]
    room = Channel("temp", "UA10T-TEM-24069999", (18.0, 28.0), "ENVIRONMENT", zone)
    return (*ours, room, Channel("heart_rate", f"UW10W-HRT-{24060000 + number}", (50.0, 120.0), "WEARABLE"))


def _range(source: SensorFiles, name: str) -> tuple[float, float]:
    for sensor in source.sensors.values():
        if name in sensor.names and sensor.low is not None and sensor.high is not None:
            return sensor.low, sensor.high
    raise BadConfiguration(f"No sensor of source.sensors in pipeline.yaml is named {name} and has a range: add it.")


def _instant(at: int) -> datetime:
    return EPOCH + timedelta(microseconds=at)
