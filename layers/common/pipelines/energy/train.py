"""Trains `energy`: gradient boosting from a household's past to three quantiles of its power, and writes its bundle.

SageMaker script mode: rows and manifest in SM_CHANNEL_TRAIN, the bundle's files to SM_MODEL_DIR, metrics to
SM_OUTPUT_DATA_DIR. A job takes a minute or two, so it has no checkpoints: one that is killed starts over, and ends with
the same bytes.
"""

import os
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from ratchet import catalog
from ratchet.gate.quantiles import row_losses
from ratchet.script import started
from ratchet.tables.training_data import TrainingData
from ratchet.trees import search
from ratchet.trees.job import NEEDS, Answers, Floats, carry_out, fitting, rounded
from ratchet.trees.quantiles import MEDIAN, Quantiles, fit

KNOBS = {
    "rounds": 300, "bags": 1, "learning_rate": 0.05, "num_leaves": 31, "min_data_in_leaf": 200, "feature_fraction": 0.4,
    "bagging_fraction": 0.5, "bagging_freq": 1, "lambda_l2": 0.0, "seed": 42, "trials": 0, "search_minutes": 15,
}  # fmt: skip
"""The hyperparameters and their defaults; pipeline.yaml names the values of a run."""


@dataclass(frozen=True)
class Load:
    """A bag of models for each quantile, which `shares` [targets] are in growing order; answers do not cross."""

    shares: tuple[float, ...]
    targets: tuple[str, ...]
    unit = "each input's own"

    def train(self, x: Floats, y: Floats, names: Sequence[str], knobs: Namespace) -> Quantiles:
        """All targets are the same outcome. Rounds are fixed: see `rul`."""
        return fit(x, y[:, 0], shares=self.shares, names=names, **fitting(knobs))

    def calibrate(self, model: Quantiles, x: Floats, y: Floats) -> Quantiles:
        """The outer quantiles moved to where the promised shares of the validation rows lie below them."""
        return model.calibrated(x, y[:, 0], self.shares)

    def losses(self, answers: Answers, y: Floats) -> Answers:
        """The mean pinball loss of each quantile, in kW."""
        shares = np.array(self.shares)
        return np.asarray(row_losses(y.astype(np.float64), answers, shares, np.ones_like(shares)).mean(axis=0))

    def loss(self, answers: Answers, y: Floats) -> float:
        """The mean over the quantiles."""
        return float(self.losses(answers, y).mean())

    def measure(self, answers: Answers, y: Floats) -> dict[str, Any]:
        """Pinball losses, the error of the median, and the share of outcomes between the outer quantiles."""
        inside = (y[:, 0] >= answers[:, 0]) & (y[:, 0] <= answers[:, -1])
        error = np.abs(answers - y)[:, self.shares.index(MEDIAN)].mean()
        pinball = zip(self.targets, map(rounded, self.losses(answers, y)), strict=True)
        told = {"validation_mae": rounded(error), "validation_coverage": rounded(inside.mean())}
        return {**told, "validation_pinball": dict(pinball)}

    def folds(self, data: TrainingData) -> list[search.Fold]:
        """Forwards in time, as a forecast is used."""
        return search.forward(data)


def main(arguments: list[str] | None = None) -> None:
    """Reads, trains, measures, writes."""
    # LightGBM's threads wait for each other all the time: by spinning, they would keep the processor from others.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with started(KNOBS, {**NEEDS, "yaml": "pyyaml==6.0.3"}, os.environ, arguments, rounds=1, trials=0) as job:
        pipeline = catalog.load("energy")
        targets = tuple(pipeline.data.targets)
        recipe = Load(tuple(pipeline.gate.quantiles[name] for name in targets), targets)
        carry_out(job, recipe, partial(print, flush=True))


if __name__ == "__main__":
    main()
