"""The six rule-based strategies whose 10-minute returns are the targets of `returns`.

Indicators see the history before the window, so the slow average and the trend are reachable; each window starts flat.
A decision falls at a bar's close and holds until the next; the first falls at the window's own start.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from local.seeding.prices import Bars, Floats

Signals = NDArray[np.int8]
"""-1 short, 0 flat, 1 long, one for each close."""

WINDOW = 600
"""Seconds of a window."""
FEE = 0.0004
"""Share of the notional, paid at each entry and at each exit before the window's end."""
HISTORY = 60
"""Closes that the longest indicator needs."""

TARGETS = (
    "trend_return_pct",
    "mean_revert_return_pct",
    "breakout_return_pct",
    "scalper_return_pct",
    "long_hold_return_pct",
    "short_hold_return_pct",
)


@dataclass(frozen=True)
class Indicators:
    """What the strategies look at, one value for each close; the first `HISTORY` closes are not meaningful."""

    close: Floats
    fast: Floats
    slow: Floats
    rsi: Floats
    high: Floats
    low: Floats
    place: Floats
    """Position in the range of the last 50 closes, 0 to 1."""
    momentum: Floats
    volatility: Floats


def indicators(close: Floats) -> Indicators:
    """The indicators of a series of closes (price units), each over that close and those before it."""
    high, low = _rolling(close, 50, np.max), _rolling(close, 50, np.min)
    width = high - low
    place = np.divide(close - low, width, out=np.full_like(close, 0.5), where=width > 0)
    momentum = np.zeros_like(close)
    momentum[15:] = close[15:] / close[:-15] - 1.0
    slow, centred = _mean(close, 60), close - close.mean()
    variance = np.maximum(_mean(centred**2, 60) - _mean(centred, 60) ** 2, 0.0)
    return Indicators(
        close, _mean(close, 20), slow, rsi(close, 14), high, low, place, momentum, np.sqrt(variance) / close
    )


def rsi(close: Floats, span: int) -> Floats:
    """Relative strength by plain sums of the last `span` changes, 0 to 100; 50 where nothing moved."""
    change = np.diff(close, prepend=close[:1])
    gain, loss = _mean(np.maximum(change, 0.0), span), _mean(np.maximum(-change, 0.0), span)
    total = gain + loss
    return 100.0 * np.divide(gain, total, out=np.full_like(close, 0.5), where=total > 1e-12 * close)


def trend(i: Indicators) -> Signals:
    """With the fast average where it leaves the slow one and momentum agrees."""
    return _signals((i.fast > 1.001 * i.slow) & (i.momentum >= 0), (i.fast < 0.999 * i.slow) & (i.momentum <= 0))


def mean_revert(i: Indicators) -> Signals:
    """Against an RSI beyond 35 and 65."""
    return _signals(i.rsi < 35.0, i.rsi > 65.0)


def breakout(i: Indicators) -> Signals:
    """With the edge of the range, else with a strong momentum while volatility is high."""
    up, down = i.close >= 0.999 * i.high, i.close <= 1.001 * i.low
    strong = (np.abs(i.momentum) > 0.004) & (i.volatility > 0.003)
    return _signals(up | (~up & ~down & strong & (i.momentum > 0)), ~up & (down | (strong & (i.momentum < 0))))


def scalper(i: Indicators) -> Signals:
    """With the momentum in the middle of the range, while there is volatility."""
    middle = (i.volatility >= 0.0015) & (i.place >= 0.35) & (i.place <= 0.65)
    return _signals(middle & (i.momentum > 0), middle & (i.momentum < 0))


def long_hold(i: Indicators) -> Signals:
    """Always long."""
    return np.ones(i.close.shape, dtype=np.int8)


def short_hold(i: Indicators) -> Signals:
    """Always short."""
    return -np.ones(i.close.shape, dtype=np.int8)


STRATEGIES: tuple[tuple[str, int, Callable[[Indicators], Signals]], ...] = (
    ("trend_return_pct", 60, trend),
    ("mean_revert_return_pct", 30, mean_revert),
    ("breakout_return_pct", 15, breakout),
    ("scalper_return_pct", 15, scalper),
    ("long_hold_return_pct", 15, long_hold),
    ("short_hold_return_pct", 15, short_hold),
)
"""Target, seconds of its bars (the source's own where those are longer), rule."""


def returns(bars: Bars, starts: NDArray[np.int64]) -> Floats:
    """Returns in percent, [windows, 6] in the order of `TARGETS`, rounded to 2 decimals.

    `starts` are epoch seconds on the 10-minute grid, at least `HISTORY` minutes after the first bar and 10 minutes
    before the end of the last.
    """
    columns = [_strategy_returns(bars, starts, max(step, bars.step), rule) for _, step, rule in STRATEGIES]
    return np.round(100.0 * np.column_stack(columns), 2)


def _strategy_returns(
    bars: Bars, starts: NDArray[np.int64], step: int, rule: Callable[[Indicators], Signals]
) -> Floats:
    """One strategy's return per window, as a share of the notional."""
    stride = step // bars.step
    # A close counts at its bar's end; only ends on the coarser grid make coarser bars.
    first = next(k for k in range(stride) if (bars.start + (k + 1) * bars.step) % step == 0)
    close = bars.close[first::stride]
    entry = (starts - (bars.start + (first + 1) * bars.step)) // step
    places = entry[:, None] + np.arange(WINDOW // step + 1)
    signals = rule(indicators(close))
    return window_returns(signals[places[:, :-1]], close[places])


def window_returns(signals: Signals, prices: Floats) -> Floats:
    """The return per window as a share of the notional.

    `signals` [windows, bars] are held from each price to the next of `prices` [windows, bars + 1]. A position of
    another sign, or none, closes the one before and pays both fees; the last one is marked to market without.
    """
    before = np.concatenate([np.zeros_like(signals[:, :1]), signals[:, :-1]], axis=1)
    turned = signals != before
    place = np.maximum.accumulate(np.where(turned, np.arange(signals.shape[1]), 0), axis=1)
    entered = np.take_along_axis(prices, place, axis=1)
    earned = (signals * np.diff(prices, axis=1) / entered).sum(axis=1)
    paid = (turned & (signals != 0)).sum(axis=1) + (turned & (before != 0)).sum(axis=1)
    return np.asarray(earned - FEE * paid, dtype=np.float64)


def _signals(up: NDArray[np.bool_], down: NDArray[np.bool_]) -> Signals:
    return up.astype(np.int8) - down.astype(np.int8)


def _mean(values: Floats, span: int) -> Floats:
    """The mean of the last `span` values, fewer at the start."""
    total = np.cumsum(np.concatenate([[0.0], values]))
    upper = np.arange(1, values.size + 1)
    lower = np.maximum(upper - span, 0)
    return np.asarray((total[upper] - total[lower]) / (upper - lower))


def _rolling(values: Floats, span: int, measure: Callable[..., Floats]) -> Floats:
    padded = np.concatenate([np.repeat(values[:1], span - 1), values])
    return measure(sliding_window_view(padded, span), axis=1)
