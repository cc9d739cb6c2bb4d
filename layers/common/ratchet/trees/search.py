"""A search for better parameters of trees, within the training rows alone: folds to judge by, and Optuna to propose.

Imports Optuna when it searches, which only jobs with `trials` need.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import BadInput
from ratchet.tables.training_data import TrainingData

NEEDS = {"optuna": "optuna==5.0.0"}
FOLDS = 3
RANGES: dict[str, tuple[float, float, bool]] = {
    "num_leaves": (7, 63, True),
    "min_data_in_leaf": (20, 500, True),
    "learning_rate": (0.01, 0.1, True),
    "feature_fraction": (0.2, 1.0, False),
    "lambda_l2": (0.0, 30.0, False),
}
"""What is searched: from, to, and whether by its logarithm. Whole numbers stay whole."""
Values = dict[str, int | float]
Rows = NDArray[np.int64]
Fold = tuple[Rows, Rows]
"""Rows to learn from, and rows to judge by."""


@dataclass(frozen=True)
class Found:
    """The best values, and all trials: `{number, value, params}`, where the value is the mean loss over the folds."""

    values: Values
    trials: list[dict[str, Any]]


def best(loss: Callable[[Values], float], start: Values, *, trials: int, minutes: float, seed: int) -> Found:
    """The values of the least loss over so many trials, the first of which is `start`: never worse than that.

    Proposals are those of a tree-structured Parzen estimator (Bergstra et al. 2011). After `minutes` no further trial
    begins; where that does not happen, the same seed finds the same.
    """
    import optuna

    def tried(trial: optuna.Trial) -> float:
        return loss({name: _proposed(trial, name, value) for name, value in start.items()})

    def ended(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        if time.monotonic() >= until:
            study.stop()

    until = time.monotonic() + 60 * minutes
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial(start)
    study.optimize(tried, n_trials=trials, callbacks=[ended])
    table = [{"number": each.number, "value": each.value, "params": each.params} for each in study.trials]
    return Found(study.best_params, table)


def start_of(knobs: Mapping[str, Any]) -> Values:
    """Those of the knobs that are searched."""
    return {name: knobs[name] for name in RANGES}


def by_group(data: TrainingData) -> list[Fold]:
    """Folds of whole groups, each judged by once. Raises BadInput where there are fewer groups than folds."""
    names, numbers = np.unique(data.groups["train"] if data.groups else [], return_inverse=True)
    if len(names) < FOLDS:
        raise BadInput(f"A search needs {FOLDS} groups among the training rows, not {len(names)}: set trials to 0.")
    return [(np.flatnonzero(numbers % FOLDS != fold), np.flatnonzero(numbers % FOLDS == fold)) for fold in range(FOLDS)]


def forward(data: TrainingData) -> list[Fold]:
    """Folds of time, each judged by what was known when it began; before the first there is as much to learn from.

    A row is known from the end of its label on. Raises BadInput where time is too short for that.
    """
    starts, ends = data.starts["train"], data.ends["train"]
    stretches = np.array_split(np.unique(starts), FOLDS + 1)[1:]
    folds = [
        (np.flatnonzero(ends <= each[0]), np.flatnonzero((starts >= each[0]) & (starts <= each[-1])))
        for each in stretches
        if len(each)
    ]
    if len(folds) < FOLDS or not all(len(learned) for learned, _ in folds):
        raise BadInput(f"A search needs training rows of {FOLDS + 1} stretches of time: set trials to 0.")
    return folds


def _proposed(trial: Any, name: str, start: float) -> int | float:
    """A value within its range, which reaches as far as the value to start from."""
    low, high, logarithmic = RANGES[name]
    suggest = trial.suggest_int if isinstance(start, int) else trial.suggest_float
    proposed: int | float = suggest(name, min(low, start), max(high, start), log=logarithmic)
    return proposed
