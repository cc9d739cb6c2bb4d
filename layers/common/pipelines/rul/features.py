"""The inputs of `rul`: hourly rows of one machine, looked at backwards alone; the same for training and serving.

A life is what a machine does from its first hour, or the end of a fault, to the next fault. numpy only, no input or
output.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from ratchet.errors import BadInput
from ratchet.sources import Windows

POWER = ("active_power", "reactive_power")
"""Sensors that together have a power factor."""
Floats = NDArray[np.float64]


def names(sensors: Sequence[str], windows: Windows) -> list[str]:
    """The columns of `of_life`, in order; the shortest window has the names without a number."""
    told = [*sensors]
    for hours in windows.rolling:
        number = "" if hours == windows.rolling[0] else f"_{hours}"
        for measure in ("rollmean", "rollstd", "drift"):
            told += [f"{sensor}_{measure}{number}" for sensor in sensors]
    return [*told, *(["power_factor"] if set(POWER) <= set(sensors) else []), "hours_running"]


def of_life(hours: NDArray[np.int64], values: Floats, sensors: Sequence[str], windows: Windows) -> NDArray[np.float32]:
    """float32 [T, columns] for a life of T hours (int64, growing, gaps allowed) and values float64 [T, sensors].

    What a sensor did not say stays NaN and takes no part in a mean. A row looks at its own hour and those before it, no
    further back than `windows.history`, from where on a longer life counts as begun. Raises BadInput for hours that do
    not grow and for another number of values.
    """
    if values.shape != (len(hours), len(sensors)) or (np.diff(hours) <= 0).any():
        raise BadInput(f"A life takes growing hours and [{len(hours)}, {len(sensors)}] values, not {values.shape}.")
    if not len(hours):
        return np.empty((0, len(names(sensors, windows))), np.float32)
    columns = [values]
    begun = hours[np.searchsorted(hours, hours - windows.history, "right")]
    reference = _reference(hours, values, begun, windows.reference)
    seen = _backwards(hours, values, max(windows.rolling))
    for back in windows.rolling:
        mean, std = _statistics(seen[:, :back])
        columns += [mean, std, mean - reference]
    if set(POWER) <= set(sensors):
        columns.append(_power_factor(*(values[:, list(sensors).index(name)] for name in POWER)))
    columns.append((hours - begun)[:, None].astype(np.float64))
    return np.concatenate(columns, axis=1).astype(np.float32)


def _backwards(hours: NDArray[np.int64], values: Floats, back: int) -> Floats:
    """[T, back, sensors]: the values of each row's hour, of the hour before it and so on; NaN where there is no row."""
    return _at(hours, values, hours[:, None] - np.arange(back))


def _at(hours: NDArray[np.int64], values: Floats, wanted: NDArray[np.int64]) -> Floats:
    """[T, N, sensors]: the values of the hours `wanted` [T, N], none after a row's own; NaN where there is no row."""
    at = np.searchsorted(hours, np.minimum(wanted, hours[:, None]))
    there = hours[at] == wanted
    return np.where(there[:, :, None], values[at], np.nan)


def _statistics(seen: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation over the hours; NaN where none has a value."""
    known = np.isfinite(seen)
    count = known.sum(axis=1)
    with np.errstate(invalid="ignore"):
        mean = np.where(known, seen, 0).sum(axis=1) / count
        away = np.where(known, seen - mean[:, None], 0)
        return mean, np.sqrt(np.square(away).sum(axis=1) / count)


def _reference(hours: NDArray[np.int64], values: Floats, begun: NDArray[np.int64], first: int) -> Floats:
    """[T, sensors]: the mean of the first hours from `begun` [T] on, as far as they have passed."""
    return _statistics(_at(hours, values, begun[:, None] + np.arange(first)))[0]


def _power_factor(active: Floats, reactive: Floats) -> Floats:
    """P / √(P² + Q²), between 0 and 1 for what consumes power; NaN without power."""
    with np.errstate(invalid="ignore"):
        factor: Floats = active / np.hypot(active, reactive)
    return factor[:, None]
