"""Student's t distribution: tail and quantile, as far as an interval needs them (numpy has neither)."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_POINTS = 100_001


def upper_tail(value: float, freedom: int) -> float:
    """P(T > value) for `freedom` degrees of freedom."""
    angles, cumulative = _cumulative(freedom)
    return float(np.interp(-np.arctan(value / np.sqrt(freedom)), angles, cumulative))


def upper_quantile(tail: float, freedom: int) -> float:
    """The value that T exceeds with probability `tail`, in (0, 1)."""
    angles, cumulative = _cumulative(freedom)
    return float(-np.sqrt(freedom) * np.tan(np.interp(tail, cumulative, angles)))


@lru_cache(maxsize=8)
def _cumulative(freedom: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The distribution over θ in T = √freedom · tan θ, whose density is proportional to cos(θ) ** (freedom - 1)."""
    angles = np.linspace(-np.pi / 2, np.pi / 2, _POINTS)
    density = np.clip(np.cos(angles), 0, None) ** (freedom - 1)
    steps = (density[1:] + density[:-1]) / 2
    cumulative = np.concatenate([[0.0], np.cumsum(steps)])
    return angles, cumulative / cumulative[-1]
