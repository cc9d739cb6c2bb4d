"""Quantiles as answers: the pinball loss against numbers worked out by hand and against its purpose; coverage."""

import numpy as np
import pytest
from ratchet.errors import BadConfiguration
from ratchet.gate import metrics, quantiles
from ratchet.gate.quantiles import Quantiles

NAMES = ["low", "mid", "high"]
DECLARED = {"low": 0.1, "mid": 0.5, "high": 0.9}
BAND = Quantiles(np.array([0.1, 0.5, 0.9]), 0, 1, 2)


def thrice(values):
    return np.repeat(np.asarray(values, np.float64)[:, None], 3, axis=1)


def test_losses_are_those_worked_out_by_hand():
    answers = np.array([[1.0, 2.0, 5.0], [1.0, 2.0, 5.0]])
    found = quantiles.row_losses(thrice([3.0, 0.0]), answers, BAND.shares, np.array([1.0, 1.0, 2.0]))
    # Above an answer by 2, 1, -2; then below all of them by 1, 2, 5.
    np.testing.assert_allclose(found, [[0.2, 0.5, 0.2 / 2], [0.9, 1.0, 0.5 / 2]])


def test_the_least_loss_is_that_of_the_true_quantiles():
    outcomes = np.random.default_rng(1).exponential(size=20_000)
    true = np.quantile(outcomes, BAND.shares)
    losses = [
        quantiles.row_losses(thrice(outcomes), np.tile(true + shift, (20_000, 1)), BAND.shares, np.ones(3)).mean(axis=0)
        for shift in (-0.05, 0.0, 0.05)
    ]
    assert (losses[1] < losses[0]).all()
    assert (losses[1] < losses[2]).all()


def test_the_loss_does_not_change_when_the_outcome_is_measured_in_other_units():
    rng = np.random.default_rng(2)
    outcomes, answers, deviation = thrice(rng.normal(size=50)), rng.normal(size=(50, 3)), np.full(3, 0.7)
    plain = quantiles.row_losses(outcomes, answers, BAND.shares, deviation)
    watts = quantiles.row_losses(outcomes * 1000, answers * 1000, BAND.shares, deviation * 1000)
    np.testing.assert_allclose(plain, watts)


def test_the_medians_loss_is_half_its_absolute_error():
    rng = np.random.default_rng(3)
    outcomes, answers = thrice(rng.normal(size=50)), rng.normal(size=(50, 3))
    found = quantiles.with_pinball(metrics.per_target(outcomes, answers), outcomes, answers, BAND)
    assert found[1].pinball == pytest.approx(found[1].mae / 2)


def test_coverage_counts_outcomes_within_the_outer_quantiles_edges_included():
    answers = np.tile([1.0, 2.0, 3.0], (5, 1))
    found = quantiles.coverage(thrice([0.9, 1.0, 2.0, 3.0, 3.1]), answers, BAND)
    assert (found.low, found.high, found.promised, found.measured) == (0.1, 0.9, 0.8, 0.6)


def test_nothing_lies_between_quantiles_that_have_crossed():
    crossed = np.tile([3.0, 2.0, 1.0], (3, 1))
    assert quantiles.coverage(thrice([0.5, 2.0, 3.5]), crossed, BAND).measured == 0


def test_columns_are_found_by_their_shares_whatever_the_order_of_targets():
    found = quantiles.of(["high", "low", "mid"], DECLARED)
    assert found is not None
    assert found.shares.tolist() == [0.9, 0.1, 0.5]
    assert (found.lowest, found.median, found.highest) == (1, 2, 0)
    assert quantiles.of(NAMES, {}) is None


@pytest.mark.parametrize(
    "changes",
    [{"high": 0.1}, {"high": 1.0}, {"low": 0.0}, {"mid": 0.4}, {"other": 0.7}],
    ids=["two alike", "all below", "none below", "no median", "no such target"],
)
def test_quantiles_that_cannot_be_are_a_configuration_fault(changes):
    with pytest.raises(BadConfiguration, match=r"gate\.quantiles"):
        quantiles.of(NAMES, {**DECLARED, **changes})


def test_a_target_without_a_quantile_is_a_configuration_fault():
    with pytest.raises(BadConfiguration, match="low, mid, high"):
        quantiles.of(NAMES, {"low": 0.1, "mid": 0.5})
