"""The inputs of `energy`: an origin sees its past alone, by the clock of the site, and nothing is made up."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipelines.energy.features import Shape, Wall, names, rows
from ratchet.errors import BadInput

DAYS = Shape(1440, 7, windows=(1, 7, 28), season=7, seasons=4, around=(0, 3))
HOURS = Shape(60, 24, windows=(1, 24, 168), season=24, seasons=7, around=(0, 12))
START = datetime(2006, 12, 17, tzinfo=UTC)


def series(count: int, seed: int = 1) -> np.ndarray:
    chance = np.random.default_rng(seed)
    values = chance.normal(1500, 400, count)
    values[chance.random(count) < 0.05] = np.nan
    return values


def wall(count: int, shape: Shape = DAYS, zone: str = "UTC", holidays: frozenset[str] = frozenset()) -> Wall:
    return Wall.of(START, count, shape.step_minutes, zone, holidays)


def column(name: str, values: np.ndarray, origins: list[int], shape: Shape = DAYS) -> np.ndarray:
    found = rows(values, wall(len(values) + shape.horizon, shape), np.array(origins), shape)
    return found[:, names(shape).index(name)]


@pytest.mark.parametrize("shape", [DAYS, HOURS])
def test_there_is_a_name_for_each_column(shape: Shape) -> None:
    found = rows(series(900), wall(1000, shape), np.array([1, 500, 900]), shape)
    assert found.shape == (3 * shape.horizon, len(names(shape)))
    assert len(set(names(shape))) == found.shape[1]


@given(st.integers(1, 900), st.integers(0, 5), st.sampled_from([DAYS, HOURS]))
@settings(max_examples=60, deadline=None)
def test_what_comes_after_an_origin_changes_nothing(origin: int, seed: int, shape: Shape) -> None:
    values = series(900, seed)
    other = values.copy()
    other[origin:] = 1e6
    clock = wall(1000, shape)
    whole, changed, cut = (rows(each, clock, np.array([origin]), shape) for each in (values, other, values[:origin]))
    np.testing.assert_array_equal(whole, changed)
    np.testing.assert_array_equal(whole, cut)


def test_each_horizon_has_a_row_of_its_own() -> None:
    values = np.arange(100.0)
    assert column("horizon", values, [50, 60]).tolist() == [*range(1, 8)] * 2
    assert column("last", values, [50]).tolist() == [49.0] * 7
    assert column("season_1", values, [50]).tolist() == [*range(43, 50)]
    assert column("season_4", values, [50]).tolist() == [*range(22, 29)]
    assert column("season_mean", values, [50])[0] == np.mean([43, 36, 29, 22])


def test_rolling_statistics_end_at_the_origin() -> None:
    values = np.array([1.0, 2, 3, 4, np.nan, 6])
    assert column("mean_7", values, [6])[0] == pytest.approx(16 / 5)
    assert column("std_7", values, [6])[0] == pytest.approx(np.std([1, 2, 3, 4, 6]))
    assert column("mean_1", values, [4])[0] == 4
    assert np.isnan(column("mean_1", values, [5])[0])


def test_a_year_ago_is_the_same_weekday_and_before_the_series_nothing() -> None:
    values = np.arange(800.0)
    assert column("year_1_within_0", values, [600]).tolist() == [*range(236, 243)]
    assert column("year_1_within_3", values, [600])[0] == 236
    assert np.isnan(column("year_1_within_0", values, [300])).all()
    assert column("year_2_within_0", values, [799])[0] == 71


def test_the_clock_is_that_of_the_site_also_where_it_changes() -> None:
    """The night of 25 March 2007 in Paris has no 2 o'clock; half past one is an hour before half past three."""
    start = datetime(2007, 3, 25, 0, 30, tzinfo=UTC)
    told = Wall.of(start, 3, 60, "Europe/Paris", frozenset({"2007-03-25"}))
    assert told.hour.tolist() == [1.5, 3.5, 4.5]
    assert (told.weekday.tolist(), told.holiday.tolist()) == ([6, 6, 6], [1, 1, 1])
    assert told.day.tolist() == pytest.approx([84 + 1 / 24, 84 + 3 / 24, 84 + 4 / 24])


@pytest.mark.parametrize("origins", [[0], [101], [-1]])
def test_an_origin_out_of_the_series_is_refused(origins: list[int]) -> None:
    with pytest.raises(BadInput, match="between 1 and 100"):
        rows(np.ones(100), wall(107), np.array(origins), DAYS)


def test_a_shape_that_would_see_ahead_is_refused() -> None:
    with pytest.raises(BadInput, match="shorter than the horizon"):
        Shape(1440, 8, (7,), season=7, seasons=1, around=())
    with pytest.raises(BadInput, match="before the origin"):
        Shape(1440, 7, (7,), season=7, seasons=1, around=(360,))
