"""Price bars on a regular grid: simulated with a signal of known strength, or real ones read from a CSV.

Boundary: numpy arrays only; knows neither strategies nor tables.
"""

import csv
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ratchet.errors import BadInput

Floats = NDArray[np.float64]

COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
"""Where a simulated path begins, before any shift."""

DRIFT_HALF_LIFE = 1800.0
"""Seconds in which the simulated drift loses half of itself: longer than a window, so that one tells the next."""
DRIFT_SHARE = 4.0
"""Variance of the drift's part of a 10-minute return over the variance of its noise: the strength of the signal.

With 5,000 windows ridge regression on the embeddings reaches R² of 0.1 to 0.3 out of sample on every target, an MLP as
much.
"""
NOISE = 0.0004
"""Typical noise of a simulated 15-second log return."""
VOLATILITY_HALF_LIFE = 6 * 3600.0
VOLATILITY_SPREAD = 0.4
"""Standard deviation of the logarithm of the noise's size."""


@dataclass(frozen=True)
class Bars:
    """Bars of equal length without holes; a bar that the source lacks repeats the close before and is not `present`."""

    start: int
    """Epoch second at which the first bar begins; a multiple of `step`."""
    step: int
    """Seconds per bar."""
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    present: NDArray[np.bool_]
    synthetic: bool
    source: str
    """What a person calls these prices."""


def simulate(bars: int, seed: int) -> Bars:
    """A 15-second path of `bars` bars whose drift reverts slowly to zero: what was, foretells a part of what comes.

    The drift is an Ornstein-Uhlenbeck process, the noise's size the exponential of another one. Same seed, same path.
    """
    step = 15
    rng = np.random.default_rng(seed)
    size = NOISE * np.exp(VOLATILITY_SPREAD * _reverting(bars, step, VOLATILITY_HALF_LIFE, rng))
    per_window = 600 // step
    drift = NOISE * np.sqrt(DRIFT_SHARE / per_window) * _reverting(bars, step, DRIFT_HALF_LIFE, rng)
    moves = drift + size * rng.standard_normal(bars)
    close = 46_000.0 * np.exp(np.cumsum(moves))
    opened = np.concatenate([[46_000.0], close[:-1]])
    reach = 0.5 * size * np.abs(rng.standard_normal((2, bars)))
    volume = rng.lognormal(12.0, 0.5, bars) * (1.0 + np.abs(moves) / NOISE)
    high = np.maximum(opened, close) * (1.0 + reach[0])
    low = np.minimum(opened, close) * (1.0 - reach[1])
    there = np.ones(bars, dtype=np.bool_)
    return Bars(START, step, high, low, close, volume, there, True, f"a simulated path (seed {seed})")


def read_csv(path: Path) -> Bars:
    """One-minute bars from a CSV with the columns timestamp, open, high, low, close, volume, sorted by time.

    A time is the start of its bar, in UTC where it names no offset. Missing minutes are allowed. Raises BadInput
    naming the line and the fault.
    """
    if not path.is_file():
        raise BadInput(f"{path} is not a file; --from-bars takes a CSV of one-minute bars.")
    with path.open(newline="", encoding="utf-8", errors="replace") as handle:
        reader = csv.reader(handle)
        head = next(reader, [])
        if [name.strip().lower() for name in head] != list(COLUMNS):
            raise BadInput(f"{path} begins with '{','.join(head)[:80]}'; the header must be {','.join(COLUMNS)}.")
        rows = [_row(row, line, path) for line, row in enumerate(reader, 2) if row]
    if not rows:
        raise BadInput(f"{path} has a header and no bars.")
    return _gridded(np.array(rows), path)


def _reverting(count: int, step: float, half_life: float, rng: np.random.Generator) -> Floats:
    """A stationary Ornstein-Uhlenbeck path of unit variance."""
    keep = 0.5 ** (step / half_life)
    shocks = np.sqrt(1.0 - keep**2) * rng.standard_normal(count)
    path = np.empty(count)
    value = rng.standard_normal()
    for i, shock in enumerate(shocks.tolist()):
        value = keep * value + shock
        path[i] = value
    return path


def _row(row: list[str], line: int, path: Path) -> tuple[float, ...]:
    """(epoch seconds, open, high, low, close, volume) of one line."""
    where = f"{path}, line {line}"
    if len(row) != len(COLUMNS):
        raise BadInput(f"{where} has {len(row)} fields, not {len(COLUMNS)}.")
    try:
        instant = datetime.fromisoformat(row[0].strip())
        numbers = [float(text) for text in row[1:]]
    except ValueError as error:
        raise BadInput(f"{where}: {error}.") from error
    opened, high, low, close, volume = numbers
    if not (
        np.isfinite(numbers).all() and 0 < low <= min(opened, close) and high >= max(opened, close) and volume >= 0
    ):
        raise BadInput(
            f"{where}: the prices must be positive with low <= open, close <= high, the volume not negative."
        )
    stamp = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
    if stamp % 60:
        raise BadInput(f"{where}: {row[0]} is not on the minute; --from-bars takes one-minute bars.")
    return (stamp, *numbers)


def _gridded(rows: Floats, path: Path) -> Bars:
    """Rows of a file on the grid of minutes."""
    stamps = rows[:, 0].astype(np.int64)
    back = np.flatnonzero(np.diff(stamps) <= 0)
    if back.size:
        raise BadInput(
            f"{path}, line {int(back[0]) + 3} is not later than the line before; sort the bars, oldest first."
        )
    places = (stamps - stamps[0]) // 60
    count = int(places[-1]) + 1
    present = np.zeros(count, dtype=np.bool_)
    present[places] = True
    last = np.maximum.accumulate(np.where(present, np.arange(count), 0))
    rank = np.cumsum(present) - 1
    close = rows[rank[last], 4]
    high = np.where(present, rows[rank, 2], close)
    low = np.where(present, rows[rank, 3], close)
    volume = np.where(present, rows[rank, 5], 0.0)
    return Bars(int(stamps[0]), 60, high, low, close, volume, present, False, f"bars of {path.name}")
