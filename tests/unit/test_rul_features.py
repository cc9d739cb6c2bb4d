"""The inputs of `rul`: backwards alone, by hours and not by rows, and nothing made up where a sensor was silent."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipelines.rul.features import names, of_life
from ratchet.errors import BadInput
from ratchet.sources import Windows

SENSORS = ("temperature", "active_power", "reactive_power")
WINDOWS = Windows([5, 10], 4, 1000)


def life(count: int, seed: int = 1, gaps: bool = True) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    hours = 480_000 + np.cumsum(chance.choice([1, 1, 1, 2, 7], count) if gaps else np.ones(count, int))
    values = chance.normal(50, 10, (count, len(SENSORS)))
    values[chance.random(values.shape) < 0.1] = np.nan
    return hours.astype(np.int64), values


def column(name: str, hours: np.ndarray, values: np.ndarray) -> np.ndarray:
    return of_life(hours, values, SENSORS, WINDOWS)[:, names(SENSORS, WINDOWS).index(name)]


def test_there_is_a_name_for_each_column() -> None:
    told = names(SENSORS, WINDOWS)
    assert len(set(told)) == len(told) == of_life(*life(3), SENSORS, WINDOWS).shape[1]
    expected = {"temperature", "temperature_rollmean", "temperature_rollstd", "temperature_drift", "power_factor"}
    assert expected | {"temperature_rollmean_10", "hours_running"} <= set(told)


@pytest.mark.parametrize("sensors", [("temperature",), ("temperature", "active_power")])
def test_without_both_powers_there_is_no_power_factor(sensors: tuple[str, ...]) -> None:
    assert "power_factor" not in names(sensors, WINDOWS)
    assert of_life(np.array([1]), np.ones((1, len(sensors))), sensors, WINDOWS).shape == (
        1,
        len(names(sensors, WINDOWS)),
    )


@given(st.integers(1, 60), st.integers(0, 59), st.integers(0, 9))
@settings(max_examples=100, deadline=None)
def test_what_comes_later_changes_nothing(count: int, cut: int, seed: int) -> None:
    hours, values = life(count, seed)
    known = min(cut, count)
    whole, part = (of_life(hours[:end], values[:end], SENSORS, WINDOWS) for end in (count, known))
    np.testing.assert_array_equal(whole[:known], part)


def test_rolling_statistics_need_the_hours_of_their_window_alone() -> None:
    """So serving may read those alone and answers to the last bit as training does."""
    hours, values = life(200)
    told = [name.rpartition("_roll")[2][:1] in "ms" and "_roll" in name for name in names(SENSORS, WINDOWS)]
    for row in (50, 120, 199):
        since = hours > hours[row] - 10
        since[row + 1 :] = False
        whole = of_life(hours, values, SENSORS, WINDOWS)[row, told]
        np.testing.assert_array_equal(of_life(hours[since], values[since], SENSORS, WINDOWS)[-1, told], whole)


def test_a_window_is_of_hours_and_not_of_rows() -> None:
    hours, values = np.array([0, 1, 2, 10, 11]), np.arange(15.0).reshape(5, 3)
    assert column("temperature_rollmean", hours, values).tolist() == [0, 1.5, 3, 9, 10.5]
    assert column("temperature_rollstd", hours, values).tolist() == pytest.approx([0, 1.5, 6**0.5, 0, 1.5])
    assert column("hours_running", hours, values).tolist() == [0, 1, 2, 10, 11]


def test_a_silent_sensor_stays_missing_and_takes_no_part_in_a_mean() -> None:
    hours, values = np.arange(3), np.array([[1.0, 1, 1], [np.nan, 1, 1], [5, 1, 1]])
    assert np.isnan(column("temperature", hours, values)).tolist() == [False, True, False]
    assert column("temperature_rollmean", hours, values).tolist() == [1, 1, 3]
    values[:, 0] = np.nan
    for name in names(SENSORS, WINDOWS):
        assert np.isnan(column(name, hours, values)).all() == name.startswith("temperature"), name


def test_a_life_drifts_from_its_first_hours() -> None:
    hours, values = np.arange(12), np.full((12, 3), 7.0)
    values[4:, 0] = 9.0
    assert column("temperature_drift", hours, values).tolist() == pytest.approx(
        [0, 0, 0, 0, 0.4, 0.8, 1.2, 1.6, *[2] * 4]
    )


def test_a_power_factor_lies_between_0_and_1_and_needs_power() -> None:
    values = np.array([[0, 3.0, 4.0], [0, 5.0, 0.0], [0, 0.0, 0.0]])
    found = column("power_factor", np.arange(3), values)
    assert found[:2].tolist() == [pytest.approx(0.6), 1.0]
    assert np.isnan(found[2])


def test_no_hours_are_no_rows() -> None:
    assert of_life(np.empty(0, np.int64), np.empty((0, 3)), SENSORS, WINDOWS).shape == (0, len(names(SENSORS, WINDOWS)))


@pytest.mark.parametrize(("hours", "width"), [([1, 1], 3), ([2, 1], 3), ([1, 2], 2), ([1], 3)])
def test_what_is_no_life_is_refused(hours: list[int], width: int) -> None:
    with pytest.raises(BadInput, match="growing hours"):
        of_life(np.array(hours), np.ones((2, width)), SENSORS, WINDOWS)
