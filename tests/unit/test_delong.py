"""AUC and its certainty: DeLong's own example, brute force over all pairs, simulation, and a bootstrap of clusters."""

from statistics import NormalDist

import numpy as np
import pytest
from ratchet.errors import ContractError
from ratchet.gate import clusters, delong

OVARIAN_CANCER = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0  1.6 5.6 5 1  3.8 5.7 5 1
3.7 6.7 6 1   3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0
4.0 6.6 6 0   3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1
4.3 6.5 4 1   3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1
2.9 5.7 9 0   2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1  3.6 6.6 5 1
"""
"""Albumin, total protein, K-G score, outcome of 43 patients: the example of DeLong, DeLong and Clarke-Pearson (1988).

Data and results as the SAS/STAT user's guide has them: LOGISTIC, "Comparing Receiver Operating Characteristic Curves".
"""


@pytest.fixture
def patients():
    """The curves of albumin, total protein and the K-G score turned round, as published."""
    table = np.array(OVARIAN_CANCER.split(), float).reshape(-1, 4)
    scores = np.column_stack([table[:, 0], table[:, 1], 10 - table[:, 2]])
    return delong.curves(table[:, 3] == 1, scores, np.arange(len(table)))


def test_areas_and_standard_errors_are_those_published(patients):
    assert patients.areas == pytest.approx([0.7366, 0.6478, 0.7258], abs=5e-5)
    assert np.sqrt(np.diag(patients.covariance())) == pytest.approx([0.0927, 0.1000, 0.1028], abs=5e-5)


def test_the_test_of_all_three_areas_is_that_published(patients):
    contrasts = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
    differences = patients.areas @ contrasts
    chi_square = differences @ np.linalg.solve(patients.covariance(contrasts), differences)
    assert chi_square == pytest.approx(2.5340, abs=5e-5)
    assert np.exp(-chi_square / 2) == pytest.approx(0.2817, abs=5e-5)


@pytest.mark.parametrize(
    ("test", "estimate", "error", "p_value"), [(0, 0.0108, 0.0953, 0.9102), (1, -0.0780, 0.1046, 0.4561)]
)
def test_each_paired_test_is_that_published(test, estimate, error, p_value):
    table = np.array(OVARIAN_CANCER.split(), float).reshape(-1, 4)
    scores = np.column_stack([table[:, test], 10 - table[:, 2]])
    found = delong.difference(delong.curves(table[:, 3] == 1, scores, np.arange(len(table))), 0.025)
    assert (found.estimate, found.standard_error) == pytest.approx((estimate, error), abs=5e-5)
    normal = 2 * NormalDist().cdf(-abs(found.estimate / found.standard_error))
    assert normal == pytest.approx(p_value, abs=5e-5)
    # With 12 patients of the rarer outcome, Student's t is a little less sure.
    assert min(found.p_value, 1 - found.p_value) * 2 == pytest.approx(p_value, abs=0.02)
    assert found.blocks == 43


def brute_force(positive, scores, of_rows):
    """Obuchowski's estimator over every pair of rows, as she writes it down."""
    ours, theirs = scores[positive][:, None, :], scores[~positive][None, :, :]
    right = (ours > theirs) + 0.5 * (ours == theirs)
    areas, many, few = right.mean(axis=(0, 1)), positive.sum(), (~positive).sum()
    names = np.unique(of_rows)
    x = np.zeros((len(names), scores.shape[1]))
    y = np.zeros_like(x)
    for at, name in enumerate(names):
        x[at] = (right.mean(axis=1) - areas)[of_rows[positive] == name].sum(axis=0)
        y[at] = (right.mean(axis=0) - areas)[of_rows[~positive] == name].sum(axis=0)
    with_x, with_y = len(np.unique(of_rows[positive])), len(np.unique(of_rows[~positive]))
    s10 = with_x / ((with_x - 1) * many) * x.T @ x
    s01 = with_y / ((with_y - 1) * few) * y.T @ y
    s11 = len(names) / (len(names) - 1) * x.T @ y
    return areas, s10 / many + s01 / few + (s11 + s11.T) / (many * few)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("groups", [1_000_000, 40], ids=["rows of their own", "clusters"])
def test_areas_and_covariance_are_those_of_every_pair_ties_included(seed, groups):
    chance = np.random.default_rng(seed)
    positive = chance.random(150) < 0.3
    scores = np.round(chance.normal(size=(150, 3)) + positive[:, None] * [0.0, 0.5, 2.0], 1)
    of_rows = clusters.numbered(chance.integers(groups, size=150).astype(np.str_), 150)
    found = delong.curves(positive, scores, of_rows)
    areas, covariance = brute_force(positive, scores, of_rows)
    np.testing.assert_allclose(found.areas, areas)
    np.testing.assert_allclose(found.covariance(), covariance, atol=1e-15)


