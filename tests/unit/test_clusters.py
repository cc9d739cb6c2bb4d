"""How sure a share of loss is whose rows come in clusters: closed forms, a bootstrap over clusters, and the edges."""

import numpy as np
import pytest
from ratchet.gate import clusters


def effect_of(ours, theirs, of_rows, alpha=0.025):
    return clusters.effects(ours[:, None], theirs[:, None], of_rows, alpha)[0]


def losses(seed=1, groups=150):
    """Losses of rows in groups of one to eight, alike within each."""
    chance = np.random.default_rng(seed)
    of_rows = np.repeat(np.arange(groups), chance.integers(1, 9, size=groups))
    common = chance.exponential(size=groups)[of_rows]
    theirs = 1 + common + chance.exponential(size=len(of_rows))
    return 0.8 * theirs + 0.3 * chance.exponential(size=groups)[of_rows], theirs, of_rows


def test_the_certainty_is_that_of_a_bootstrap_over_clusters():
    ours, theirs, of_rows = losses()
    chance = np.random.default_rng(2)
    sums = clusters.sums(np.column_stack([ours, theirs]), of_rows)
    drawn = sums[chance.integers(150, size=(4_000, 150))].sum(axis=1)
    found = effect_of(ours, theirs, of_rows)
    assert found.estimate == pytest.approx(1 - ours.mean() / theirs.mean())
    assert found.standard_error == pytest.approx(np.std(1 - drawn[:, 0] / drawn[:, 1]), rel=0.05)
    assert found.low < found.estimate < found.high
    assert found.blocks == 150


def test_rows_that_repeat_make_a_share_no_surer():
    ours, theirs, _ = losses(groups=40)
    ours, theirs = ours[:40], theirs[:40]
    once = effect_of(ours, theirs, np.arange(40))
    repeated = effect_of(np.repeat(ours, 5), np.repeat(theirs, 5), np.repeat(np.arange(40), 5))
    assert repeated.standard_error == pytest.approx(once.standard_error)
    assert effect_of(np.repeat(ours, 5), np.repeat(theirs, 5), np.arange(200)).standard_error < once.standard_error / 2


def test_a_smaller_alpha_asks_for_more():
    ours, theirs, of_rows = losses()
    wide, narrow = (effect_of(ours, theirs, of_rows, alpha) for alpha in (0.001, 0.025))
    assert wide.low < narrow.low < narrow.high < wide.high
    assert wide.detectable > narrow.detectable
    assert wide.p_value == narrow.p_value


def test_the_same_losses_differ_by_exactly_nothing():
    _, theirs, of_rows = losses()
    found = effect_of(theirs, theirs, of_rows)
    assert (found.estimate, found.low, found.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_a_reference_without_loss_leaves_no_share():
    nothing, of_rows = np.zeros(10), np.arange(10)
    assert effect_of(nothing, nothing, of_rows).estimate == 0
    assert effect_of(nothing + 1, nothing, of_rows).estimate == -1


def test_rows_without_groups_are_clusters_of_their_own():
    assert clusters.numbered(None, 3).tolist() == [0, 1, 2]
    assert clusters.numbered(np.array(["b", "a", "b"]), 3).tolist() == [1, 0, 1]
