"""Where a model errs: its mean absolute error by the rows' group and by the hour of the day. Pure functions."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from ratchet.catalog import Pipeline
from ratchet.evaluation.scores import Minutes, Scores
from ratchet.evaluation.target import Target
from ratchet.gate import quantiles
from ratchet.gate.metrics import Floats
from ratchet.sources import SensorFiles

MOST_GROUPS = 100
"""Groups that are told, those with most rows first: a day of horizons of a quarter of an hour has 96."""
NOWHERE: dict[str, Any] = {"groups": None, "groups_left_out": 0, "hours": {}}
"""Where there is nothing to tell."""


def of(scores: Scores, targets: list[Target], pipeline: Pipeline) -> dict[str, Any]:
    """`groups`, `groups_left_out` and `hours` of `evaluation.json` (docs/contracts.md)."""
    if pipeline.gate.metric == "auc":
        # Thousands of users with a row or two each, all of the hour in which their file came.
        return NOWHERE
    columns = _columns(targets, pipeline)
    ours = _error(scores.realised, scores.challenger, columns)
    theirs = None if scores.champion is None else _error(scores.realised, scores.champion, columns)
    found = None if scores.groups is None else _by_group(scores.groups, ours, theirs)
    told = None if found is None else dict(sorted(found.items(), key=lambda item: -item[1]["rows"])[:MOST_GROUPS])
    return {
        "groups": told,
        "groups_left_out": len(found or {}) - len(told or {}),
        "hours": _by_hour(_hours(scores, pipeline), ours),
    }


def _columns(targets: list[Target], pipeline: Pipeline) -> list[int]:
    """The median's column, or those of the counted targets."""
    shares = quantiles.of(list(pipeline.data.targets), pipeline.gate.quantiles)
    return [shares.median] if shares else [index for index, target in enumerate(targets) if target.counted]


def _error(realised: Floats, predicted: Floats, columns: list[int]) -> Floats:
    error: Floats = np.abs(realised[:, columns] - predicted[:, columns]).mean(axis=1)
    return error


def _by_group(groups: NDArray[np.str_], ours: Floats, theirs: Floats | None) -> dict[str, dict[str, Any]]:
    names, which, rows = np.unique(groups, return_inverse=True, return_counts=True)
    mine = np.bincount(which, ours) / rows
    champion = None if theirs is None else np.bincount(which, theirs) / rows
    return {
        str(name): {
            "rows": int(rows[at]),
            "mae": float(mine[at]),
            "champion_mae": None if champion is None else float(champion[at]),
        }
        for at, name in enumerate(names)
    }


def _by_hour(hours: NDArray[np.int64], error: Floats) -> dict[str, dict[str, Any]]:
    rows, sums = np.bincount(hours, minlength=24), np.bincount(hours, error, minlength=24)
    return {
        f"{hour:02}": {"rows": int(rows[hour]), "mae": float(sums[hour] / rows[hour])}
        for hour in range(24)
        if rows[hour]
    }


def _hours(scores: Scores, pipeline: Pipeline) -> NDArray[np.int64]:
    """The hour of the clock in the pipeline's zone: in which a machine is looked at, or in which an outcome falls."""
    sensors = isinstance(pipeline.source, SensorFiles)
    # What ends on the hour belongs to the hour before.
    minutes: Minutes = scores.minutes if sensors else scores.ends - 1
    zone = ZoneInfo(pipeline.time_zone)
    instants, which = np.unique(minutes, return_inverse=True)
    hours = [datetime.fromtimestamp(minute * 60, zone).hour for minute in instants.tolist()]
    return np.array(hours, np.int64)[which]
