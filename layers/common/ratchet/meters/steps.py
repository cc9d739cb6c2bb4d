"""What the readings of a step come to: the mean of those that there are, and how many there are."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ratchet.meters.readings import Readings

MICROS_PER_MINUTE = 60_000_000


@dataclass
class Steps:
    """Sums per step of `minutes`, taken in block by block."""

    minutes: int
    _sums: dict[int, tuple[float, int]] = field(default_factory=dict)

    def add(self, found: Readings) -> None:
        """Takes readings in; one that the meter had not counts as none."""
        known = np.isfinite(found.value)
        steps = found.at // (self.minutes * MICROS_PER_MINUTE)
        places, which = np.unique(steps, return_inverse=True)
        totals = np.bincount(which, np.where(known, found.value, 0), len(places))
        counts = np.bincount(which, known, len(places)).astype(np.int64)
        for place, total, count in zip(places.tolist(), totals.tolist(), counts.tolist(), strict=True):
            before, seen = self._sums.get(place, (0.0, 0))
            self._sums[place] = (before + total, seen + count)

    def series(self) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        """Microseconds since the epoch of every step from the first to the last, its mean (NaN of none), its count."""
        if not self._sums:
            return np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64)
        first, last = min(self._sums), max(self._sums)
        sums, counts = np.zeros(last - first + 1), np.zeros(last - first + 1, np.int64)
        for place, (total, count) in self._sums.items():
            sums[place - first], counts[place - first] = total, count
        with np.errstate(invalid="ignore"):
            mean = sums / counts
        return np.arange(first, last + 1) * self.minutes * MICROS_PER_MINUTE, mean, counts
