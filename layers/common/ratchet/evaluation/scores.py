"""Predictions of every candidate on the same holdout rows, read in batches so that the features never pile up."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ratchet.gate.metrics import Floats
from ratchet.serving.session import Model
from ratchet.tables import holdout

Minutes = NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """Rows in order of time: minutes since the epoch [N], realised and predicted values [N, targets].

    `champion` is None where there is nothing to compare with: no champion, or one whose answers are no numbers.
    `total` counts the holdout's rows before it was cut.
    """

    minutes: Minutes
    realised: Floats
    challenger: Floats
    champion: Floats | None
    total: int


def none(targets: int) -> Scores:
    """No rows at all: what there is to judge when a challenger cannot be scored."""
    empty = np.empty((0, targets))
    return Scores(np.empty(0, np.int64), empty, empty, None, 0)


def score(path: Path, targets: list[str], challenger: Model, champion: Model | None, start: datetime) -> Scores:
    """Scores the rows of a holdout file whose `base_ts` is at or after `start`."""
    models = [challenger, *([champion] if champion else [])]
    batches = list(_batches(path, targets, models, int(start.timestamp() // 60)))
    minutes = np.concatenate([batch[0] for batch in batches]) if batches else np.empty(0, np.int64)
    values = [
        np.concatenate([batch[1][index] for batch in batches]) if batches else np.empty((0, len(targets)))
        for index in range(1 + len(models))
    ]
    rival = values[2] if champion and np.isfinite(values[2]).all() else None
    return Scores(minutes, values[0], values[1], rival, holdout.count(path))


def _batches(path: Path, targets: list[str], models: list[Model], first: int) -> list[tuple[Minutes, list[Floats]]]:
    found = []
    for batch in holdout.read(path, targets):
        kept = batch.minutes >= first
        if kept.any():
            predicted = [model.predict(batch.features[kept]).astype(np.float64) for model in models]
            found.append((batch.minutes[kept], [batch.realised[kept], *predicted]))
    return found
