"""Machines hour by hour: what their sensors said, where faults end their lives, and the rows that follow from it.

Training and serving make rows here, of the same hours and in the same way.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ratchet.sensors import faults
from ratchet.sensors.hours import Hours
from ratchet.sensors.layout import FAILURE, Layout
from ratchet.sources import Sensor, SensorFiles

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Machine:
    """T hours since the epoch, int64, growing; `values` and `outside` float64 [T, sensors], NaN where one was silent.

    `faulty` are the hours that belong to a fault, bool [T].
    """

    zone: str
    equipment: str
    hours: NDArray[np.int64]
    values: Floats
    outside: Floats
    faulty: NDArray[np.bool_]

    def lives(self) -> Iterator[slice]:
        """The hours of each life, in order."""
        numbers = faults.lives(self.faulty)
        edges = np.flatnonzero(np.diff(numbers)) + 1
        bounds = [0, *edges.tolist(), len(numbers)]
        for first, end in pairwise(bounds):
            if end > first:
                yield slice(first, end)

    def present(self, sensors: Sequence[str], rows: slice = slice(None)) -> list[str]:
        """The sensors that said something in those hours."""
        told = np.isfinite(self.values[rows]).any(axis=0)
        return [name for name, there in zip(sensors, told.tolist(), strict=True) if there]


def layout_of(source: SensorFiles, time_zone: str) -> Layout:
    """The layout of a declared source; failures that are reported are a sensor of their own there, the last one."""
    sensors = dict(source.sensors)
    if source.failures:
        sensors[FAILURE] = Sensor(source.failures)
    return Layout(sensors, source.category, time_zone)


def machines(found: Hours, source: SensorFiles) -> list[Machine]:
    """Every machine with hours in which a sensor said something or a failure was reported, in order of their names."""
    named, sums = found.sums()
    if sums is None:
        return []
    made = []
    for number in sorted(range(len(named)), key=named.__getitem__):
        first, end = np.searchsorted(sums.machine, [number, number + 1])
        if first == end:
            continue
        ours = slice(int(first), int(end))
        hours, row = np.unique(sums.hour[ours], return_inverse=True)
        values, outside = (np.full((len(hours), len(found.layout.sensors)), np.nan) for _ in range(2))
        values[row, sums.sensor[ours]] = sums.mean[ours]
        outside[row, sums.sensor[ours]] = sums.outside[ours] / sums.count[ours]
        width = len(source.sensors)
        reported = hours[np.isfinite(values[:, width:]).any(axis=1)]
        faulty = faults.faults(hours, outside[:, :width], reported, source.fault)
        made.append(Machine(*named[number], hours, values[:, :width], outside[:, :width], faulty))
    return made
