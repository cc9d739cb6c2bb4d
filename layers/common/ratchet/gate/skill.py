"""The naive predictions that a model must beat before anything else: knowing nothing, the mean, or the past alone."""

from collections.abc import Mapping, Sequence

import numpy as np

from ratchet.errors import BadConfiguration
from ratchet.gate.metrics import Floats

NAMES = {"zero": "always zero", "train_mean": "the training mean"}
"""The baselines that are the same for every row, in plain words; any other is prepared with the rows."""


def prepared(baselines: Sequence[str]) -> list[str]:
    """Those whose answers come with the rows."""
    return [name for name in baselines if name not in NAMES]


def plain(baseline: str) -> str:
    """A baseline in plain words."""
    return NAMES.get(baseline, baseline.replace("_", " "))


def prediction(baseline: str, train_mean: Floats, rows: int, answers: Mapping[str, Floats]) -> Floats:
    """The baseline's predictions, [rows, targets]; `train_mean` is that of the challenger's training rows.

    `answers` [rows] of the prepared ones stand for every target. Raises BadConfiguration for a baseline that there is
    not.
    """
    if baseline in answers:
        return np.broadcast_to(answers[baseline][:, None], (rows, len(train_mean)))
    if baseline not in NAMES:
        raise BadConfiguration(f"gate.baselines: '{baseline}' is unknown; there are {', '.join([*NAMES, *answers])}.")
    values = np.zeros_like(train_mean) if baseline == "zero" else train_mean
    return np.broadcast_to(values, (rows, len(values)))
