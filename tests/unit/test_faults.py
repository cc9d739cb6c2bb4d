"""Faults by the hour: what lasts is one fault, what nobody can know is no label, and the past tells the lives apart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ratchet.errors import BadConfiguration
from ratchet.sensors.faults import faults, lives, remaining
from ratchet.sources import Fault

RULE = Fault(begins=0.5, ends=0.25, hours=2)
NONE = np.empty(0, np.int64)
SHARES = st.lists(st.sampled_from([0.0, 0.2, 0.3, 0.6, 1.0, np.nan]), max_size=30)


def found(*shares: float, hours: list[int] | None = None, reported: list[int] = [], rule: Fault = RULE) -> list[int]:  # noqa: B006
    """The indices of faulty hours of a machine with one sensor."""
    at = np.array(hours if hours is not None else range(len(shares)), np.int64)
    told = faults(at, np.array(shares)[:, None], np.array(reported, np.int64), rule)
    return list(np.flatnonzero(told).tolist())


@pytest.mark.parametrize(
    ("shares", "at"),
    [
        ([0, 0.4, 0.4, 0.4], []),
        ([0, 1, 0, 1, 0], []),
        ([0, 0.5, 0.5, 0], [1, 2]),
        ([0, 1, 1, 0.3, 0.3, 0.2, 0.3], [1, 2, 3, 4]),
        ([0.3, 1, 1, 0], [1, 2]),
        ([1, np.nan, 1], []),
        ([1, 1, np.nan, 0.3], [0, 1]),
        ([1, 1, 0, 1, 1], [0, 1, 3, 4]),
    ],
)
def test_what_lasts_is_a_fault(shares: list[float], at: list[int]) -> None:
    assert found(*shares) == at


def test_a_gap_between_hours_breaks_a_fault() -> None:
    assert found(1, 1, hours=[1, 3]) == []
    assert found(1, 1, 0.3, hours=[1, 2, 4]) == [0, 1]


def test_any_sensor_will_do() -> None:
    shares = np.array([[0, 1], [0, 1], [1, 0], [1, 0]], float)
    assert faults(np.arange(4), shares, NONE, RULE).tolist() == [True] * 4


def test_a_reported_failure_counts_from_the_next_hour_that_there_is() -> None:
    assert found(0, 0, 0, hours=[1, 5, 9], reported=[3]) == [1]
    assert found(0, 0, 0, hours=[1, 5, 9], reported=[9, 10]) == [2]


def test_one_hour_may_be_enough() -> None:
    assert found(0, 0.6, 0, rule=Fault(0.5, 0.5, 1)) == [1]


@given(SHARES, st.integers(0, 30))
@settings(max_examples=200, deadline=None)
def test_the_past_of_a_fault_that_is_over_does_not_change(shares: list[float], cut: int) -> None:
    """All but the hours of which the last may still become one."""
    whole, part = found(*shares), found(*shares[:cut])
    settled = min(cut, len(shares)) - RULE.hours + 1
    assert [at for at in whole if at < settled] == [at for at in part if at < settled]


def left(hours: list[int], faulty: list[int], cap: int = 10) -> list[float]:
    flags = np.isin(hours, faulty)
    return [float(value) for value in remaining(np.array(hours, np.int64), flags, cap)]


def test_hours_are_counted_to_the_next_fault_and_not_rows() -> None:
    assert left([0, 1, 5, 6, 7], [5, 6]) == pytest.approx([5, 4, 0, 0, np.nan], nan_ok=True)


def test_hours_are_capped() -> None:
    assert left([0, 5, 20], [20]) == [10, 10, 0]


def test_an_open_end_is_no_label_but_where_enough_hours_have_passed() -> None:
    told = left([0, 3, 8, 13, 14], [3])
    assert told[:2] == [3, 0]
    assert np.isnan(told[2:]).all()
    assert left([0, 3, 4, 13, 14], [])[:3] == pytest.approx([10, 10, 10])
    assert np.isnan(left([0, 3, 5, 13, 14], [])[2:]).all()


def test_a_life_ends_with_its_fault() -> None:
    flags = np.array([0, 0, 1, 1, 0, 1, 0, 0], bool)
    assert lives(flags).tolist() == [0, 0, 0, 0, 1, 1, 2, 2]


def test_nothing_comes_of_no_hours() -> None:
    none = np.empty(0, np.int64)
    assert faults(none, np.empty((0, 2)), np.array([3]), RULE).tolist() == []
    assert (remaining(none, none.astype(bool), 5).tolist(), lives(none.astype(bool)).tolist()) == ([], [])


@pytest.mark.parametrize("rule", [(0, 0, 1), (0.2, 0.5, 1), (1.5, 0.5, 1), (0.5, 0.25, 0)])
def test_a_rule_that_makes_no_fault_is_refused(rule: tuple[float, float, int]) -> None:
    with pytest.raises(BadConfiguration, match=r"source\.fault"):
        Fault(*rule)
