"""Trains `rul`: bagged gradient boosting from a machine's sensors to the hours it has left, and writes its bundle.

SageMaker script mode: rows and manifest in SM_CHANNEL_TRAIN, the bundle's files to SM_MODEL_DIR, metrics to
SM_OUTPUT_DATA_DIR. A job takes a minute or two, so it has no checkpoints: one that is killed starts over, and ends with
the same bytes.
"""

import os
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ratchet.script import started
from ratchet.tables.training_data import TrainingData
from ratchet.trees import search
from ratchet.trees.bag import Bag, fit
from ratchet.trees.job import NEEDS, Answers, Floats, carry_out, fitting, rounded

KNOBS = {
    "rounds": 400, "bags": 5, "learning_rate": 0.03, "num_leaves": 15, "min_data_in_leaf": 100, "feature_fraction": 0.3,
    "bagging_fraction": 0.6, "bagging_freq": 1, "lambda_l2": 5.0, "balance": 0.5, "seed": 42, "trials": 0,
    "search_minutes": 15,
}  # fmt: skip
"""The hyperparameters and their defaults; pipeline.yaml names the values of a run."""
BIN_HOURS, LARGEST_WEIGHT = 5, 3.0


class HoursLeft:
    """A bag of models of the squared error, none of whose answers is negative."""

    unit = "each input's own"

    def train(self, x: Floats, y: Floats, names: Sequence[str], knobs: Namespace) -> Bag:
        """Rounds are fixed: to stop by the validation rows would make them part of what was learned from."""
        hours = y[:, 0]
        given = fitting(knobs, "balance")
        return fit(x, hours, weight=weights(hours, knobs.balance), names=names, least=0.0, **given)

    def calibrate(self, model: Bag, x: Floats, y: Floats) -> Bag:
        """As it is."""
        return model

    def loss(self, answers: Answers, y: Floats) -> float:
        """The mean squared error, in hours squared."""
        return float(np.square(answers - y).mean())

    def measure(self, answers: Answers, y: Floats) -> dict[str, Any]:
        """Errors in hours; R² is null where all rows have the same label."""
        mse, variance = self.loss(answers, y), float(y.var(dtype=np.float64))
        told = {"rmse": mse**0.5, "mae": float(np.abs(answers - y).mean())}
        measured = {f"validation_{name}": rounded(value) for name, value in told.items()}
        return {**measured, "validation_r2": rounded(1 - mse / variance) if variance else None}

    def folds(self, data: TrainingData) -> list[search.Fold]:
        """By machine: the hours of one are much alike."""
        return search.by_group(data)


def weights(hours: NDArray[np.floating], balance: float) -> NDArray[np.float64]:
    """float64 [N], of mean 1: the rarer a row's hours, the more it counts, up to a limit; `balance` 0 weighs none.

    Most hours of most machines are far from a fault. Balancing comes after the split, from the training rows alone, and
    by weights: a row that is there twice would be in two parts, or make the model sure of what it saw once.
    """
    bins = (hours // BIN_HOURS).astype(int)
    # In full (1), it would cost more far from a fault than is gained near one.
    rarity = np.bincount(bins)[bins] ** -float(balance)
    capped = np.minimum(rarity / rarity.mean(), LARGEST_WEIGHT)
    return np.asarray(capped / capped.mean())


def main(arguments: list[str] | None = None) -> None:
    """Reads, trains, measures, writes."""
    # LightGBM's threads wait for each other all the time: by spinning, they would keep the processor from others.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with started(KNOBS, NEEDS, os.environ, arguments, rounds=1, trials=0) as job:
        carry_out(job, HoursLeft(), partial(print, flush=True))


if __name__ == "__main__":
    main()
