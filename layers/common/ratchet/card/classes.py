"""The sections of a card of classes: how well rows are ranked, what was memorised, how true the probabilities are."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from ratchet.card import forest, scales, words
from ratchet.card.markup import Markup, join, tag
from ratchet.card.plot import Axis, axis, canvas, dot, frame, line, panel

Evaluation = Mapping[str, Any]

COIN = 0.5
_APART = 0.05
"""A difference of areas that is no chance of the draw."""


@dataclass(frozen=True)
class _Row:
    """An area, with its interval where there is one; `kind` styles it."""

    label: str
    note: str
    estimate: float
    bounds: tuple[float, float] | None = None
    kind: str = ""


def figures(evaluation: Evaluation) -> list[tuple[str, str]]:
    """What to read first."""
    classes, comparison = evaluation["classes"], evaluation["comparison"]
    found = [("AUC (0.5 is a coin)", f"{classes['auc']['estimate']:.3f}")]
    if comparison.get("relative") is not None:
        found.append(("AUC above the champion's", words.signed(comparison["relative"])))
    return [*found, ("Log loss below the base rate's", words.percent(_gone(classes)))]


def ranking(evaluation: Evaluation) -> Markup:
    """The areas on one scale from a coin to perfection, with the floor, and what log loss there is less."""
    group, comparison = evaluation["group"] or "row", evaluation["comparison"]
    legend = (
        "AUC: of two rows, one where the outcome occurred and one where it did not, how often the former is given the "
        f"higher probability. Bars: {words.level(comparison['alpha'])} intervals (DeLong), rows of one {group} taken "
        f"together. Line: a coin. {_limit(evaluation)}"
    )
    naive = forest.forest(forest.against_baselines(evaluation), "Log loss against the naive baselines")
    return join(tag("p", legend, class_="context"), _areas(evaluation), _difference(comparison), naive)


def memorised(evaluation: Evaluation) -> Markup | None:
    """What the same recipe reaches on rows of those it knows, and on others. None where training has not told."""
    told = _cross_validated(evaluation)
    if told is None:
        return None
    by_row, by_group = told
    group, auc = evaluation["group"] or "row", evaluation["classes"]["auc"]
    known = f"Tested on rows drawn at random, this very recipe reaches an AUC of {by_row:.2f}."
    if by_row - by_group > _APART:
        known += (
            f" That is memory: rows of one {group} are alike, and most rows of such a test are of a {group} of whom it "
            "has learned other rows. It recognises them."
        )
    interval = f"{auc['low']:.2f} to {auc['high']:.2f}"
    new = (
        f"Tested on each {group} without having seen any row of the same {group}, it reaches {by_group:.2f}, and "
        f"{auc['estimate']:.2f} ({interval}) on the holdout, where every {group} is new to it. "
        f"{_worth(evaluation, group)}"
    )
    return join(tag("p", known), tag("p", new))


def calibration(evaluation: Evaluation) -> Markup:
    """How often the outcome occurred beside how often it was said to, and what the probabilities cost."""
    found = evaluation["classes"]["calibration"]
    x = y = Axis(0.0, max(max(part["predicted"], part["realised"]) for part in found["bins"]) * 1.08 or 1.0)
    dots = [dot(x.at(part["predicted"]), y.up(part["realised"]), "mean") for part in found["bins"]]
    name = f"off by {found['error'] * 100:.1f} points"
    label = f"Share that came true over predicted probability, {len(found['bins'])} bins, {name} on average."
    marks = (line(x.at(0), y.up(0), x.at(y.high), y.up(y.high), "perfect"), dots)
    told = {"x_ticks": scales.numbers(x, 4), "y_ticks": scales.numbers(y, 4)}
    chart = frame(*marks, x=x, y=y, label=label, shape="square", **told)
    drawn = panel("Reliability", name, chart, "→ predicted, ↑ came true")
    legend = "Dots: bins of about as many rows each. Dashed: where true probabilities lie."
    return join(tag("p", legend, class_="context"), tag("div", drawn, _costs(evaluation), class_="panels"))


def _areas(evaluation: Evaluation) -> Markup:
    rows, floor = _rows(evaluation), evaluation["floors"].get("auc")
    bounds = [value for row in rows for value in (row.estimate, *(row.bounds or ()))]
    scale = axis(bounds, include=[COIN, *([floor["limit"]] if floor else [])])
    marks = scales.numbers(scale, 5)
    foot = tag("div", [tag("span", text, style=f"left:{scale.at(value):.4g}%") for value, text in marks], class_="xs")
    fixed = [line(scale.at(value), 0, scale.at(value), 100, "grid") for value, _ in marks]
    fixed.append(line(scale.at(COIN), 0, scale.at(COIN), 100, "zero"))
    if floor:
        fixed.append(line(scale.at(floor["limit"]), 0, scale.at(floor["limit"]), 100, "margin"))
    heads = [tag("th", text, scope="col") for text in ("Tested", "Worse ← → better", "AUC")]
    return tag(
        "table",
        tag("caption", "Area under the ROC curve (AUC)"),
        tag("thead", tag("tr", heads)),
        tag("tbody", [_row(row, scale, fixed) for row in rows]),
        tag("tfoot", tag("tr", tag("td"), tag("td", foot, class_="strip"), tag("td"), aria_hidden="true")),
        class_="forest",
    )


def _rows(evaluation: Evaluation) -> list[_Row]:
    classes, group = evaluation["classes"], evaluation["group"] or "row"
    rows = [_Row("Challenger", "holdout, decides", *_estimate(classes["auc"]), "main")]
    if classes["champion_auc"]:
        rows.append(_Row("Champion", "holdout", *_estimate(classes["champion_auc"]), "other"))
    if told := _cross_validated(evaluation):
        rows += [
            _Row(f"Split by {name}", "cross-validated", value, kind="aside")
            for name, value in zip((group, "row"), reversed(told), strict=True)
        ]
    return rows


def _estimate(area: Mapping[str, float]) -> tuple[float, tuple[float, float]]:
    return area["estimate"], (area["low"], area["high"])


def _row(row: _Row, scale: Axis, fixed: list[Markup]) -> Markup:
    low, high = row.bounds or (row.estimate, row.estimate)
    kind = f"{row.kind} {'better' if low > COIN else 'worse' if high < COIN else 'unsure'}"
    reach = line(scale.at(low), 50, scale.at(high), 50, f"reach {kind}") if row.bounds else None
    interval = tag("span", f"{low:.3f} to {high:.3f}") if row.bounds else None
    return tag(
        "tr",
        tag("th", row.label, " ", tag("small", row.note), scope="row"),
        tag("td", canvas(fixed, reach, dot(scale.at(row.estimate), 50, kind)), class_="strip"),
        tag("td", tag("b", f"{row.estimate:.3f}"), " ", interval, class_="num"),
        class_=row.kind,
    )


def _difference(comparison: Mapping[str, Any]) -> Markup | None:
    if comparison["champion"] is None:
        return None
    bounds = f"{words.signed(comparison['low'])} to {words.signed(comparison['high'])}"
    paired = f"paired on the same rows, p {words.p_value(comparison['p_value'])}"
    told = f"Challenger less champion: {words.signed(comparison['relative'])} ({bounds}; {paired})."
    return tag("p", told, class_="context")


def _limit(evaluation: Evaluation) -> str:
    floor = evaluation["floors"].get("auc")
    return f"Dashed: the floor, {floor['limit']:g}." if floor else "There is no floor."


def _cross_validated(evaluation: Evaluation) -> tuple[float, float] | None:
    """The areas by row and by group that the training job measured on its own rows."""
    told = evaluation["lineage"]["metrics"]
    by_row, by_group = (told.get(f"split_by_{name}_auc") for name in ("row", "group"))
    if not _is_area(by_row) or not _is_area(by_group):
        return None
    return float(by_row), float(by_group)


def _is_area(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and 0 <= value <= 1


def _worth(evaluation: Evaluation, group: str) -> str:
    auc, floor = evaluation["classes"]["auc"], evaluation["floors"].get("auc")
    knows = f"A coin reaches 0.50: of a {group} that it has never seen, the model knows"
    if auc["low"] <= COIN:
        return f"{knows} no more than a coin."
    if floor and auc["estimate"] < floor["limit"]:
        return f"{knows} more than a coin, but less than the {floor['limit']:g} that is asked for."
    return f"A coin reaches 0.50. This is what the model is worth on a {group} that it has never seen."


def _costs(evaluation: Evaluation) -> Markup:
    """What the probabilities cost beside always answering with the base rate."""
    found = evaluation["classes"]
    facts = (
        ("Log loss", words.figure(found["log_loss"])),
        ("Log loss of the base rate", words.figure(found["base_rate_log_loss"])),
        ("Log loss below it", words.percent(_gone(found))),
        ("Brier score", words.figure(found["brier"])),
        ("Rows where the outcome occurred", f"{found['positives']:,} of {evaluation['holdout']['used']:,}"),
        ("Groups", f"{found['groups']:,}"),
    )
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in facts], class_="facts")


def _gone(classes: Mapping[str, float]) -> float:
    return 1 - classes["log_loss"] / classes["base_rate_log_loss"]
