"""Errors of predictions per target, and the one pooled loss that models are compared by. Arrays are [rows, targets]."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TargetMetrics:
    """One target's errors. `r2` and `sign_accuracy` are None where they do not exist (constant, or never off zero).

    `pinball` is None for what is no quantile.
    """

    mse: float
    mae: float
    r2: float | None
    sign_accuracy: float | None
    pinball: float | None = None


def per_target(realised: Floats, predicted: Floats) -> list[TargetMetrics]:
    """MSE and MAE in (squared) units of the target, R² against the mean of these rows, and sign accuracy.

    Sign accuracy is the share of rows realised above or below zero whose predicted sign is the same.
    """
    return [_target(realised[:, column], predicted[:, column]) for column in range(realised.shape[1])]


def row_losses(realised: Floats, predicted: Floats, variances: Floats) -> Floats:
    """Squared errors in units of each target's training variance: 1 is as bad as always predicting the training mean.

    The scale keeps a volatile target from dominating the pooled loss. `variances` must be positive; the shape stays.
    """
    scaled: Floats = np.square(realised - predicted) / variances
    return scaled


def pooled(losses: Floats, counted: Sequence[int]) -> Floats:
    """One loss per row: the mean of `losses` over the columns `counted`."""
    mean: Floats = losses[:, list(counted)].mean(axis=1)
    return mean


def mean_r2(found: Sequence[TargetMetrics]) -> float | None:
    """The mean of the targets' R²; None where one of them has none."""
    values = [each.r2 for each in found if each.r2 is not None]
    return float(np.mean(values)) if values and len(values) == len(found) else None


def _target(realised: Floats, predicted: Floats) -> TargetMetrics:
    errors = realised - predicted
    mse = float(np.mean(np.square(errors)))
    variance = float(np.var(realised))
    moved = realised != 0
    agrees = np.sign(predicted[moved]) == np.sign(realised[moved])
    return TargetMetrics(
        mse=mse,
        mae=float(np.mean(np.abs(errors))),
        r2=1 - mse / variance if variance > 0 else None,
        sign_accuracy=float(np.mean(agrees)) if moved.any() else None,
    )
