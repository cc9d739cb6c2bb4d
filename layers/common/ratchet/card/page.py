"""Puts the card together: the template, the style, the words and the charts."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import Any

import numpy as np

from ratchet.card import breakdown, classes, fan, forest, sections, series, words
from ratchet.card.markup import Markup, join, tag
from ratchet.card.series import Minutes
from ratchet.gate.metrics import Floats


@dataclass(frozen=True)
class Series:
    """The scored rows in order of time: minutes since the epoch [N], realised and predicted [N, targets].

    `ends` [N] are the minutes in which the labels end. `advantage` [N] is the loss of `comparison.reference` less the
    challenger's; None where nothing was compared.
    """

    minutes: Minutes
    ends: Minutes
    realised: Floats
    predicted: Floats
    advantage: Floats | None


def render(evaluation: Mapping[str, Any], scored: Series) -> bytes:
    """The page of an evaluation (docs/contracts.md) in UTF-8; it needs nothing but itself."""
    parts = [
        sections.synthetic(evaluation),
        sections.verdict(evaluation),
        _section("comparison", _versus(evaluation), _comparison(evaluation, scored)),
        _section("memorised", "On those that it has never seen", _memorised(evaluation)),
        _section("reasons", "Why: every check in order", sections.reasons(evaluation)),
        *_measured(evaluation, scored),
        _section("groups", f"Error by {evaluation['group']}", breakdown.by_group(evaluation)),
        _section("hours", "Error by hour", breakdown.by_hour(evaluation)),
        _section("importance", "Feature importance", breakdown.importance(evaluation)),
        _section("data", "Data", join(sections.timeline(evaluation), sections.counts(evaluation))),
        _section("lineage", "Lineage", sections.lineage(evaluation)),
    ]
    template = Template(_resource("template.html"))
    run = words.instant(evaluation["generated_at"])
    title = f"{evaluation['pipeline']} {evaluation['run_ts']}: {evaluation['verdict']}"
    page = template.substitute(
        title=join(title),
        style=_resource("style.css"),
        pipeline=join(evaluation["pipeline"]),
        run=join(evaluation["run_ts"]),
        written=join(f"{run} UTC"),
        body=join(parts),
    )
    return page.encode()


def _section(name: str, title: str, content: Markup | None) -> Markup | None:
    """A section, where there is something to show in it."""
    if content is None:
        return None
    return tag("section", tag("h2", title, id=name), content, aria_labelledby=name, class_=f"of-{name}")


def _measured(evaluation: Mapping[str, Any], scored: Series) -> list[Markup | None]:
    """The sections on what was measured of the model's answers."""
    if evaluation["classes"]:
        return [_section("calibration", "Are the probabilities true?", classes.calibration(evaluation))]
    table = sections.targets(evaluation) if evaluation["comparison"] else None
    return [_section("targets", "Target by target", table), *_charts(evaluation, scored)]


def _memorised(evaluation: Mapping[str, Any]) -> Markup | None:
    return classes.memorised(evaluation) if evaluation["classes"] else None


def _charts(evaluation: Mapping[str, Any], scored: Series) -> list[Markup | None]:
    """The sections over the scored rows; none where a prediction is no number."""
    if not len(scored.minutes) or not np.isfinite(scored.predicted).all():
        return []
    return [
        _section("forecasts", "The newest forecasts", _forecasts(evaluation, scored)),
        _section("fit", "Predicted against realised", _fit(evaluation, scored)),
        _section("residuals", "Residuals over time", _residuals(evaluation, scored)),
    ]


def _versus(evaluation: Mapping[str, Any]) -> str:
    comparison = evaluation["comparison"] or {}
    rival = "champion" if comparison.get("champion") is not None else "the naive baselines"
    return f"Challenger against {rival}"


def _comparison(evaluation: Mapping[str, Any], scored: Series) -> Markup | None:
    comparison = evaluation["comparison"]
    if not comparison:
        return None
    if evaluation["classes"]:
        return classes.ranking(evaluation)
    reference = comparison["reference"]
    named = "the champion" if reference == "champion" else f"“{words.baseline(reference).lower()}”"
    legend = (
        f"Gain: the share of the loss that is gone ({comparison['metric']}). "
        f"Bars: {words.level(comparison['alpha'])} intervals from a paired bootstrap, {_blocks(evaluation)}."
    )
    by_target = forest.forest(forest.against_reference(evaluation), f"Against {named}")
    naive = forest.forest(forest.against_baselines(evaluation), "Against the naive baselines")
    ordered = (by_target, naive) if reference == "champion" else (naive, by_target)
    return join(tag("p", legend, class_="context"), ordered, _running(scored, named))


def _running(scored: Series, named: str) -> Markup | None:
    if scored.advantage is None or not len(scored.minutes):
        return None
    fact = tag("span", "loss saved, summed up row by row")
    head = tag("figcaption", tag("b", f"Running advantage over {named}"), " ", fact)
    return tag("figure", head, series.advantage_over_time(scored.minutes, scored.advantage, named), class_="panel")


def _blocks(evaluation: Mapping[str, Any]) -> str:
    return f"blocks of {evaluation['comparison']['block_minutes']:,} minutes"


def _forecasts(evaluation: Mapping[str, Any], scored: Series) -> Markup | None:
    if not evaluation["coverage"]:
        return None
    shares = [target["quantile"] for target in evaluation["targets"].values()]
    columns = [shares.index(share) for share in (min(shares), 0.5, max(shares))]
    drawn = fan.forecasts(scored.minutes, scored.ends, scored.realised[:, columns[1]], scored.predicted[:, columns])
    if drawn is None:
        return None
    band = f"between the {min(shares) * 100:g} % and the {max(shares) * 100:g} % quantile"
    keys = (("outcomes", "Outcomes, "), ("median", "median, "), ("within", f"{band}. "))
    legend = [(tag("i", class_=f"key {kind}"), " ", text) for kind, text in keys]
    return join(tag("p", legend, words.coverage(evaluation["coverage"]), class_="context"), drawn)


def _fit(evaluation: Mapping[str, Any], scored: Series) -> Markup:
    panels = [
        series.predicted_against_realised(scored.predicted[:, index], scored.realised[:, index], name, unit)
        for index, name, unit in _shown(evaluation)
    ]
    legend = (
        "Shade: how many rows. Dots: means of eight equal groups by prediction. Dashed: where perfect predictions lie."
    )
    return join(tag("p", legend, class_="context"), tag("div", panels, class_="panels"))


def _residuals(evaluation: Mapping[str, Any], scored: Series) -> Markup:
    panels = [
        series.residuals_over_time(scored.minutes, scored.realised[:, index] - scored.predicted[:, index], name, unit)
        for index, name, unit in _shown(evaluation)
    ]
    legend = "Realised less predicted. Line: the mean of each stretch of time. Band: 8 in 10 rows."
    return join(tag("p", legend, class_="context"), tag("div", panels, class_="panels two"))


def _shown(evaluation: Mapping[str, Any]) -> list[tuple[int, str, str]]:
    """Column, name and unit of the targets that count; of quantiles the median, since the rest is to be off."""
    return [
        (index, words.answer(name, target), target["unit"])
        for index, (name, target) in enumerate(evaluation["targets"].items())
        if target["counted"] and target.get("quantile", 0.5) == 0.5
    ]


def _resource(name: str) -> str:
    return resources.files("ratchet.card").joinpath(name).read_text(encoding="utf-8")
