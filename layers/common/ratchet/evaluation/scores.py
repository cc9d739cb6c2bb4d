"""Predictions of every candidate on the same holdout rows, read in batches so that the features never pile up."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ratchet.catalog import Pipeline
from ratchet.gate import skill
from ratchet.gate.metrics import Floats
from ratchet.serving.session import Model
from ratchet.tables import holdout
from ratchet.tables.holdout import Batch

Minutes = NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """Rows in order of time: minutes since the epoch [N], realised and predicted values [N, targets].

    `champion` is None where there is nothing to compare with: no champion, or one whose answers are no numbers.
    `total` counts the holdout's rows before it was cut. `ends` [N] are the minutes in which the labels end, `baselines`
    the answers [N] of those that were prepared, `groups` [N] None where the pipeline has none.
    """

    minutes: Minutes
    realised: Floats
    challenger: Floats
    champion: Floats | None
    total: int
    ends: Minutes
    baselines: dict[str, Floats]
    groups: NDArray[np.str_] | None


def none(targets: int, total: int = 0) -> Scores:
    """No rows at all: what there is to judge when a challenger cannot be scored, or has seen them all."""
    nothing, empty = np.empty(0, np.int64), np.empty((0, targets))
    return Scores(nothing, empty, empty, None, total, nothing, {}, None)


def score(path: Path, pipeline: Pipeline, challenger: Model, champion: Model | None, start: datetime) -> Scores:
    """Scores the rows of a holdout file whose `base_ts` is at or after `start`."""
    targets, prepared = list(pipeline.data.targets), skill.prepared(pipeline.gate.baselines)
    models = [challenger, *([champion] if champion else [])]
    read = holdout.read(path, targets, grouped=pipeline.data.group is not None, baselines=prepared)
    batches = (_since(batch, int(start.timestamp() // 60)) for batch in read)
    parts = [_scored(batch, models) for batch in batches if len(batch.minutes)]
    total = holdout.count(path)
    return _joined(parts, total) if parts else none(len(targets), total)


def _since(batch: Batch, first: int) -> Batch:
    """The rows at or after a minute."""
    kept = batch.minutes >= first
    return Batch(
        minutes=batch.minutes[kept],
        ends=batch.ends[kept],
        realised=batch.realised[kept],
        features=batch.features[kept],
        groups=None if batch.groups is None else batch.groups[kept],
        baselines={name: values[kept] for name, values in batch.baselines.items()},
    )


def _scored(batch: Batch, models: list[Model]) -> Scores:
    answers = [model.predict(batch.features).astype(np.float64) for model in models]
    rival = answers[1] if len(answers) > 1 else None
    rows = len(batch.minutes)
    return Scores(batch.minutes, batch.realised, answers[0], rival, rows, batch.ends, batch.baselines, batch.groups)


def _joined(parts: list[Scores], total: int) -> Scores:
    """Parts one after the other; a champion of which one answer is no number is none to compare with."""
    rivals = [part.champion for part in parts if part.champion is not None]
    rival = np.concatenate(rivals) if rivals else None
    groups = [part.groups for part in parts if part.groups is not None]
    return Scores(
        minutes=np.concatenate([part.minutes for part in parts]),
        realised=np.concatenate([part.realised for part in parts]),
        challenger=np.concatenate([part.challenger for part in parts]),
        champion=rival if rival is not None and np.isfinite(rival).all() else None,
        total=total,
        ends=np.concatenate([part.ends for part in parts]),
        baselines={name: np.concatenate([part.baselines[name] for part in parts]) for name in parts[0].baselines},
        groups=np.concatenate(groups) if groups else None,
    )
