"""Which targets are worth judging: constant and redundant ones are told apart on training rows. numpy only."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-6
"""Greatest deviation from a constant or an affine function, relative to the target's own magnitude."""


def describe(
    units: Mapping[str, str], values: NDArray[np.float64], *, quantiles: bool = False
) -> dict[str, dict[str, Any]]:
    """For each target, a column of `values` [rows, targets]: unit, mean, variance, counted, why_not.

    A target is not counted when it is constant or an affine function of an earlier counted one; but the columns of
    `quantiles` of one outcome are all the same, and each counts.
    """
    described: dict[str, dict[str, Any]] = {}
    for column, (name, unit) in enumerate(units.items()):
        earlier = [k for k, other in enumerate(list(units)[:column]) if described[other]["counted"] and not quantiles]
        why_not = _why_not(values, column, earlier, list(units))
        moments = {"mean": float(values[:, column].mean()), "variance": float(values[:, column].var())}
        described[name] = {"unit": unit, **moments, "counted": why_not is None, "why_not": why_not}
    return described


def _why_not(values: NDArray[np.float64], column: int, earlier: list[int], names: list[str]) -> str | None:
    target = values[:, column]
    if np.ptp(target) <= TOLERANCE * np.abs(target).max():
        return f"constant: always {target[0]:g}"
    for other in earlier:
        slope, offset = _line(values[:, other], target)
        if np.abs(target - slope * values[:, other] - offset).max() <= TOLERANCE * np.abs(target).max():
            shift = f" {offset:+.4g}" if abs(offset) > TOLERANCE * np.abs(target).max() else ""
            return f"redundant: {slope:.4g} * {names[other]}{shift}"
    return None


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Slope and offset of the least-squares line; `x` is not constant."""
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    return slope, float(y.mean() - slope * x.mean())
