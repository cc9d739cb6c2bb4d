"""Bars: quantities that start at zero, one below the other beside their names, or one for each hour of a day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ratchet.card import scales, words
from ratchet.card.markup import Markup, tag
from ratchet.card.plot import Axis, box, canvas, frame, line

_HOURS = 24
_GAP = 0.14


@dataclass(frozen=True)
class Bar:
    """A quantity with its name; `mark` is another one to compare it with."""

    name: str
    value: float
    note: str = ""
    mark: float | None = None


def table(bars: Sequence[Bar], heads: tuple[str, str]) -> Markup:
    """A table with one strip per bar, all on one scale; `heads` name the first and the last column."""
    scale = _from_zero([value for bar in bars for value in (bar.value, bar.mark) if value is not None])
    first, last = (tag("th", text, scope="col") for text in heads)
    head = tag("thead", tag("tr", first, tag("td"), last))
    return tag("table", head, tag("tbody", [_row(bar, scale) for bar in bars]), class_="bars")


def by_hour(values: Mapping[int, float], label: str) -> Markup:
    """A bar for each hour of the day that has a value."""
    x, y = Axis(0.0, float(_HOURS)), _from_zero(list(values.values()))
    width = (1 - 2 * _GAP) * 100 / _HOURS
    drawn = [box(x.at(hour + _GAP), y.up(value), width, 100 - y.up(value), "column") for hour, value in values.items()]
    hours = [(float(hour), f"{hour:02}:00") for hour in range(0, _HOURS + 1, 6)]
    return frame(drawn, x=x, y=y, x_ticks=hours, y_ticks=scales.numbers(y, 3), label=label, shape="wide")


def _from_zero(values: Sequence[float]) -> Axis:
    return Axis(0.0, max([*values, 0.0]) * 1.04 or 1.0)


def _row(bar: Bar, scale: Axis) -> Markup:
    mark = None if bar.mark is None else line(scale.at(bar.mark), 0, scale.at(bar.mark), 100, "rival")
    strip = canvas(box(0, 22, scale.at(bar.value), 56, "column"), mark)
    note = tag("small", bar.note) if bar.note else None
    return tag(
        "tr",
        tag("th", bar.name, " ", note, scope="row"),
        tag("td", strip, class_="strip"),
        tag("td", words.figure(bar.value), class_="num"),
    )
