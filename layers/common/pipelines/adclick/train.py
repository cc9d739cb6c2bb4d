"""Trains `adclick`: gradient boosting from what is known of an impression to the probability of a click.

SageMaker script mode: rows and manifest in SM_CHANNEL_TRAIN, the bundle's files to SM_MODEL_DIR, metrics to
SM_OUTPUT_DATA_DIR. A job takes seconds, so it has no checkpoints: one that is killed starts over, and ends with the
same bytes.
"""

import os
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ratchet.endpoint import container
from ratchet.gate import delong
from ratchet.script import started
from ratchet.source_archive import WHEELS, installed
from ratchet.tables.training_data import TrainingData
from ratchet.trees import search
from ratchet.trees.bag import Bag, fit
from ratchet.trees.job import NEEDS, Answers, Floats, carry_out, fitting, rounded

KNOBS = {
    "rounds": 150, "bags": 1, "learning_rate": 0.05, "num_leaves": 15, "min_data_in_leaf": 20, "feature_fraction": 0.6,
    "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 1.0, "seed": 42, "trials": 0, "search_minutes": 15,
}  # fmt: skip
"""The hyperparameters and their defaults; pipeline.yaml names the values of a run."""
FOLDS = 5


class Clicks:
    """One model of the probability of a click."""

    unit = "each input's own"

    def train(self, x: Floats, y: Floats, names: Sequence[str], knobs: Namespace) -> Bag:
        """Rounds are fixed: to stop by the validation rows would make them part of what was learned from."""
        given = fitting(knobs)
        given["parameters"] = {**given["parameters"], "objective": "binary"}
        return fit(x, y[:, 0], names=names, **given)

    def calibrate(self, model: Bag, x: Floats, y: Floats) -> Bag:
        """As it is."""
        return model

    def loss(self, answers: Answers, y: Floats) -> float:
        """The log loss, in nats; infinite where what was impossible has happened, as after training that diverged."""
        with np.errstate(divide="ignore"):
            return float(-np.log(np.where(y > 0, answers, 1 - answers)).mean())

    def measure(self, answers: Answers, y: Floats) -> dict[str, Any]:
        """The area under the ROC curve of people whom the model has not seen, and the log loss."""
        return {
            "validation_auc": _told(auc(y[:, 0], answers[:, 0])),
            "validation_log_loss": rounded(self.loss(answers, y)),
        }

    def folds(self, data: TrainingData) -> list[search.Fold]:
        """By person: what one does is much alike."""
        return search.by_group(data)


def auc(y: NDArray[np.floating], scores: NDArray[np.floating]) -> float | None:
    """The area under the ROC curve of scores [N]; None where all rows have one label."""
    positive = y > 0
    if positive.all() or not positive.any():
        return None
    column = scores.astype(np.float64)[:, None]
    return float(delong.curves(positive, column, np.arange(len(positive))).areas[0])


def memorised(data: TrainingData, knobs: Namespace) -> dict[str, Any]:
    """The AUC by cross-validation on the training rows, split by row and by person: a model that is good at people of
    whom it knows other rows, and at no others, has learned them by heart.
    """
    rows = np.arange(len(data.x["train"]))
    people = np.unique(data.groups["train"], return_inverse=True)[1] if data.groups else rows
    split = {"row": rows, "group": people}
    return {f"split_by_{name}_auc": _told(_cross_validated(data, groups, knobs)) for name, groups in split.items()}


def _cross_validated(data: TrainingData, groups: NDArray[np.int64], knobs: Namespace) -> float | None:
    """The AUC of the training rows [N], each judged by a model that knows no row of its group, by number."""
    x, y, scores = data.x["train"], data.y["train"], np.empty(len(groups))
    fold = np.random.default_rng(knobs.seed).permutation(groups.max() + 1)[groups] % FOLDS
    if not fold.any():
        return None
    for judged in (fold == each for each in np.unique(fold)):
        model = Clicks().train(x[~judged], y[~judged], data.inputs, knobs)
        scores[judged] = model.predict(x[judged])
    return auc(y[:, 0], scores)


def _told(value: float | None) -> float | None:
    return None if value is None else rounded(value)


def main(arguments: list[str] | None = None) -> None:
    """Reads, trains, measures, writes."""
    # LightGBM's threads wait for each other all the time: by spinning, they would keep the processor from others.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with started(KNOBS, NEEDS, os.environ, arguments, rounds=1, trials=0) as job:
        carry_out(job, Clicks(), partial(print, flush=True), memorised)
        container.write(job.model_dir, Path(__file__).with_name("features.py"), installed() / WHEELS)


if __name__ == "__main__":
    main()
