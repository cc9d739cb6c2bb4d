"""Deterministic stand-ins for text embeddings: 256 numbers of norm 1 that tell of the price path before a window.

A tells of the last ten minutes (shape and indicators), B of the hours and days before. Both are features squashed to
(-1, 1), some random cosines of them, and one constant, turned by a fixed rotation and normalised: no single number
means anything, yet linear models find the features again. Nothing at or after the window's start is looked at.
"""

import numpy as np
from numpy.typing import NDArray

from local.seeding.prices import Bars, Floats
from local.seeding.strategies import indicators

WIDTH = 256
HISTORY = 24 * 3600
"""Seconds of history that a window needs; days that the bars lack besides count as still."""

_MOVE = 0.003
"""A typical 10-minute log return: the unit of the features."""
_COSINES = 64
_LOUDNESS = 0.35
"""Weight of the cosines against the plain features."""
_LOOKBACKS = (20, 30, 45, 60, 120, 240, 480, 720, 1440)
"""Minutes that B looks back over."""


def embed(bars: Bars, starts: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embeddings A and B, each float32 [windows, 256] with rows of norm 1, for windows starting at these epoch seconds.

    The bars must reach `HISTORY` seconds before the first start.
    """
    last = (starts - bars.start) // bars.step - 1
    return _spread(_recent(bars, last), 1), _spread(_longer(bars, last, starts), 2)


def _recent(bars: Bars, last: NDArray[np.int64]) -> Floats:
    """Features of the ten minutes up to the close at index `last`: path, range, indicators, volume."""
    count = 600 // bars.step
    path = np.log(bars.close)[last[:, None] + np.arange(-count, 1)]
    marks = np.linspace(0, count - 1, 10).astype(int)
    shape = (path[:, -1:] - path[:, marks]) / _MOVE
    moves = np.diff(path, axis=1)
    seen = indicators(bars.close)
    inside = last[:, None] + np.arange(-count + 1, 1)
    reach = np.log(bars.high[inside].max(axis=1) / bars.low[inside].min(axis=1))
    busy = np.log1p(bars.volume[inside])
    half = count // 2
    more = [
        np.log(moves.std(axis=1) * np.sqrt(count) / _MOVE + 0.01),
        reach / _MOVE - 1.5,
        (seen.rsi[last] - 50.0) / 25.0,
        2.0 * seen.place[last] - 1.0,
        seen.momentum[last] / _MOVE,
        np.log(seen.volatility[last] / 0.0015 + 0.01),
        (seen.fast / seen.slow - 1.0)[last] / 0.001,
        busy[:, half:].mean(axis=1) - busy[:, :half].mean(axis=1),
    ]
    return np.column_stack([shape, *more])


def _longer(bars: Bars, last: NDArray[np.int64], starts: NDArray[np.int64]) -> Floats:
    """Features of the hours and ten days before: returns and their size over growing spans, averages, daily bars."""
    path, close = np.log(bars.close), bars.close
    per_minute = 60 // bars.step
    spans = []
    for minutes in _LOOKBACKS:
        back = np.maximum(last - minutes * per_minute, 0)
        spans.append((path[last] - path[back]) / (_MOVE * np.sqrt(minutes / 10.0)))
    squares = np.concatenate([[0.0], np.cumsum(np.diff(path, prepend=path[:1]) ** 2)])
    sizes = []
    for minutes in (30, 120, 480, 1440):
        back = np.maximum(last - minutes * per_minute, 0)
        variance = (squares[last + 1] - squares[back + 1]) / (minutes / 10.0)
        sizes.append(np.log(np.sqrt(np.maximum(variance, 0.0)) / _MOVE + 0.01))
    minute_places = last[:, None] - np.arange(60) * per_minute
    closes = close[minute_places]
    gap = (closes[:, :20].mean(axis=1) / closes.mean(axis=1) - 1.0) / 0.001
    return np.column_stack([*spans, *sizes, gap, _daily(bars, starts)])


def _daily(bars: Bars, starts: NDArray[np.int64]) -> Floats:
    """Log returns of the ten whole UTC days before each start, in units of a typical day; 0 where there are no bars."""
    day = starts // 86400
    first = bars.start // 86400
    ends = (np.arange(first, day.max() + 1) * 86400 - bars.start) // bars.step - 1
    closes = np.log(bars.close[np.clip(ends, 0, bars.close.size - 1)])
    rows = day[:, None] - first - np.arange(10)
    later, earlier = np.maximum(rows, 0), np.maximum(rows - 1, 0)
    return np.asarray((closes[later] - closes[earlier]) / (12.0 * _MOVE))


def _spread(features: Floats, which: int) -> NDArray[np.float32]:
    """Features [windows, n] as unit vectors [windows, 256]; `which` picks one of the fixed rotations."""
    rng = np.random.default_rng(20260101 + which)
    squashed = np.tanh(0.5 * features)
    weights = rng.standard_normal((features.shape[1], _COSINES))
    cosines = _LOUDNESS * np.cos(squashed @ weights + rng.uniform(0, 2 * np.pi, _COSINES))
    one = np.ones((features.shape[0], 1))
    told = np.concatenate([one, squashed, cosines], axis=1)
    rotation = np.linalg.qr(rng.standard_normal((WIDTH, told.shape[1])))[0]
    vectors = told @ rotation.T
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)
