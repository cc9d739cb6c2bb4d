"""Whether probabilities are what they say: log loss, Brier score, expected calibration error and its bins."""

from itertools import pairwise

import numpy as np
import pytest
from ratchet.gate import calibration


def drawn(predicted, seed=0):
    """Outcomes that come true exactly as often as predicted."""
    return (np.random.default_rng(seed).random(len(predicted)) < predicted).astype(float)


def test_log_loss_is_what_the_outcome_was_not_expected():
    found = calibration.log_losses(np.array([1.0, 0.0, 1.0]), np.array([0.5, 0.25, 0.1]))
    np.testing.assert_allclose(found, [np.log(2), -np.log(0.75), -np.log(0.1)])


@pytest.mark.parametrize("sure", [0.0, 1.0])
def test_a_sure_miss_costs_much_but_not_infinitely(sure):
    (missed,) = calibration.log_losses(np.array([1 - sure]), np.array([sure]))
    (hit,) = calibration.log_losses(np.array([sure]), np.array([sure]))
    assert missed == pytest.approx(-np.log(calibration.CLOSEST))
    assert hit == pytest.approx(0, abs=1e-6)


def test_brier_score_is_the_mean_squared_distance():
    assert calibration.brier(np.array([1.0, 0.0]), np.array([0.7, 0.1])) == pytest.approx((0.09 + 0.01) / 2)


def test_true_probabilities_are_calibrated_and_inflated_ones_are_off_by_how_much():
    predicted = np.random.default_rng(1).beta(2, 14, size=200_000)
    realised = drawn(predicted)
    assert calibration.calibration(realised, predicted).error < 0.003
    assert calibration.calibration(realised, predicted + 0.2).error == pytest.approx(0.2, abs=0.003)


def test_bins_hold_as_many_rows_each_lie_in_order_and_lose_none():
    predicted = np.random.default_rng(2).random(1_003) ** 3
    bins = calibration.calibration(drawn(predicted), predicted).bins
    assert len(bins) == calibration.BINS
    assert sum(found.rows for found in bins) == 1_003
    assert max(found.rows for found in bins) - min(found.rows for found in bins) <= 1
    assert all(left.high <= right.low for left, right in pairwise(bins))
    assert all(found.low <= found.predicted <= found.high for found in bins)


def test_equal_probabilities_share_a_bin():
    predicted = np.repeat([0.1, 0.2], [50, 950])
    bins = calibration.calibration(drawn(predicted), predicted).bins
    assert [(found.low, found.high) for found in bins] == [(0.1, 0.1), (0.2, 0.2)]
    assert [found.rows for found in bins] == [50, 950]


def test_a_constant_probability_is_one_bin():
    found = calibration.calibration(np.array([1.0, 0.0, 0.0, 0.0]), np.full(4, 0.5))
    assert (len(found.bins), found.error) == (1, 0.25)
