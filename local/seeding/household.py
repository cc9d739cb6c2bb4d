"""`seed energy`: a household that never was, on the clock of its site, as a meter's file.

Base load, mornings and evenings, weekends, a heated winter, chance, and stretches without a reading.
"""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from ratchet.catalog import Pipeline
from ratchet.instants import Clock, utc_now
from ratchet.sources import MeterFiles, MeterLayout
from ratchet.store import ObjectStore

from local.seeding.destinations import Marker
from local.seeding.meters import Counts, Made, MeterReport, land
from local.seeding.uploads import Clear, Progress

Floats = NDArray[np.float64]
LAYOUT = "uci"
BESIDE = ("Global_reactive_power", "Voltage", "Global_intensity", "Sub_metering_1", "Sub_metering_2", "Sub_metering_3")
SILENT_EVERY_DAYS, SILENT_HOURS = 45, 30
"""From one stretch without readings to the next, and how long the longest lasts."""
NOISE, NOISE_HOURS = 0.45, 1.5
"""Of the logarithm of the power, and in which it forgets itself by a factor of e."""


def seed_household(
    store: ObjectStore,
    pipeline: Pipeline,
    clear: Clear,
    *,
    days: int = 730,
    seed: int = 42,
    progress: Progress = lambda line: None,
    clock: Clock = utc_now,
) -> MeterReport:
    """So many days up to now, a reading for each step of the source that has ended. Raises Unavailable."""
    source = pipeline.source_as(MeterFiles)
    progress(f"Simulating {days} days of a household")
    begins = _begins(clock(), days, source.step_minutes)
    walls = [at.astimezone(ZoneInfo(pipeline.time_zone)).replace(tzinfo=None) for at in begins]
    chance = np.random.default_rng(seed)
    kilowatts, silent = power(walls, source.step_minutes, chance), _silent(len(walls), source.step_minutes, chance)
    counts = Counts(len(walls), first=walls[0], last=walls[-1])
    marker = Marker(True, f"a simulated household (seed {seed})")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "household.csv"
        lines = _lines(source.layouts[LAYOUT], walls, np.where(silent, np.nan, kilowatts), source.step_minutes)
        path.write_text("".join(lines))
        return land(store, pipeline, clear, Made(path, counts, 0, marker), progress)


def power(walls: list[datetime], minutes: int, chance: np.random.Generator) -> Floats:
    """kW at the beginnings of steps on the clock of the site, float64 [T]."""
    hour = np.array([at.hour + at.minute / 60 for at in walls])
    weekend = np.array([at.weekday() >= 5 for at in walls])
    winter = np.array([0.5 + 0.5 * np.cos(2 * np.pi * (at.timetuple().tm_yday - 15) / 365.25) for at in walls])
    morning = _bump(hour, np.where(weekend, 9.5, 7.25), 1.1) * np.where(weekend, 0.9, 1.1)
    evening = _bump(hour, 20.0, 2.0) * (1.3 + 0.9 * winter)
    noon = _bump(hour, 13.0, 2.0) * np.where(weekend, 0.8, 0.2)
    heating = 0.7 * winter * (1 - 0.5 * _bump(hour, 3.0, 3.0))
    return np.maximum(0.08, (0.25 + heating + morning + noon + evening) * np.exp(_noise(len(walls), minutes, chance)))


def _bump(hour: Floats, at: Floats | float, width: float) -> Floats:
    """Around an hour of the day, 1 at its top."""
    away = (hour - at + 12) % 24 - 12
    top: Floats = np.exp(-0.5 * np.square(away / width))
    return top


def _noise(count: int, minutes: int, chance: np.random.Generator) -> Floats:
    """An Ornstein-Uhlenbeck process."""
    keep = float(np.exp(-minutes / 60 / NOISE_HOURS))
    path, value = np.empty(count), chance.standard_normal()
    for row, shock in enumerate((np.sqrt(1 - keep**2) * chance.standard_normal(count)).tolist()):
        value = keep * value + shock
        path[row] = value
    return NOISE * path


def _silent(count: int, minutes: int, chance: np.random.Generator) -> NDArray[np.bool_]:
    """Steps without a reading, in stretches."""
    silent = np.zeros(count, np.bool_)
    for begin in np.flatnonzero(chance.random(count) < minutes / 1440 / SILENT_EVERY_DAYS).tolist():
        silent[begin : begin + int(chance.integers(1, SILENT_HOURS * 60 // minutes))] = True
    return silent


def _begins(now: datetime, days: int, minutes: int) -> list[datetime]:
    """The instants at which the steps begin, of which the last has ended."""
    step = timedelta(minutes=minutes)
    end = datetime(1970, 1, 1, tzinfo=UTC) + (now - datetime(1970, 1, 1, tzinfo=UTC)) // step * step
    count = days * 1440 // minutes
    return [end - (count - row) * step for row in range(count)]


def _lines(layout: MeterLayout, walls: list[datetime], kilowatts: Floats, minutes: int) -> Iterator[str]:
    """The file: an hour that comes twice in a year is there twice, one that is skipped is not."""
    of = layout.delimiter
    yield of.join([*layout.time, layout.value, *BESIDE]) + "\n"
    watt_hours = kilowatts * 1000 * minutes / 60
    beside = (0.12 * kilowatts, 241 - 0.8 * kilowatts, kilowatts * 1000 / 240, *np.outer((0.1, 0.1, 0.4), watt_hours))
    texts = zip(*(np.round(column, 3).tolist() for column in (kilowatts, *beside)), strict=True)
    silent = of.join([layout.missing[0]] * len(BESIDE)) + of
    for at, numbers in zip(walls, texts, strict=True):
        told = silent if numbers[0] != numbers[0] else of.join([f"{number:.3f}" for number in numbers])
        yield at.strftime(layout.time_format).replace(" ", of) + of + told + "\n"
