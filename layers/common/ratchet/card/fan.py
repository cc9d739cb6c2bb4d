"""The fan chart: the newest forecasts as a median within its outer quantiles, with what came of them."""

import numpy as np
from numpy.typing import NDArray

from ratchet.card import scales, words
from ratchet.card.markup import Markup, tag
from ratchet.card.plot import Axis, axis, frame, panel, polyline
from ratchet.gate.metrics import Floats

Minutes = NDArray[np.int64]

_ORIGINS = 3
_POINTS = 288


def forecasts(origins: Minutes, ends: Minutes, outcomes: Floats, answers: Floats) -> Markup | None:
    """Panels of the last origins whose forecast is whole, oldest first; None where each is of a single row.

    `origins` and `ends` [N] are minutes since the epoch, `outcomes` [N], `answers` [N, 3] the lower quantile, the
    median and the upper one.
    """
    instants, counts = np.unique(origins, return_counts=True)
    # Of the very last origins the farther outcomes are not known yet.
    last = instants[counts == counts.max()][-_ORIGINS:]
    if counts.max() < 2:
        return None
    rows = [_ordered(np.flatnonzero(origins == origin), ends) for origin in last]
    shown = np.concatenate(rows)
    y = axis([float(value) for value in (*outcomes[shown], *answers[shown].ravel())])
    panels = [_forecast(int(origins[at[0]]), ends[at], outcomes[at], answers[at], y) for at in rows]
    return tag("div", panels, class_="panels")


def _ordered(rows: NDArray[np.int64], ends: Minutes) -> NDArray[np.int64]:
    """Rows in the order of their ends, thinned out evenly where there are very many."""
    thinned = np.linspace(0, len(rows) - 1, min(len(rows), _POINTS)).astype(np.int64)
    return np.asarray(rows[np.argsort(ends[rows], kind="stable")][thinned])


def _forecast(origin: int, ends: Minutes, outcomes: Floats, answers: Floats, y: Axis) -> Markup:
    edges = float(ends[0]), max(float(ends[-1]), float(ends[0]) + 1)
    x = Axis(*edges)
    lower, median, upper = (_points(ends, answers[:, column], x, y) for column in range(3))
    inside = np.mean((outcomes >= answers[:, 0]) & (outcomes <= answers[:, 2]))
    share = f"{words.percent(float(inside), signed=False)} within"
    name = f"{words.minute(origin, clock=True)} UTC"
    marks = (
        polyline([*upper, *reversed(lower)], "band"),
        polyline(median, "mean-line"),
        polyline(_points(ends, outcomes, x, y), "outcome"),
    )
    # A date at an edge would run into the next panel.
    inner = [(at, text) for at, text in scales.dates(edges, 2) if 10 < x.at(at) < 90]
    told = {"x_ticks": inner, "y_ticks": scales.numbers(y, 4)}
    label = f"Forecast of {name}: outcomes over {len(ends)} steps, {share} the band."
    return panel(name, share, frame(*marks, x=x, y=y, label=label, shape="wide tall", **told))


def _points(ends: Minutes, values: Floats, x: Axis, y: Axis) -> list[tuple[float, float]]:
    return [(x.at(float(at)), y.up(float(value))) for at, value in zip(ends, values, strict=True)]
