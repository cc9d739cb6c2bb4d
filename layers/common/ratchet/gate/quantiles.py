"""Models that answer with quantiles of one outcome: the loss they are trained by, and whether their band holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import BadConfiguration
from ratchet.gate.metrics import Floats, TargetMetrics

MEDIAN = 0.5


@dataclass(frozen=True)
class Quantiles:
    """The share of outcomes below each target's answers [targets], and the columns of the outer ones and the median."""

    shares: Floats
    lowest: int
    median: int
    highest: int


@dataclass(frozen=True)
class Coverage:
    """The share of outcomes between the quantiles `low` and `high`: what they promise, and what was measured."""

    low: float
    high: float
    promised: float
    measured: float


def of(targets: Sequence[str], declared: Mapping[str, float]) -> Quantiles | None:
    """Of the targets in order; None where none are declared.

    Raises BadConfiguration unless each target has another share between 0 and 1, one of them 0.5.
    """
    if not declared:
        return None
    shares = list(declared.values())
    sound = len(set(shares)) == len(shares) > 2 and all(0 < share < 1 for share in shares) and MEDIAN in shares
    if set(declared) != set(targets) or not sound:
        raise BadConfiguration(
            f"gate.quantiles must give each target ({', '.join(targets)}) a share of its own between 0 and 1, one of "
            f"them {MEDIAN}, at least three in all."
        )
    ordered = [declared[name] for name in targets]
    outer = [ordered.index(share) for share in (min(ordered), MEDIAN, max(ordered))]
    return Quantiles(np.array(ordered), *outer)


def row_losses(realised: Floats, predicted: Floats, shares: Floats, deviations: Floats) -> Floats:
    """Pinball losses in units of each target's training standard deviation; the shape [rows, targets] stays.

    What lies above an answer costs its share, what lies below it the rest (Koenker and Bassett 1978, "Regression
    quantiles"): the least loss is that of the true quantile. `deviations` must be positive.
    """
    missed = realised - predicted
    scaled: Floats = np.maximum(shares * missed, (shares - 1) * missed) / deviations
    return scaled


def with_pinball(
    found: Sequence[TargetMetrics], realised: Floats, predicted: Floats, quantiles: Quantiles
) -> list[TargetMetrics]:
    """Each target's metrics with its mean pinball loss, in units of the target."""
    means = row_losses(realised, predicted, quantiles.shares, np.ones_like(quantiles.shares)).mean(axis=0)
    return [replace(each, pinball=float(mean)) for each, mean in zip(found, means, strict=True)]


def coverage(realised: Floats, predicted: Floats, quantiles: Quantiles) -> Coverage:
    """How many outcomes lie between the outer quantiles; none does where these have crossed."""
    inside: NDArray[np.bool_] = (realised[:, quantiles.lowest] >= predicted[:, quantiles.lowest]) & (
        realised[:, quantiles.highest] <= predicted[:, quantiles.highest]
    )
    low, high = (float(quantiles.shares[column]) for column in (quantiles.lowest, quantiles.highest))
    return Coverage(low, high, round(high - low, 9), float(inside.mean()))
