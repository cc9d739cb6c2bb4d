"""Machines that wear out, as numbers: from a repair their sensors drift, slowly and then faster, until a fault. Pure.

Everything is reckoned in spreads off a sensor's mean and in hours since the history begins.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sensor:
    """A sensor of the field in its own unit: a normal distribution between `least` and `most`, and its outliers.

    `outliers` is the share of samples that read 80 to 100 % of `most` whatever the machine does; wear moves the others
    up (1) or down (-1). `usual` is the range by which the field flags a sample.
    """

    mean: float
    spread: float
    least: float
    most: float
    outliers: float
    usual: tuple[float, float]
    wears: int = 1


SENSORS = {
    "temp": Sensor(71, 10, 10, 150, 0.05, (61, 81)),
    "humid": Sensor(50.02, 11.84, 10, 90, 0.05, (38.18, 61.86)),
    "pressure": Sensor(35.74, 10.38, 3.5, 80, 0.05, (25.36, 46.12), wears=-1),
    "vibration": Sensor(1.61, 0.73, -0.5, 5, 0.05, (0.88, 2.34)),
    "active_power": Sensor(53237, 38263, 0, 250_000, 0.005, (14974, 91500)),
    "reactive_power": Sensor(29018, 19247, 0, 480_000, 0.005, (9771, 48265)),
}
MEAN, SPREAD, LEAST, MOST, WEARS = np.array(
    [(each.mean, each.spread, each.least, each.most, each.wears) for each in SENSORS.values()], np.float64
).T
LIFE_HOURS = (60, 220)
FAULT_HOURS = (2, 4)
PACE_HOURS = (25.0, 55.0)
"""In which wear grows by a factor of e."""
NOISE, CUT = 0.9, 2.5
"""Spread of the mean-reverting part of a sample, and where it is cut off in such spreads: with a level it stays within
3 spreads, the range of a sound machine, so that no chance makes a fault."""
NOISE_HOURS = 0.3
"""In which that part forgets itself by a factor of e."""
LEVEL, SHIFT = 0.2, 0.1
"""How far a machine's level lies off the mean at most, and how far a repair moves it."""
SHORT = 1.4
"""What the worst sensor still lacks to its limit just before the fault."""


@dataclass(frozen=True)
class Life:
    """From a repair to the end of the fault that follows, in whole hours; infinite ones have no fault.

    `levels` [sensors] are where the sensors begin; `drift` is the share of the way to its limit that each has gone when
    the machine fails, 1 for the one that then leaves its range.
    """

    begins: float
    fails: float
    ends: float
    pace: float
    levels: Floats
    drift: Floats


def plan(hours: int, healthy: bool, chance: np.random.Generator) -> list[Life]:
    """The lives of a machine over so many hours; the first began before, the last may end after."""
    width = len(SENSORS)
    machine = chance.uniform(-LEVEL, LEVEL, width)
    if healthy:
        return [Life(0, np.inf, np.inf, 1.0, machine, np.zeros(width))]
    made: list[Life] = []
    begins = -int(0.9 * chance.random() * chance.integers(*LIFE_HOURS, endpoint=True))
    while begins < hours:
        fails = begins + int(chance.integers(*LIFE_HOURS, endpoint=True))
        if fails <= 0:
            continue
        ends = fails + int(chance.integers(*FAULT_HOURS, endpoint=True))
        levels = machine + chance.uniform(-SHIFT, SHIFT, width)
        made.append(Life(begins, fails, ends, chance.uniform(*PACE_HOURS), levels, _drift(width, chance)))
        begins = ends
    return made


def _drift(width: int, chance: np.random.Generator) -> Floats:
    """One sensor wears out, one or two more tell of it."""
    drift = np.zeros(width)
    first, *others = chance.choice(width, chance.integers(2, 3, endpoint=True), replace=False).tolist()
    drift[others] = chance.uniform(0.5, 0.9, len(others))
    drift[first] = 1.0
    return drift


def faults(lives: list[Life], hours: int) -> int:
    """How many faults the history shows in full."""
    return sum(life.ends <= hours for life in lives)


def samples(
    lives: list[Life], hours: Floats, ranges: Mapping[str, tuple[float, float]], chance: np.random.Generator
) -> Floats:
    """float64 [T, sensors] in the order of `SENSORS` at T growing hours; `ranges` are low and high by sensor."""
    ends = np.array([ranges[name][each.wears > 0] for name, each in SENSORS.items()])
    limits = WEARS * (ends - MEAN) / SPREAD
    found = _reverting(hours, chance)
    broken = np.zeros(found.shape, np.bool_)
    for life in lives:
        now = (hours >= life.begins) & (hours < life.ends)
        broken[now] = (hours[now] >= life.fails)[:, None] & (life.drift == 1)
        found[now] = np.where(broken[now], _beyond(limits, found[now]), found[now] + _worn(life, limits, hours[now]))
    values = np.clip(MEAN + SPREAD * found, LEAST, MOST)
    wild = _outliers(len(hours), chance) & ~broken
    return np.asarray(np.where(wild, chance.uniform(0.8, 1.0, wild.shape) * MOST, values))


def _worn(life: Life, limits: Floats, hours: Floats) -> Floats:
    """Where the sensors are without noise: wear grows exponentially until the fault, and stays until the repair."""
    way = life.drift * (limits - SHORT - WEARS * life.levels)
    left = np.maximum(life.fails - hours, 0)[:, None]
    worn: Floats = life.levels + WEARS * way * np.exp(-left / life.pace)
    return worn


def _beyond(limits: Floats, noise: Floats) -> Floats:
    """Out of range with certainty."""
    out: Floats = WEARS * (limits + 0.3 + np.abs(noise))
    return out


def _reverting(hours: Floats, chance: np.random.Generator) -> Floats:
    """An Ornstein-Uhlenbeck process per sensor, cut off, [T, sensors]."""
    keep = np.exp(-np.diff(hours, prepend=hours[:1]) / NOISE_HOURS)
    shocks = np.sqrt(1 - keep**2)[:, None] * chance.standard_normal((len(hours), len(SENSORS)))
    path, value = np.empty_like(shocks), chance.standard_normal(len(SENSORS))
    for row, (kept, shock) in enumerate(zip(keep.tolist(), shocks, strict=True)):
        value = kept * value + shock
        path[row] = value
    cut: Floats = NOISE * np.clip(path, -CUT, CUT)
    return cut


def _outliers(count: int, chance: np.random.Generator) -> NDArray[np.bool_]:
    """Which samples are outliers, [T, sensors].

    From one to the next it takes half to one and a half times the mean: they never come together in a way that would
    look like a fault, however often a sensor is sampled.
    """
    found = np.zeros((count, len(SENSORS)), np.bool_)
    for column, sensor in enumerate(SENSORS.values()):
        mean = 1 / sensor.outliers
        gaps = chance.integers(int(0.5 * mean), int(1.5 * mean), int(2 * count / mean) + 1, endpoint=True)
        at = np.cumsum(gaps)
        found[at[at < count], column] = True
    return found
