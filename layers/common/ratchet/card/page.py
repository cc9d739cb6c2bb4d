"""Puts the card together: the template, the style, the words and the charts."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import Any

import numpy as np

from ratchet.card import forest, sections, series, words
from ratchet.card.markup import Content, Markup, join, tag
from ratchet.card.series import Minutes
from ratchet.gate.metrics import Floats


@dataclass(frozen=True)
class Series:
    """The scored rows in order of time: minutes since the epoch [N], realised and predicted [N, targets].

    `advantage` [N] is the loss of `comparison.reference` less the challenger's; None where nothing was compared.
    """

    minutes: Minutes
    realised: Floats
    predicted: Floats
    advantage: Floats | None


def render(evaluation: Mapping[str, Any], scored: Series) -> bytes:
    """The page of an evaluation (docs/contracts.md) in UTF-8; it needs nothing but itself."""
    usable = len(scored.minutes) > 0 and bool(np.isfinite(scored.predicted).all())
    parts = [
        sections.synthetic(evaluation),
        sections.verdict(evaluation),
        _section("comparison", _versus(evaluation), _comparison(evaluation, scored))
        if evaluation["comparison"]
        else None,
        _section("reasons", "Why: every check in order", sections.reasons(evaluation)),
        _section("targets", "Target by target", sections.targets(evaluation)) if evaluation["comparison"] else None,
        _section("fit", "Predicted against realised", _fit(evaluation, scored)) if usable else None,
        _section("residuals", "Residuals over time", _residuals(evaluation, scored)) if usable else None,
        _section("data", "Data", sections.timeline(evaluation), sections.counts(evaluation)),
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


def _section(name: str, title: str, *content: Content) -> Markup:
    return tag("section", tag("h2", title, id=name), *content, aria_labelledby=name, class_=f"of-{name}")


def _versus(evaluation: Mapping[str, Any]) -> str:
    rival = "champion" if evaluation["comparison"]["champion"] is not None else "the naive baselines"
    return f"Challenger against {rival}"


def _comparison(evaluation: Mapping[str, Any], scored: Series) -> Markup:
    comparison = evaluation["comparison"]
    reference = comparison["reference"]
    named = "the champion" if reference == "champion" else f"“{words.baseline(reference).lower()}”"
    legend = (
        f"Gain: the share of the squared error that is gone, in units of each target’s variance. "
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


def _fit(evaluation: Mapping[str, Any], scored: Series) -> Markup:
    panels = [
        series.predicted_against_realised(
            scored.predicted[:, index], scored.realised[:, index], words.target(name), unit
        )
        for index, name, unit in _shown(evaluation)
    ]
    legend = (
        "Shade: how many rows. Dots: means of eight equal groups by prediction. Dashed: where perfect predictions lie."
    )
    return join(tag("p", legend, class_="context"), tag("div", panels, class_="panels"))


def _residuals(evaluation: Mapping[str, Any], scored: Series) -> Markup:
    panels = [
        series.residuals_over_time(
            scored.minutes, scored.realised[:, index] - scored.predicted[:, index], words.target(name), unit
        )
        for index, name, unit in _shown(evaluation)
    ]
    legend = "Realised less predicted. Line: the mean of each stretch of time. Band: 8 in 10 rows."
    return join(tag("p", legend, class_="context"), tag("div", panels, class_="panels two"))


def _shown(evaluation: Mapping[str, Any]) -> list[tuple[int, str, str]]:
    """Column, name and unit of the targets that count."""
    found = evaluation["targets"].items()
    return [(index, name, target["unit"]) for index, (name, target) in enumerate(found) if target["counted"]]


def _resource(name: str) -> str:
    return resources.files("ratchet.card").joinpath(name).read_text(encoding="utf-8")
