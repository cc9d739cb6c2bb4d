"""The inputs of `energy`: one row per origin and horizon, which looks at what was known at its origin alone.

A series has a value per step of UTC; the clock on the wall, which decides what people do, is that of the site. numpy
only, no input or output.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from ratchet.errors import BadInput

Floats = NDArray[np.float64]
Steps = NDArray[np.int64]
YEAR_DAYS, TROPICAL_YEAR = 364, 365.25
"""A year ago on the same weekday; the period of the seasons. In days."""
HARMONICS = 2


@dataclass(frozen=True)
class Shape:
    """Steps of a series: how far it is forecast, and what of its past is looked at.

    `windows` are lengths before the origin, `season` is a period at which values come again, of which the last
    `seasons` are looked at, `around` are half-widths about the same instant a year ago.
    """

    step_minutes: int
    horizon: int
    windows: tuple[int, ...]
    season: int
    seasons: int
    around: tuple[int, ...]

    def __post_init__(self) -> None:
        """Raises BadInput where a look back would see what lies behind the origin."""
        if self.season < self.horizon:
            raise BadInput(f"A season of {self.season} steps is shorter than the horizon of {self.horizon}.")
        if self.year - max(self.around, default=0) < self.horizon:
            raise BadInput("A year ago must lie before the origin, with all that is looked at around it.")

    @property
    def year(self) -> int:
        """Steps between an instant and the same one of the same weekday a year before."""
        return YEAR_DAYS * 1440 // self.step_minutes


def names(shape: Shape) -> list[str]:
    """The columns of `rows`, in order."""
    recent = [f"{measure}_{window}" for window in shape.windows for measure in ("mean", "std")]
    before = [f"season_{number}" for number in range(1, shape.seasons + 1)]
    year = [f"year_{years}_within_{around}" for years in (1, 2) for around in shape.around]
    waves = [f"{wave}_{number}" for number in range(1, HARMONICS + 1) for wave in ("sin", "cos")]
    return ["last", *recent, "season_mean", *before, *year, *waves, "hour", "weekday", "month", "holiday", "horizon"]


@dataclass(frozen=True)
class Wall:
    """The site's clock at each step: hours with their fraction, weekday from Monday (0), day of the year, month and
    whether it is a holiday.
    """

    hour: Floats
    weekday: Floats
    day: Floats
    month: Floats
    holiday: Floats

    @classmethod
    def of(cls, start: datetime, count: int, step_minutes: int, zone: str, holidays: frozenset[str]) -> "Wall":
        """For `count` steps from `start` (aware) on; `holidays` are local dates as text."""
        site, step = ZoneInfo(zone), timedelta(minutes=step_minutes)
        told = [(start.astimezone(UTC) + index * step).astimezone(site) for index in range(count)]
        columns = {
            "hour": [at.hour + at.minute / 60 for at in told],
            "weekday": [at.weekday() for at in told],
            "day": [at.timetuple().tm_yday + at.hour / 24 for at in told],
            "month": [at.month for at in told],
            "holiday": [at.date().isoformat() in holidays for at in told],
        }
        return cls(**{name: np.array(values, np.float64) for name, values in columns.items()})


def rows(series: Floats, wall: Wall, origins: Steps, shape: Shape) -> NDArray[np.float32]:
    """float32 [origins x horizon, columns], the horizons of an origin one after the other.

    An origin is the number of values that are known: of `series` it sees those before it. Values may be NaN, which take
    no part in a mean; what lies before the series is NaN. Raises BadInput for an origin out of the series or the clock.
    """
    if len(origins) and (origins.min() < 1 or origins.max() > min(len(series), len(wall.hour) - shape.horizon)):
        raise BadInput(f"Origins must lie between 1 and {len(series)}, with {shape.horizon} steps of the clock to go.")
    target = (origins[:, None] + np.arange(shape.horizon)).ravel()
    sums = _Sums(series)
    columns = [series[origins - 1]]
    for window in shape.windows:
        columns += sums.between(np.maximum(origins - window, 0), origins)
    columns = [np.repeat(column, shape.horizon) for column in columns]
    seasons = [_at(series, target - number * shape.season) for number in range(1, shape.seasons + 1)]
    known = np.isfinite(seasons)
    with np.errstate(invalid="ignore"):
        columns += [np.where(known, seasons, 0).sum(axis=0) / known.sum(axis=0), *seasons]
    for years in (1, 2):
        then = target - years * shape.year
        for around in shape.around:
            first, end = (np.clip(edge, 0, len(series)) for edge in (then - around, then + around + 1))
            columns.append(sums.between(first, end)[0])
    angle = 2 * np.pi * wall.day[target] / TROPICAL_YEAR
    for number in range(1, HARMONICS + 1):
        columns += [np.sin(number * angle), np.cos(number * angle)]
    columns += [wall.hour[target], wall.weekday[target], wall.month[target], wall.holiday[target]]
    columns.append(np.tile(np.arange(1.0, shape.horizon + 1), len(origins)))
    return np.stack(columns, axis=1).astype(np.float32)


def _at(series: Floats, index: Steps) -> Floats:
    """The values at those steps; NaN before the series."""
    found: Floats = np.where(index >= 0, series[np.maximum(index, 0)], np.nan)
    return found


class _Sums:
    """Running sums, from which the mean of any stretch follows at once; about the first value, so that squares keep
    their digits.
    """

    def __init__(self, series: Floats) -> None:
        known = np.isfinite(series)
        self.centre = float(series[known][0]) if known.any() else 0.0
        values = np.where(known, series - self.centre, 0)
        self.count, self.sum, self.squares = (
            np.concatenate([[0.0], part.cumsum()]) for part in (known, values, values**2)
        )

    def between(self, first: Steps, end: Steps) -> list[Floats]:
        """Mean and standard deviation of what lies from `first` on and before `end`; NaN where nothing does."""
        count, total, squares = (part[end] - part[first] for part in (self.count, self.sum, self.squares))
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(count > 0, total / count, np.nan)
            return [mean + self.centre, np.sqrt(np.maximum(squares / count - mean**2, 0))]
