"""`seed rul --from-cmapss`: NASA's turbofan engines as machines, a cycle an hour, their failures reported.

Engines run to failure at some time of the days that a run learns from; a few others have not failed yet and run until
now, so that there is something to predict.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from ratchet.catalog import Pipeline
from ratchet.errors import BadConfiguration, BadInput
from ratchet.instants import Clock, utc_now
from ratchet.sources import SensorFiles
from ratchet.store import ObjectStore

from local.seeding.destinations import Marker
from local.seeding.recordings import HOUR, Channel, Recording
from local.seeding.sensors import History, SensorReport, micros, write
from local.seeding.uploads import Clear, Progress

SET = "FD001"
SENSORS = 21
COLUMNS = 5 + SENSORS
"""Unit, cycle, three settings, sensors."""
RUNNING = 10
"""Engines that have not failed yet; half of all where these are fewer."""


@dataclass(frozen=True)
class Engine:
    """Cycles from the first on, float64 [cycles, sensors]."""

    name: str
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Engines:
    """Those that ran to failure, and others whose data ends before (none where there was no such file)."""

    failed: list[Engine]
    unfinished: list[Engine]


def read(folder: Path) -> Engines:
    """The engines of `train_FD001.txt`, and of `test_FD001.txt` where it is there. Raises BadInput naming the line."""
    path, beside = folder / f"train_{SET}.txt", folder / f"test_{SET}.txt"
    if not path.is_file():
        raise BadInput(
            f"There is no {path}; name the folder that NASA's C-MAPSS data was unpacked to, with train_{SET}.txt in it."
        )
    return Engines(_engines(path, SET), _engines(beside, f"{SET}-test") if beside.is_file() else [])


def seed_engines(
    store: ObjectStore,
    pipeline: Pipeline,
    clear: Clear,
    engines: Engines,
    *,
    seed: int = 42,
    progress: Progress = lambda line: None,
    clock: Clock = utc_now,
) -> SensorReport:
    """The engines as recordings; see `plan`. Raises BadInput, BadConfiguration, Unavailable."""
    histories = plan(engines, pipeline, clock(), seed)
    progress(f"Writing {len(histories)} engines")
    return write(store, pipeline, clear, histories, Marker(False, f"NASA C-MAPSS {SET}"), seed, progress)


def plan(engines: Engines, pipeline: Pipeline, now: datetime, seed: int) -> list[History]:
    """When each engine runs.

    Failures are spread over the whole days before today that a run looks at, so that these hold every life from its
    first cycle on, in an order drawn from `seed`. Engines of the second file run until the current hour; without one,
    some of the first are cut before they fail. Raises BadInput for a life longer than those days, BadConfiguration.
    """
    source, chance = pipeline.source_as(SensorFiles), np.random.default_rng(seed)
    if not source.failures:
        raise BadConfiguration("source.failures in pipeline.yaml is empty; name the type of records of failures there.")
    failed, running = _shared_out(engines, chance)
    today = now.astimezone(ZoneInfo(pipeline.time_zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    start, end = (micros(each) // HOUR for each in (today - timedelta(days=source.window_days), today))
    longest = max(len(engine.values) for engine in failed)
    if longest > end - start:
        raise BadInput(
            f"An engine runs for {longest} cycles, which {source.window_days} days do not hold: raise "
            "source.window_days in pipeline.yaml, or leave the engine out."
        )
    ends = _ends([len(engine.values) for engine in failed], end - start, chance)
    made = [
        _history(engine, start + last - len(engine.values), source.failures[0])
        for engine, last in zip(failed, ends, strict=True)
    ]
    current = micros(now) // HOUR
    return made + [_history(engine, current + 1 - len(engine.values), None) for engine in running]


def _shared_out(engines: Engines, chance: np.random.Generator) -> tuple[list[Engine], list[Engine]]:
    """Engines that fail, and those that still run."""
    pool = engines.unfinished or engines.failed
    count = min(RUNNING, len(pool) if engines.unfinished else len(pool) // 2)
    picked = chance.choice(len(pool), count, replace=False).tolist()
    if engines.unfinished:
        return engines.failed, [pool[index] for index in picked]
    cut = [Engine(pool[index].name, _begun(pool[index].values, chance)) for index in picked]
    return [engine for index, engine in enumerate(pool) if index not in picked], cut


def _begun(values: NDArray[np.float64], chance: np.random.Generator) -> NDArray[np.float64]:
    """A life up to some place in its middle."""
    return values[: max(1, int(len(values) * chance.uniform(0.4, 0.8)))]


def _ends(lengths: list[int], hours: int, chance: np.random.Generator) -> list[int]:
    """How many of the hours have passed when each life ends, no life begun before the first.

    Places are even from the first possible one on; each is given to a life that is over by then, by lot.
    """
    left: list[int] = chance.permutation(len(lengths)).tolist()
    ends = [0] * len(lengths)
    for place in np.linspace(min(lengths), hours, len(lengths)).astype(int).tolist():
        shortest = min(left, key=lambda life: lengths[life])
        life = next((life for life in left if lengths[life] <= place), shortest)
        ends[life] = max(place, lengths[life])
        left.remove(life)
    return ends


def _history(engine: Engine, first: int, failure: str | None) -> History:
    """An engine whose first cycle is in that hour since the epoch; a failure is reported in the hour of the last."""
    names = [f"sensor_{number}" for number in range(1, SENSORS + 1)]
    channels = [Channel(name, f"{engine.name}-{name}") for name in names]
    values = engine.values
    if failure:
        channels.append(Channel(failure, f"{engine.name}-{failure}", (-np.inf, 1.0)))
        reported = np.full((len(values), 1), np.nan)
        reported[-1] = 1.0
        values = np.hstack([values, reported])
    at = (first + np.arange(len(values))) * HOUR
    return History(Recording(SET, engine.name, tuple(channels), at, values), 1, int(failure is not None))


def _engines(path: Path, name: str) -> list[Engine]:
    with path.open(encoding="utf-8", errors="replace") as file:
        rows = np.array(list(_rows(file, path)))
    if not len(rows):
        raise BadInput(f"{path} is empty; unpack it again.")
    begins = np.flatnonzero(rows[:, 1] == 1).tolist()
    parts = zip(begins, [*begins[1:], len(rows)], strict=True)
    return [Engine(f"{name}-{int(rows[first, 0]):03d}", rows[first:end, 5:]) for first, end in parts]


def _rows(file: Iterator[str], path: Path) -> Iterator[list[float]]:
    """The lines as numbers: unit after unit, cycle after cycle."""
    unit, cycle = 0.0, 0.0
    for number, line in enumerate(file, 1):
        where, texts = f"{path}, line {number}", line.split()
        if len(texts) != COLUMNS:
            raise BadInput(f"{where} has {len(texts)} numbers, not {COLUMNS}; take the file as NASA published it.")
        try:
            row = [float(text) for text in texts]
        except ValueError as error:
            raise BadInput(f"{where}: {error}; take the file as NASA published it.") from error
        if not np.isfinite(row).all() or (row[0], row[1]) not in ((unit, cycle + 1), (unit + 1, 1.0)):
            raise BadInput(f"{where} does not follow on the line before; take the file as NASA published it.")
        unit, cycle = row[0], row[1]
        yield row
