"""The forest plot: every comparison with its interval on one scale, beside its numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ratchet.card import words
from ratchet.card.markup import Markup, tag
from ratchet.card.plot import Axis, axis, canvas, dot, line, ticks


@dataclass(frozen=True)
class Row:
    """A comparison: the share of the reference's loss removed, and its bounds. `kind` styles it."""

    label: str
    note: str
    estimate: float
    low: float
    high: float
    kind: str = ""


def against_reference(evaluation: Mapping[str, Any]) -> list[Row]:
    """Challenger against the champion (or the hardest baseline): pooled, then each target."""
    comparison = evaluation["comparison"]
    rows = []
    if comparison["champion"] is not None:
        rows.append(
            Row("All counted targets", "decides", comparison["relative"], comparison["low"], comparison["high"], "main")
        )
    for name, target in evaluation["targets"].items():
        effect = target["effect"]
        kind = "" if target["counted"] else "aside"
        note = "" if target["counted"] else "not counted"
        rows.append(Row(words.answer(name, target), note, effect["relative"], effect["low"], effect["high"], kind))
    return rows


def against_baselines(evaluation: Mapping[str, Any]) -> list[Row]:
    """Challenger, and champion where there is one, against each naive baseline."""
    rows = [_skill(name, "challenger", found, "main") for name, found in evaluation["skill"].items()]
    champion = evaluation["champion"] or {"skill": {}}
    return rows + [_skill(name, "champion", found, "other") for name, found in champion["skill"].items()]


def forest(rows: Sequence[Row], caption: str, margin: float | None = None) -> Markup:
    """A table with one strip per row. A bound beyond the scale ends at its edge."""
    bounds = [min(1.0, max(-1.0, value)) for row in rows if row.kind != "aside" for value in (row.low, row.high)]
    scale = axis(bounds, include=[0.0], padding=0.08)
    marks = [(value, words.tick(value)) for value in ticks(scale, 5)]
    foot = tag("div", [tag("span", text, style=f"left:{scale.at(value):.4g}%") for value, text in marks], class_="xs")
    return tag(
        "table",
        tag("caption", caption),
        tag(
            "thead",
            tag("tr", [tag("th", text, scope="col") for text in ("Comparison", "Worse ← → better", "Gain")]),
        ),
        tag("tbody", [_row(row, scale, [value for value, _ in marks], margin) for row in rows]),
        tag("tfoot", tag("tr", tag("td"), tag("td", foot, class_="strip"), tag("td"), aria_hidden="true")),
        class_="forest",
    )


def _row(row: Row, scale: Axis, grid: Sequence[float], margin: float | None) -> Markup:
    marks = [line(scale.at(value), 0, scale.at(value), 100, "grid") for value in grid]
    marks.append(line(scale.at(0), 0, scale.at(0), 100, "zero"))
    if margin is not None and row.kind == "main":
        marks.append(line(scale.at(margin), 0, scale.at(margin), 100, "margin"))
    marks.append(line(scale.at(row.low), 50, scale.at(row.high), 50, f"reach {row.kind} {_side(row)}"))
    marks.append(dot(scale.at(row.estimate), 50, f"{row.kind} {_side(row)}"))
    numbers = (
        tag("b", words.percent(row.estimate)),
        " ",
        tag("span", f"{words.percent(row.low)} to {words.percent(row.high)}"),
    )
    note = tag("small", row.note) if row.note else None
    return tag(
        "tr",
        tag("th", row.label, " ", note, scope="row"),
        tag("td", canvas(marks), class_="strip"),
        tag("td", *numbers, class_="num"),
        class_=row.kind or None,
    )


def _side(row: Row) -> str:
    if row.low > 0:
        return "better"
    return "worse" if row.high < 0 else "unsure"


def _skill(name: str, model: str, found: Mapping[str, float], kind: str) -> Row:
    return Row(words.baseline(name), model, found["skill"], found["low"], found["high"], kind)
