"""The sections that say where a model errs and what it looks at: by group, by hour, by input."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from ratchet.card import bars, scales, words
from ratchet.card.bars import Bar
from ratchet.card.markup import Markup, join, tag
from ratchet.card.plot import Axis, frame, polyline

Evaluation = Mapping[str, Any]

_MOST_BARS = 20


def by_group(evaluation: Evaluation) -> Markup | None:
    """The error of each group: a line where groups are spans of time, otherwise bars. None below two groups."""
    groups = evaluation["groups"] or {}
    if len(groups) < 2:
        return None
    if all(name.isdecimal() for name in groups):
        return _along({int(name): found for name, found in groups.items()}, evaluation)
    worst = sorted(groups.items(), key=lambda item: (-item[1]["mae"], item[0]))[:_MOST_BARS]
    rows = [Bar(name, found["mae"], f"{found['rows']:,} rows", found["champion_mae"]) for name, found in worst]
    hidden = len(groups) - len(worst) + evaluation["groups_left_out"]
    rest = f" {hidden:,} more are not shown." if hidden else ""
    rival = _rival(groups)
    legend = f"{_what(evaluation)}, worst first.{' Stroke: the champion.' if rival else ''}{rest}"
    head = (evaluation["group"].capitalize(), "Error")
    return join(tag("p", legend, class_="context"), bars.table(rows, head))


def by_hour(evaluation: Evaluation) -> Markup | None:
    """The error of each hour of the day. None below two hours."""
    hours = {int(hour): found["mae"] for hour, found in evaluation["hours"].items()}
    if len(hours) < 2:
        return None
    worst = max(hours, key=lambda hour: hours[hour])
    legend = f"{_what(evaluation)}, by the clock of {evaluation['time_zone']}."
    label = f"{legend} Highest from {worst:02}:00 on: {words.number(hours[worst])}."
    return join(tag("p", legend, class_="context"), bars.by_hour(hours, label))


def importance(evaluation: Evaluation) -> Markup | None:
    """The inputs that move predictions most, where the training job has told. None where it has not."""
    told = evaluation["lineage"]["metrics"].get("importance")
    sizes = {name: size for name, size in told.items() if _is_size(size)} if isinstance(told, Mapping) else {}
    largest = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:_MOST_BARS]
    if not largest:
        return None
    some = f"The {len(largest)} of {len(sizes)} inputs that move predictions most" if len(sizes) > len(largest) else ""
    legend = f"{some or 'How far each input moves predictions'}: the mean size of a contribution (|SHAP|)."
    rows = [Bar(name, float(size)) for name, size in largest]
    return join(tag("p", legend, class_="context"), bars.table(rows, ("Input", "Mean |SHAP|")))


def _along(groups: Mapping[int, Mapping[str, Any]], evaluation: Evaluation) -> Markup:
    """Errors over spans of time in minutes."""
    spans = sorted(groups)
    ours = [groups[span]["mae"] for span in spans]
    theirs = [groups[span]["champion_mae"] for span in spans] if _rival(groups) else []
    x, y = Axis(float(spans[0]), float(spans[-1])), Axis(0.0, max([*ours, *theirs]) * 1.06 or 1.0)
    lines = [("mean-line", ours), *([("rival", theirs)] if theirs else [])]
    drawn = [
        polyline([(x.at(span), y.up(value)) for span, value in zip(spans, values, strict=True)], kind)
        for kind, values in lines
    ]
    against = " Dashed: the champion." if theirs else ""
    left_out = evaluation["groups_left_out"]
    rest = f" {left_out:,} more are not shown." if left_out else ""
    legend = f"{_what(evaluation)}.{against}{rest}"
    first, last = words.span_of(spans[0]), words.span_of(spans[-1])
    label = f"{legend} {words.number(ours[0])} at {first}, {words.number(ours[-1])} at {last}."
    told = {"x_ticks": scales.spans(x, 8), "y_ticks": scales.numbers(y, 4)}
    return join(tag("p", legend, class_="context"), frame(drawn, x=x, y=y, label=label, shape="wide tall", **told))


def _rival(groups: Mapping[Any, Mapping[str, Any]]) -> bool:
    return all(found["champion_mae"] is not None for found in groups.values())


def _what(evaluation: Evaluation) -> str:
    """What an error is here, with its unit where there is one for all."""
    targets = evaluation["targets"].values()
    median = [target for target in targets if target.get("quantile") == 0.5]
    units = {target["unit"] for target in median or targets if target["counted"]}
    of = " of the median" if median else ""
    return f"Mean absolute error{of}" + (f" ({units.pop()})" if len(units) == 1 else "")


def _is_size(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and value >= 0
