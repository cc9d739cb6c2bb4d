"""The landed readings of a meter as one series: a value per step, NaN where there is none."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ratchet.meters.steps import MICROS_PER_MINUTE


@dataclass(frozen=True)
class Series:
    """`values` float64 [T]; value i is of the step from `start` + i steps on, microseconds since the epoch."""

    start: int
    step_minutes: int
    values: NDArray[np.float64]

    @property
    def step(self) -> int:
        """Microseconds."""
        return self.step_minutes * MICROS_PER_MINUTE

    @property
    def end(self) -> int:
        """Where the last step ends."""
        return self.start + len(self.values) * self.step

    @classmethod
    def of(cls, parts: Iterable[pa.Table]) -> "Series":
        """Of parts in the order of their names, each of a step of its own; the coarsest is the series'.

        Where parts overlap, the later one's values stand.
        """
        tables = [part for part in parts if part.num_rows]
        if not tables:
            return cls(0, 1440, np.empty(0))
        columns = [
            (table["at"].cast(pa.int64()).to_numpy(), table["value"].to_numpy(), table["count"].to_numpy())
            for table in tables
        ]
        step = max(int(table.schema.metadata[b"step_minutes"]) for table in tables) * MICROS_PER_MINUTE
        first = min(int(at.min()) for at, _, _ in columns) // step
        last = max(int(at.max()) for at, _, _ in columns) // step
        values = np.full(last - first + 1, np.nan)
        for at, value, count in columns:
            place = at // step - first
            sums, counts = (np.bincount(place, weight, len(values)) for weight in (value * count, count))
            known = counts > 0
            values[known] = sums[known] / counts[known]
        return cls(first * step, step // MICROS_PER_MINUTE, values)
