"""The frame of every chart: an SVG that stretches with the page, with its text in HTML so that it stays readable.

Charts draw in a box of 100 x 100, the origin at the top left; strokes do not stretch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10

from ratchet.card.markup import Content, Markup, tag

Tick = tuple[float, str]
"""A value and its label."""


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high` along 0 to 100."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Where a value lies, held within the box."""
        return min(100.0, max(0.0, 100 * (value - self.low) / (self.high - self.low)))

    def up(self, value: float) -> float:
        """Where a value lies on a vertical axis, whose high end is the top."""
        return 100 - self.at(value)


def axis(values: Iterable[float], *, include: Sequence[float] = (), padding: float = 0.06) -> Axis:
    """An axis that holds the values, with some room."""
    found = [value for value in (*values, *include) if isfinite(value)] or [0.0]
    low, high = min(found), max(found)
    room = (high - low) * padding or max(abs(high), 1.0) * padding
    return Axis(low - room, high + room)


def ticks(along: Axis, wanted: int = 4) -> list[float]:
    """Round values within the axis, about as many as wanted."""
    raw = (along.high - along.low) / max(1, wanted)
    magnitude = 10 ** floor(log10(raw))
    step = next(factor for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= raw * 0.999) * magnitude
    return [index * step for index in range(ceil(along.low / step - 1e-9), floor(along.high / step + 1e-9) + 1)]


def frame(
    *marks: Content,
    x: Axis,
    y: Axis,
    x_ticks: Sequence[Tick],
    y_ticks: Sequence[Tick],
    label: str,
    shape: str = "",
) -> Markup:
    """A chart with its axes; `label` says to those who cannot see it what it shows."""
    grid = [line(x.at(value), 0, x.at(value), 100, "grid") for value, _ in x_ticks]
    grid += [line(0, y.up(value), 100, y.up(value), "grid") for value, _ in y_ticks]
    return tag(
        "div",
        tag("div", [_label("top", y.up(value), text) for value, text in y_ticks], class_="ys"),
        canvas(grid, *marks, label=label),
        tag("div", [_label("left", x.at(value), text) for value, text in x_ticks], class_="xs"),
        class_=f"plot {shape}".strip(),
    )


def panel(name: str, fact: str, chart: Markup, below: str | None = None) -> Markup:
    """A chart under its name and the one fact to read first."""
    head = tag("figcaption", tag("b", name), " ", tag("span", fact))
    return tag("figure", head, chart, tag("small", below) if below else None, class_="panel")


def canvas(*marks: Content, label: str | None = None) -> Markup:
    """The drawing itself; without a label it only repeats numbers that stand beside it."""
    seen = {"role": "img", "aria_label": label} if label else {"aria_hidden": "true"}
    return tag("svg", *marks, viewBox="0 0 100 100", preserveAspectRatio="none", **seen)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A straight stroke."""
    return tag("path", d=f"M{x1:.5g} {y1:.5g}L{x2:.5g} {y2:.5g}", class_=kind)


def dot(x: float, y: float, kind: str) -> Markup:
    """A round dot: a stroke without length keeps its shape where the drawing is stretched."""
    return tag("path", d=f"M{x:.5g} {y:.5g}h0", class_=f"dot {kind}")


def polyline(points: Iterable[tuple[float, float]], kind: str) -> Markup:
    """A stroke through points."""
    return tag("path", d="M" + "L".join(f"{x:.5g} {y:.5g}" for x, y in points), class_=kind)


def box(x: float, y: float, width: float, height: float, kind: str) -> Markup:
    """A filled rectangle."""
    return tag("rect", x=float(x), y=float(y), width=float(width), height=float(height), class_=kind)


def _label(side: str, position: float, text: str) -> Markup:
    return tag("span", text, style=f"{side}:{position:.4g}%")
