"""The naive predictions that a model must beat before anything else: knowing nothing, and knowing only the mean."""

import numpy as np

from ratchet.errors import BadConfiguration
from ratchet.gate.metrics import Floats

NAMES = {"zero": "always zero", "train_mean": "the training mean"}
"""Every baseline with its name in plain words."""


def prediction(baseline: str, train_mean: Floats, rows: int) -> Floats:
    """The baseline's predictions, [rows, targets]; `train_mean` is that of the challenger's training rows.

    Raises BadConfiguration for a baseline that there is not.
    """
    if baseline not in NAMES:
        raise BadConfiguration(f"gate.baselines: '{baseline}' is unknown; there are {', '.join(NAMES)}.")
    values = np.zeros_like(train_mean) if baseline == "zero" else train_mean
    return np.broadcast_to(values, (rows, len(values)))
