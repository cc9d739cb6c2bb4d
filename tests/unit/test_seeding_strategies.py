"""The six strategies and the embeddings: worked by hand, reachable, blind to the future, predictable as stated."""

import numpy as np
import pytest

from local.seeding import embeddings, prices, strategies
from local.seeding.tables import build

ROWS = 2500


@pytest.fixture(scope="module")
def bars():
    return prices.simulate((embeddings.HISTORY + ROWS * 600) // 15, seed=42)


@pytest.fixture(scope="module")
def tables(bars):
    return build(bars)


def test_a_held_position_pays_its_entry_alone():
    signals, path = np.ones((1, 2), dtype=np.int8), np.array([[100.0, 101.0, 102.0]])
    assert strategies.window_returns(signals, path) == pytest.approx([0.02 - 0.0004])
    assert strategies.window_returns(-signals, path) == pytest.approx([-0.02 - 0.0004])


def test_a_turned_position_pays_both_sides_and_enters_at_the_new_price():
    signals, path = np.array([[1, -1, 0]], dtype=np.int8), np.array([[100.0, 110.0, 99.0, 50.0]])
    earned = 10 / 100 + 11 / 110
    assert strategies.window_returns(signals, path) == pytest.approx([earned - 4 * 0.0004])


def test_no_signal_earns_nothing():
    assert strategies.window_returns(np.zeros((1, 2), dtype=np.int8), np.array([[1.0, 2.0, 3.0]])) == [0.0]


def test_indicators_agree_with_their_definitions(bars):
    close = bars.close[:300]
    seen = strategies.indicators(close)
    last = close[:201]
    assert seen.fast[200] == pytest.approx(last[-20:].mean())
    assert seen.volatility[200] == pytest.approx(last[-60:].std() / last[-1], rel=1e-6)
    assert seen.high[200] == last[-50:].max()
    changes = np.diff(last[-15:])
    assert seen.rsi[200] == pytest.approx(100 * changes[changes > 0].sum() / np.abs(changes).sum())


def test_no_target_is_constant_and_the_short_side_is_simulated(tables):
    assert (tables.returns.std(axis=0) > 0.05).all()
    long_hold, short_hold = tables.returns[:, 4], tables.returns[:, 5]
    assert np.abs(long_hold + short_hold + 0.08).max() < 0.011, "both sides pay one fee"


def test_embeddings_have_norm_one_and_are_the_same_each_time(bars, tables):
    again = embeddings.embed(bars, tables.starts[:5])
    assert tables.embedding_a.shape == (ROWS + 1, 256)
    assert np.abs(np.linalg.norm(tables.embedding_a, axis=1) - 1).max() < 1e-5
    assert np.abs(np.linalg.norm(tables.embedding_b, axis=1) - 1).max() < 1e-5
    np.testing.assert_allclose(again[0], tables.embedding_a[:5], atol=1e-6)


def test_embeddings_see_nothing_at_or_after_the_window(bars, tables):
    start = tables.starts[1000:1001]
    cut = int((start[0] - bars.start) // bars.step)
    seen = embeddings.embed(bars, start)
    for series in (bars.close, bars.high, bars.low, bars.volume):
        series[cut:] *= 3.0
    try:
        blind = embeddings.embed(bars, start)
    finally:
        for series in (bars.close, bars.high, bars.low, bars.volume):
            series[cut:] /= 3.0
    np.testing.assert_allclose(blind[0], seen[0], atol=1e-5)
    np.testing.assert_allclose(blind[1], seen[1], atol=1e-5)


def test_ridge_regression_finds_the_signal_out_of_sample(tables):
    features = np.concatenate([tables.embedding_a, tables.embedding_b], axis=1)[:-1].astype(float)
    cut = int(0.8 * ROWS)
    centre, mean = features[:cut].mean(axis=0), tables.returns[:cut].mean(axis=0)
    x, y = features[:cut] - centre, tables.returns[:cut] - mean
    weights = np.linalg.solve(x.T @ x + np.eye(512), x.T @ y)
    truth = tables.returns[cut:]
    errors = truth - ((features[cut:] - centre) @ weights + mean)
    r2 = 1 - (errors**2).sum(axis=0) / ((truth - truth.mean(axis=0)) ** 2).sum(axis=0)
    assert (r2 > 0.05).sum() >= 3, r2
