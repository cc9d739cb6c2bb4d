"""Rows of a forecast: origins of a series with their horizons, their outcomes and the naive answers to them.

Training makes rows of many origins here, serving those of the last one: the same code sees the same past.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ratchet.catalog import Pipeline
from ratchet.errors import BadConfiguration
from ratchet.extraction.source import EPOCH
from ratchet.files.kind import Examples
from ratchet.meters.series import Series
from ratchet.meters.steps import MICROS_PER_MINUTE
from ratchet.sources import MeterFiles

DAY_MINUTES, WEEK_MINUTES = 1440, 10080
BASELINES = {"yesterday": DAY_MINUTES, "last_week": WEEK_MINUTES}
"""Seasonal-naive answers: the value so many minutes before the outcome."""


@dataclass(frozen=True)
class Forecast:
    """How a pipeline forecasts a series of that step."""

    pipeline: Pipeline
    step_minutes: int
    holidays: frozenset[str] = frozenset()
    """Local dates."""

    @property
    def shape(self) -> Any:
        """What the features look at, in steps. Raises BadConfiguration where minutes are no whole steps."""
        declared, step = self.pipeline.source_as(MeterFiles), self.step_minutes
        minutes = [declared.horizon_minutes, declared.season_minutes, *declared.windows_minutes]
        if any(each % step for each in [*minutes, *declared.around_minutes]):
            raise BadConfiguration(f"Minutes in source of {self.pipeline.name} must be multiples of the step, {step}.")
        return self.pipeline.module("features").Shape(
            step,
            declared.horizon_minutes // step,
            windows=tuple(each // step for each in declared.windows_minutes),
            season=declared.season_minutes // step,
            seasons=declared.seasons,
            around=tuple(each // step for each in declared.around_minutes),
        )

    def inputs(self) -> list[str]:
        """The names of the inputs, in order."""
        return list(self.pipeline.module("features").names(self.shape))

    def rows(self, series: Series, origins: NDArray[np.int64]) -> NDArray[np.float32]:
        """float32 [origins x horizon, inputs]; an origin is the number of the series' values that are known."""
        make, shape = self.pipeline.module("features"), self.shape
        start = EPOCH + timedelta(microseconds=series.start)
        count = len(series.values) + shape.horizon
        wall = make.Wall.of(start, count, self.step_minutes, self.pipeline.time_zone, self.holidays)
        rows: NDArray[np.float32] = make.rows(series.values, wall, origins, shape)
        return rows

    def examples(self, series: Series, until: datetime) -> Examples:
        """A row per origin and horizon whose outcome and naive answers are known; outcomes end before `until`."""
        horizon, values = self.shape.horizon, series.values
        every = max(1, self.pipeline.source_as(MeterFiles).origins_minutes // self.step_minutes)
        # Origins lie on the same instants of the day whatever the series begins with.
        offset = -(series.start // series.step) % every
        last = min(len(values), (int((until - EPOCH).total_seconds()) * 1_000_000 - series.start) // series.step)
        origins = np.arange(offset, last + 1, every)
        origins = origins[origins >= max(1, WEEK_MINUTES // self.step_minutes)]
        target = (origins[:, None] + np.arange(horizon)).ravel()
        outcome = np.full(len(target), np.nan)
        there = target < last
        outcome[there] = values[target[there]]
        naive = {name: _before(values, target, minutes // self.step_minutes) for name, minutes in BASELINES.items()}
        used = {name: naive[name] for name in self.pipeline.gate.baselines if name in naive}
        no_outcome = ~np.isfinite(outcome)
        no_answer = ~np.isfinite(np.array([*used.values(), np.zeros(len(target))])).all(axis=0) & ~no_outcome
        kept = np.flatnonzero(~no_outcome & ~no_answer)
        base = np.repeat(series.start + origins * series.step, horizon)[kept]
        minutes = np.tile(np.arange(1, horizon + 1) * self.step_minutes, len(origins))[kept]
        left_out = {"no outcome": int(no_outcome.sum()), "no naive answer": int(no_answer.sum())}
        return Examples(
            base_ts=base,
            ends=base + minutes * MICROS_PER_MINUTE,
            lives=np.full(len(kept), -1),
            features=self._some(series, origins, kept),
            targets=np.repeat(outcome[kept, None], len(self.pipeline.data.targets), axis=1),
            # It finds no width for no rows.
            groups=np.char.zfill(minutes.astype(str), 4) if len(minutes) else np.empty(0, "<U4"),
            baselines={name: each[kept] for name, each in used.items()},
            left_out={reason: count for reason, count in left_out.items() if count},
            about={
                "inputs": self.inputs(),
                "step_minutes": self.step_minutes,
                "holidays": sorted(self.holidays),
            },
        )

    def _some(self, series: Series, origins: NDArray[np.int64], kept: NDArray[np.int64]) -> NDArray[np.float32]:
        """Those rows of all; a lost clock may have put one reading decades before the others, with nothing between."""
        horizon = self.shape.horizon
        some, place = np.unique(kept // horizon, return_inverse=True)
        rows = self.rows(series, origins[some])
        return np.asarray(rows[place * horizon + kept % horizon])


def _before(values: NDArray[np.float64], target: NDArray[np.int64], steps: int) -> NDArray[np.float64]:
    """The values so many steps before; a season of a day or more, so that all horizons of a day see the past alone."""
    at = target - steps
    there = (at >= 0) & (at < len(values))
    found = np.full(len(target), np.nan)
    found[there] = values[at[there]]
    return found
