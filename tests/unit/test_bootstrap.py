"""The paired moving-block bootstrap: against a naive loop, a closed form, a simulation, and series with gaps."""

from statistics import NormalDist

import numpy as np
import pytest
from ratchet.gate import bootstrap, student

STEP = 10


def grid(rows: int) -> np.ndarray:
    return np.arange(rows, dtype=np.int64) * STEP


def effect_of(challenger, reference, alpha=0.025, length=60, resamples=400, seed=0):
    blocks = bootstrap.blocks(grid(len(challenger)), length, STEP)
    return bootstrap.effects(challenger[:, None], reference[:, None], blocks, alpha, resamples, seed)[0]


@pytest.mark.parametrize(
    ("tail", "freedom", "value"),
    [(0.025, 1, 12.7062), (0.025, 2, 4.30265), (0.05, 10, 1.81246), (0.025, 30, 2.04227), (0.001, 100, 3.17374)],
)
def test_students_quantiles_are_those_of_the_tables(tail, freedom, value):
    assert student.upper_quantile(tail, freedom) == pytest.approx(value, rel=1e-4)
    assert student.upper_tail(value, freedom) == pytest.approx(tail, rel=1e-4)


def test_students_t_with_many_degrees_of_freedom_is_the_normal_distribution_far_out_too():
    assert student.upper_quantile(1e-5, 20_000) == pytest.approx(-NormalDist().inv_cdf(1e-5), rel=2e-3)


def test_totals_are_those_of_a_naive_loop_over_rows():
    rng = np.random.default_rng(3)
    columns = rng.normal(size=(47, 3))
    blocks = bootstrap.blocks(grid(47), 50, STEP)
    found = bootstrap.resample(columns, blocks, 20, seed=9)
    starts = np.random.default_rng(9).integers(43, size=(20, 9))
    expected = [[sum(columns[s + i, c] for s in row for i in range(5)) for c in range(3)] for row in starts]
    np.testing.assert_allclose(found, expected)


def test_a_long_series_is_resampled_in_pieces_that_draw_the_same_as_at_once():
    columns = np.random.default_rng(3).normal(size=(2_000, 2))
    found = bootstrap.resample(columns, bootstrap.blocks(grid(2_000), STEP, STEP), 1_200, seed=1)
    drawn = np.random.default_rng(1).integers(2_000, size=(1_200, 2_000))
    np.testing.assert_allclose(found[:, 1], columns[drawn, 1].sum(axis=1))


def test_the_spread_of_a_mean_is_kuenschs_closed_form():
    """The bootstrap variance of the total is draws times the variance of the block sums."""
    columns = np.random.default_rng(5).normal(size=(400, 1)).cumsum(axis=0)
    blocks = bootstrap.blocks(grid(400), 100, STEP)
    sums = np.array([columns[s : s + 10, 0].sum() for s in range(391)])
    totals = bootstrap.resample(columns, blocks, 20_000, seed=2)
    assert totals.var() == pytest.approx(40 * sums.var(), rel=0.03)
    assert totals.mean() == pytest.approx(40 * sums.mean(), rel=0.01)


def test_the_same_seed_gives_the_same_interval():
    a, b = np.random.default_rng(0).exponential(size=(2, 300))
    assert effect_of(a, b) == effect_of(a, b)
    assert effect_of(a, b, seed=1) != effect_of(a, b)


def test_pairing_cancels_what_is_common_to_both_models():
    rng = np.random.default_rng(4)
    market = rng.exponential(size=600) * 10
    champion = market + rng.normal(scale=0.1, size=600)
    found = effect_of(champion - 0.1, champion)
    assert found.low > 0
    assert found.high - found.low < 0.01


def test_blocks_are_wider_than_single_rows_say_when_neighbours_are_alike():
    rng = np.random.default_rng(6)
    shared = np.repeat(rng.normal(size=100), 6)
    champion = 5 + rng.normal(scale=0.1, size=600)
    rows, blocks = (effect_of(champion + shared, champion, length=length) for length in (STEP, 120))
    assert blocks.standard_error > 1.8 * rows.standard_error


def test_a_block_never_joins_the_two_sides_of_a_gap():
    minutes = np.concatenate([grid(30), 10_000 + grid(30)])
    blocks = bootstrap.blocks(minutes, 60, STEP)
    for start, end in zip(blocks.starts, blocks.ends, strict=True):
        assert minutes[end - 1] - minutes[start] < 60
    counts = blocks.ends - blocks.starts
    assert counts.max() == 6
    # The five rows before the gap begin shorter blocks.
    assert sorted(counts[25:30]) == [1, 2, 3, 4, 5]


def test_a_resample_of_a_series_with_gaps_has_as_many_rows_as_the_series_on_average():
    minutes = np.delete(grid(500), np.random.default_rng(0).choice(500, 200, replace=False))
    blocks = bootstrap.blocks(minutes, 180, STEP)
    totals = bootstrap.resample(np.ones((300, 1)), blocks, 500, seed=0)
    assert totals.mean() == pytest.approx(300, rel=0.05)


