"""Whether probabilities are what they say: log loss, Brier score, and outcomes beside predictions, bin by bin."""

from dataclasses import dataclass

import numpy as np

from ratchet.gate.metrics import Floats

BINS = 10
CLOSEST = float(np.finfo(np.float32).eps)
"""A probability counts as no closer to 0 or 1: models answer in float32, and one sure miss would cost infinitely."""


@dataclass(frozen=True)
class Bin:
    """Rows whose probabilities lie from `low` to `high`: their mean probability, and the share that came true."""

    low: float
    high: float
    rows: int
    predicted: float
    realised: float


@dataclass(frozen=True)
class Calibration:
    """The bins in order, and their mean distance of `predicted` from `realised`, weighed by rows."""

    error: float
    bins: list[Bin]


def log_losses(realised: Floats, predicted: Floats) -> Floats:
    """-ln of the probability that the outcome (0 or 1) was given; the shape stays."""
    held = np.clip(predicted, CLOSEST, 1 - CLOSEST)
    losses: Floats = -np.log(np.where(realised > 0, held, 1 - held))
    return losses


def brier(realised: Floats, predicted: Floats) -> float:
    """The mean squared distance of probabilities from outcomes."""
    return float(np.mean(np.square(predicted - realised)))


def calibration(realised: Floats, predicted: Floats) -> Calibration:
    """The expected calibration error over bins of as many rows each; equal probabilities share a bin.

    Bins of equal width would hold next to nothing where the outcome is rare (Nixon et al. 2019, "Measuring calibration
    in deep learning").
    """
    edges = np.unique(np.quantile(predicted, np.arange(1, BINS) / BINS))
    which = np.searchsorted(edges, predicted, side="right")
    bins = [_bin(realised[rows], predicted[rows]) for rows in (which == number for number in np.unique(which))]
    error = sum(found.rows * abs(found.predicted - found.realised) for found in bins) / len(predicted)
    return Calibration(error, bins)


def _bin(realised: Floats, predicted: Floats) -> Bin:
    return Bin(
        low=float(predicted.min()),
        high=float(predicted.max()),
        rows=len(predicted),
        predicted=float(predicted.mean()),
        realised=float(realised.mean()),
    )
