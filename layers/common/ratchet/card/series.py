"""Charts over the scored rows: predicted against realised, residuals and the running advantage over time.

However many rows there are, a chart holds a bounded number of marks: rows are counted into bins first.
"""

import numpy as np
from numpy.typing import NDArray

from ratchet.card import scales, words
from ratchet.card.markup import Markup, join, tag
from ratchet.card.plot import Axis, axis, box, dot, frame, line, panel, polyline
from ratchet.gate.metrics import Floats

Minutes = NDArray[np.int64]

_CELLS = 26
_SHADES = 6
_GROUPS = 8
_MOMENTS = 72


def predicted_against_realised(predicted: Floats, realised: Floats, name: str, unit: str) -> Markup:
    """Density of one target's rows [N], the means of eight equal groups by prediction, and the line of perfection."""
    x, y = _inner(predicted), _inner(realised)
    low, high = max(x.low, y.low), min(x.high, y.high)
    perfect = line(x.at(low), y.up(low), x.at(high), y.up(high), "perfect") if low < high else None
    groups = [group for group in np.array_split(np.argsort(predicted, kind="stable"), _GROUPS) if len(group)]
    means = [(x.at(float(predicted[g].mean())), y.up(float(realised[g].mean()))) for g in groups]
    label = f"{name}: realised over predicted, {len(realised):,} rows, correlation {_correlation(predicted, realised)}."
    marks = (_density(predicted, realised, x, y), perfect, [dot(*mean, "mean") for mean in means])
    chart = frame(
        *marks, x=x, y=y, x_ticks=scales.numbers(x, 4), y_ticks=scales.numbers(y, 4), label=label, shape="square"
    )
    return panel(name, f"r = {_correlation(predicted, realised)}", chart, f"→ predicted, ↑ realised ({unit})")


def residuals_over_time(minutes: Minutes, residual: Floats, name: str, unit: str) -> Markup:
    """Mean of one target's residuals (realised - predicted, [N]) per stretch of time, over the band of 8 in 10."""
    edges, parts = _stretches(minutes)
    quantiles = np.array([np.quantile(residual[part], [0.1, 0.9]) for part in parts])
    means = np.array([residual[part].mean() for part in parts])
    centres = [float(minutes[part].mean()) for part in parts]
    x, y = Axis(*edges), axis(quantiles.ravel(), include=[0.0, *means])
    band = _band([x.at(value) for value in centres], quantiles, y)
    mean = polyline(((x.at(at), y.up(value)) for at, value in zip(centres, means, strict=True)), "mean-line")
    bias = f"mean {words.number(float(f'{residual.mean():.2g}'))} {unit}"
    marks = (band, line(0, y.up(0), 100, y.up(0), "zero"), mean)
    chart = frame(
        *marks,
        x=x,
        y=y,
        x_ticks=scales.dates(edges, 3),
        y_ticks=scales.numbers(y, 4),
        label=f"{name}: residuals over time, {bias}.",
        shape="wide",
    )
    return panel(name, bias, chart)


def advantage_over_time(minutes: Minutes, advantage: Floats, reference: str) -> Markup:
    """The reference's loss less the challenger's, summed up row by row [N]: rising means that the challenger gains."""
    edges, parts = _stretches(minutes)
    running = np.cumsum(advantage)
    values = [0.0, *(float(running[part[-1]]) for part in parts)]
    moments = [edges[0], *(float(minutes[part[-1]]) for part in parts)]
    x, y = Axis(*edges), axis(values, include=[0.0])
    kind = "gain" if values[-1] >= 0 else "loss"
    points = [(x.at(at), y.up(value)) for at, value in zip(moments, values, strict=True)]
    area = polyline([(points[0][0], y.up(0)), *points, (points[-1][0], y.up(0))], f"area {kind}")
    label = f"Running sum of the advantage over {reference}: {words.number(values[-1])} at the end."
    marks = (area, line(0, y.up(0), 100, y.up(0), "zero"), polyline(points, f"run {kind}"))
    return frame(
        *marks, x=x, y=y, x_ticks=scales.dates(edges, 6), y_ticks=scales.numbers(y, 4), label=label, shape="wide tall"
    )


def _density(predicted: Floats, realised: Floats, x: Axis, y: Axis) -> Markup:
    """Cells shaded by their share of the fullest one, one path per shade."""
    spans = [[x.low, x.high], [y.low, y.high]]
    counts, _, _ = np.histogram2d(_held(predicted, x), _held(realised, y), _CELLS, spans)
    shade = np.ceil(_SHADES * np.sqrt(counts / max(1.0, counts.max()))).astype(int)
    size = 100 / _CELLS
    paths = []
    for depth in range(1, _SHADES + 1):
        cells = np.argwhere(shade == depth)
        drawn = "".join(
            f"M{i * size:.4g} {100 - (j + 1) * size:.4g}h{size:.4g}v{size:.4g}h-{size:.4g}z" for i, j in cells
        )
        paths.append(tag("path", d=drawn, class_="cell", fill_opacity=depth / _SHADES) if drawn else None)
    return join(paths)


def _held(values: Floats, along: Axis) -> Floats:
    """Values beyond the axis are counted at its ends."""
    return np.clip(values, along.low, along.high)


def _band(positions: list[float], quantiles: Floats, y: Axis) -> Markup:
    upper = [(at, y.up(value)) for at, value in zip(positions, quantiles[:, 1], strict=True)]
    lower = [(at, y.up(value)) for at, value in zip(positions, quantiles[:, 0], strict=True)]
    if len(positions) == 1:
        return box(0, upper[0][1], 100, lower[0][1] - upper[0][1], "band")
    return polyline([*upper, *reversed(lower)], "band")


def _stretches(minutes: Minutes) -> tuple[tuple[float, float], list[NDArray[np.int64]]]:
    """First and last minute, and the rows' indices by equal stretches of time, empty ones left out."""
    start, end = float(minutes[0]), float(minutes[-1])
    end = max(end, start + 1)
    count = int(min(_MOMENTS, max(1, len(minutes) // 6)))
    which = np.minimum(((minutes - start) / (end - start) * count).astype(int), count - 1)
    return (start, end), [found for part in range(count) if len(found := np.flatnonzero(which == part))]


def _inner(values: Floats) -> Axis:
    """The middle 99 % of the values: single outliers would flatten everything else onto a line."""
    return axis([float(value) for value in np.quantile(values, [0.005, 0.995])], include=[float(values.mean())])


def _correlation(first: Floats, second: Floats) -> str:
    if not (first.std() > 0 and second.std() > 0):
        return words.NOTHING
    return f"{float(np.corrcoef(first, second)[0, 1]):.2f}".replace("-", "−")