def repeated(chance, users=200, alike=0.8):
    """Rows of users of which some have many, alike in outcome and in both scores."""
    user = np.repeat(np.arange(users), chance.integers(1, 12, size=users))
    tendency = chance.normal(size=users)
    positive = tendency[user] + chance.normal(size=len(user)) > 1
    noise = alike * chance.normal(size=(users, 2))[user] + (1 - alike) * chance.normal(size=(len(user), 2))
    return positive, 0.5 * tendency[user][:, None] + noise, user


def test_the_certainty_is_that_of_a_bootstrap_over_clusters():
    chance = np.random.default_rng(2)
    positive, scores, user = repeated(chance)
    found = delong.curves(positive, scores, user)
    rows = [np.flatnonzero(user == number) for number in range(200)]
    drawn = []
    for _ in range(1_000):
        at = np.concatenate([rows[number] for number in chance.integers(200, size=200)])
        drawn.append(delong.curves(positive[at], scores[at], np.arange(len(at))).areas)
    np.testing.assert_allclose(np.sqrt(np.diag(found.covariance())), np.std(drawn, axis=0), rtol=0.1)
    apart = np.std(np.diff(drawn, axis=1))
    assert delong.difference(found, 0.025).standard_error == pytest.approx(apart, rel=0.1)


def test_rows_that_repeat_make_an_area_no_surer_as_clusters_but_falsely_so_as_rows():
    chance = np.random.default_rng(3)
    positive, scores = chance.random(100) < 0.4, chance.normal(size=(100, 1))
    once = delong.curves(positive, scores, np.arange(100))
    tenfold = np.repeat(positive, 10), np.repeat(scores, 10, axis=0)
    clustered = delong.curves(*tenfold, np.repeat(np.arange(100), 10))
    by_row = delong.curves(*tenfold, np.arange(1000))
    assert clustered.areas == pytest.approx(once.areas)
    assert clustered.covariance() == pytest.approx(once.covariance())
    assert by_row.covariance()[0, 0] < 0.11 * once.covariance()[0, 0]


def test_intervals_of_few_clusters_hold_the_truth_as_often_as_they_promise():
    chance = np.random.default_rng(4)
    held = 0
    for _ in range(400):
        user = np.repeat(np.arange(24), 5)
        positive = (np.arange(24) % 3 == 0)[user]
        scores = chance.normal(size=24)[user] + 0.3 * chance.normal(size=120)
        area = delong.area(delong.curves(positive, scores[:, None], user), 0, 0.025)
        held += area.low <= 0.5 <= area.high
    # 95 % of 400 are 380; fewer than 368, or more than 392, happen four times in a thousand.
    assert 368 <= held <= 392


def test_models_that_rank_alike_differ_by_exactly_nothing():
    chance = np.random.default_rng(5)
    positive, scores, user = repeated(chance)
    same = np.column_stack([scores[:, 0], np.tanh(scores[:, 0])])
    found = delong.difference(delong.curves(positive, same, user), 0.025)
    assert (found.estimate, found.low, found.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_a_better_model_is_surely_better_and_turned_round_surely_worse():
    chance = np.random.default_rng(6)
    positive = chance.random(800) < 0.3
    scores = chance.normal(size=(800, 2)) + positive[:, None] * [1.5, 0.5]
    user = np.arange(800) // 2
    better, worse = (delong.difference(delong.curves(positive, s, user), 0.025) for s in (scores, scores[:, ::-1]))
    assert better.low > 0
    assert better.p_value < 1e-4
    assert (worse.estimate, worse.low) == pytest.approx((-better.estimate, -better.high))


def test_a_constant_score_is_a_coin():
    positive = np.arange(20) % 3 == 0
    area = delong.area(delong.curves(positive, np.full((20, 1), 0.1), np.arange(20)), 0, 0.025)
    assert (area.estimate, area.low, area.high) == (0.5, 0.5, 0.5)


def test_an_interval_stays_within_what_an_area_can_be():
    positive = np.arange(30) < 10
    scores = np.where(positive, 2.0, 1.0) + np.where(np.arange(30) == 0, -1.5, 0)
    area = delong.area(delong.curves(positive, scores[:, None], np.arange(30)), 0, 0.001)
    assert area.estimate == pytest.approx(0.9)
    assert area.high == 1.0


@pytest.mark.parametrize("worth", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_a_named_error(worth):
    scores = np.array([[0.1], [worth], [0.3]])
    with pytest.raises(ContractError, match="no finite numbers"):
        delong.curves(np.array([True, False, False]), scores, np.arange(3))


@pytest.mark.parametrize("outcome", [True, False])
def test_rows_of_one_outcome_are_a_named_error(outcome):
    with pytest.raises(ContractError, match="one outcome"):
        delong.curves(np.full(3, outcome), np.array([[0.1], [0.2], [0.3]]), np.arange(3))


def test_a_hundred_thousand_rows_need_no_pairs():
    chance = np.random.default_rng(7)
    positive = chance.random(100_000) < 0.1
    scores = chance.normal(size=(100_000, 1)) + positive[:, None]
    # The pairs would be 900 million.
    found = delong.curves(positive, scores, np.arange(100_000))
    assert found.areas[0] == pytest.approx(NormalDist().cdf(1 / np.sqrt(2)), abs=0.01)
