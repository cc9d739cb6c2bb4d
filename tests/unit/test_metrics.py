"""Per-target metrics and the pooled loss, against numbers worked out by hand."""

import numpy as np
import pytest
from ratchet.gate import metrics

REALISED = np.array([[1.0, 0.0], [-1.0, 0.0], [3.0, 0.0], [0.0, 0.0]])
PREDICTED = np.array([[2.0, 0.5], [1.0, 0.0], [3.0, 0.0], [-1.0, 0.0]])


def test_errors_are_those_worked_out_by_hand():
    found = metrics.per_target(REALISED, PREDICTED)[0]
    assert found.mse == pytest.approx((1 + 4 + 0 + 1) / 4)
    assert found.mae == pytest.approx((1 + 2 + 0 + 1) / 4)
    # Around the mean 0.75 the squares sum to 8.75.
    assert found.r2 == pytest.approx(1 - 6 / 8.75)


def test_sign_accuracy_leaves_out_rows_that_did_not_move():
    assert metrics.per_target(REALISED, PREDICTED)[0].sign_accuracy == pytest.approx(2 / 3)


def test_a_constant_target_has_neither_r2_nor_sign_accuracy():
    found = metrics.per_target(REALISED, PREDICTED)[1]
    assert (found.r2, found.sign_accuracy) == (None, None)
    assert found.mse == pytest.approx(0.0625)


def test_predicting_zero_for_a_row_that_moved_is_a_wrong_sign():
    found = metrics.per_target(np.array([[1.0], [2.0]]), np.array([[0.0], [1.0]]))[0]
    assert found.sign_accuracy == 0.5


def test_the_pooled_loss_does_not_change_when_a_target_is_measured_in_other_units():
    rng = np.random.default_rng(1)
    realised, predicted = rng.normal(size=(2, 50, 3))
    units = np.array([1.0, 1000.0, 0.001])
    plain = metrics.row_losses(realised, predicted, np.ones(3))
    scaled = metrics.row_losses(realised * units, predicted * units, units**2)
    np.testing.assert_allclose(metrics.pooled(plain, [0, 1, 2]), metrics.pooled(scaled, [0, 1, 2]))


def test_a_target_that_does_not_count_has_no_part_in_the_pooled_loss():
    losses = np.array([[1.0, 100.0, 3.0], [2.0, 100.0, 4.0]])
    np.testing.assert_allclose(metrics.pooled(losses, [0, 2]), [2.0, 3.0])