@pytest.mark.parametrize(("rows", "length"), [(50, 60), (60, 70), (144, 180), (10_000, 180), (3, 10)])
def test_blocks_are_shortened_until_there_are_enough_of_them(rows, length):
    assert bootstrap.block_minutes(rows, STEP, 180) == length


def test_equal_losses_give_no_effect_and_no_doubt():
    losses = np.ones(100)
    found = effect_of(losses, losses)
    assert (found.estimate, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_a_reference_without_any_loss_cannot_be_beaten():
    found = effect_of(np.ones(100), np.zeros(100))
    assert found.high < 0


@pytest.mark.parametrize(("rows", "correlation"), [(60, 0.0), (150, 0.4), (400, 0.6)])
def test_the_lower_bound_is_missed_about_as_rarely_as_alpha_says(rows, correlation):
    """300 pairs of equally good models with correlated losses: at alpha 5 % some 15 lower bounds lie above zero."""
    rng = np.random.default_rng(rows)
    missed = 0
    for _ in range(300):
        noise = rng.normal(size=(rows, 2))
        for row in range(1, rows):
            noise[row] = correlation * noise[row - 1] + np.sqrt(1 - correlation**2) * noise[row]
        losses = 5 + rng.exponential(size=(rows, 1)) * 5 + noise
        missed += effect_of(losses[:, 0], losses[:, 1], 0.05, bootstrap.block_minutes(rows, STEP, 180), 200).low > 0
    assert missed <= 27


def test_blocks_begin_at_instants_and_hold_all_of_their_rows():
    minutes = np.repeat(np.delete(grid(40), 17), [3] * 10 + [1] * 29)
    blocks = bootstrap.blocks(minutes, 60, STEP)
    begun = minutes[blocks.starts]
    assert len(set(begun.tolist())) == len(begun) == 34
    for start, end in zip(blocks.starts, blocks.ends, strict=True):
        inside = (minutes >= minutes[start]) & (minutes < minutes[start] + 60)
        np.testing.assert_array_equal(np.flatnonzero(inside), np.arange(start, end))


@pytest.mark.parametrize("rows", [1, 24])
def test_rows_of_one_instant_make_no_more_blocks(rows):
    minutes = np.repeat(grid(100), rows)
    assert len(bootstrap.instants(minutes)) == 100
    assert bootstrap.blocks(minutes, 120, STEP).draws == 8


def test_an_instant_that_counts_each_row_twice_says_nothing_more():
    once = np.random.default_rng(2).exponential(size=(200, 2))
    twice = np.repeat(once, 2, axis=0)
    found = []
    for losses, minutes in ((once, grid(200)), (twice, np.repeat(grid(200), 2))):
        blocks = bootstrap.blocks(minutes, 100, STEP)
        found.append(bootstrap.effects(losses[:, :1], losses[:, 1:], blocks, 0.05, 300, 0)[0])
    assert (found[0].low, found[0].high) == pytest.approx((found[1].low, found[1].high))


def forecasts(rng, instants=100, horizons=24):
    """Losses [rows, 2] of two equally good models; errors go together within an instant and from one to the next."""
    shared = rng.normal(size=(instants, 2))
    for instant in range(1, instants):
        shared[instant] = 0.5 * shared[instant - 1] + np.sqrt(0.75) * shared[instant]
    return 8 + np.repeat(shared, horizons, axis=0) + 0.5 * rng.normal(size=(instants * horizons, 2))


def misses(minutes, step, runs):
    """How often of `runs` the lower bound at 5 % lies above zero although both are equally good."""
    rng, missed = np.random.default_rng(11), 0
    length = bootstrap.block_minutes(len(bootstrap.instants(minutes)), step, 12 * step)
    blocks = bootstrap.blocks(minutes, length, step)
    for _ in range(runs):
        losses = forecasts(rng)
        missed += bootstrap.effects(losses[:, :1], losses[:, 1:], blocks, 0.05, 200, 0)[0].low > 0
    return missed


def test_with_24_rows_an_instant_the_lower_bound_is_missed_about_as_rarely_as_alpha_says():
    """At 5 % of 300 it is missed some 15 times."""
    assert 5 <= misses(np.repeat(grid(100), 24), STEP, 300) <= 27


def test_taken_for_instants_of_their_own_those_rows_would_promote_noise():
    assert misses(np.arange(2_400), 1, 100) >= 20


def test_an_effect_of_the_detectable_size_is_found_four_times_in_five():
    rng = np.random.default_rng(8)
    null = 5 + rng.normal(size=(400, 2))
    gain = effect_of(null[:, 0], null[:, 1]).detectable
    found = 0
    for _ in range(200):
        losses = 5 + rng.normal(size=(400, 2))
        found += effect_of(losses[:, 0] * (1 - gain), losses[:, 1]).low > 0
    assert 130 <= found <= 190
