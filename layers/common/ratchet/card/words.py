"""Numbers and verdicts in plain words. Pure functions over `evaluation.json`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ratchet.instants import parse_instant

NOTHING = "–"

_TITLES = {
    ("promote", True): "Promote: better than the champion",
    ("promote", False): "Promote: the first champion",
    ("keep", True): "Keep the champion",
    ("keep", False): "Not promoted",
    ("insufficient", True): "Not enough evidence: the champion stays",
    ("insufficient", False): "Not enough evidence for a first champion",
}
_BASELINES = {"zero": "Always zero", "train_mean": "Training mean"}
_CHECKS = {
    "schema": "Schema",
    "parity": "ONNX parity",
    "budget_size": "Size",
    "budget_latency": "Latency",
    "budget_memory": "Memory",
    "finite": "Finite outputs",
    "origin": "Origin of the data",
    "identity": "A new model",
    "targets": "Targets",
    "rows": "Holdout rows",
    "instants": "Instants",
    "new_rows": "New rows",
    "probabilities": "Probabilities",
    "distinct": "Tells rows apart",
    "outcomes": "Both outcomes",
    "groups": "Groups",
    "floor_auc": "AUC",
    "skill": "Better than naive",
    "floor_r2": "R²",
    "mae": "Absolute error",
    "coverage": "Coverage",
    "champion": "Better than the champion",
}


def headline(evaluation: Mapping[str, Any]) -> str:
    """The verdict as a headline."""
    title = _TITLES[evaluation["verdict"], evaluation["champion"] is not None]
    decided = next((row["check"] for row in evaluation["reasons"] if not row["passed"]), "")
    return f"{title}: below the floor" if decided.startswith("floor_") and evaluation["verdict"] == "keep" else title


def said(text: str) -> str:
    """A sentence of the gate's, with its percent signs kept on the line of their numbers."""
    return text.replace(" %", "\u00a0%")


def check(name: str) -> str:
    """A check's name for people."""
    return _CHECKS.get(name, name.replace("_", " ").capitalize())


def baseline(name: str) -> str:
    """A baseline's name for people."""
    return _BASELINES.get(name, name.replace("_", " ").capitalize())


def target(name: str) -> str:
    """A target's name without the unit it ends in, spaced."""
    return name.removesuffix("_return_pct").replace("_", " ").capitalize()


def answer(name: str, facts: Mapping[str, Any]) -> str:
    """What a model answers with: a target, or a quantile of one."""
    quantile = facts.get("quantile")
    return target(name) if quantile is None else "Median" if quantile == 0.5 else f"{quantile * 100:g} % quantile"


def coverage(found: Mapping[str, Any]) -> str:
    """How well the band between the outer quantiles holds, in a sentence."""
    measured = percent(found["measured"], signed=False)
    return f"{measured} of the judged outcomes lie within the band, which promises {found['promised'] * 100:g} %."


def context(evaluation: Mapping[str, Any]) -> list[str]:
    """What a reader needs beside the reason: on which rows, at which level, and what could have been seen."""
    holdout, comparison = evaluation["holdout"], evaluation["comparison"]
    if not comparison:
        return [f"{holdout['used']:,} of {holdout['rows']:,} holdout rows could be used; nothing was compared."]
    against = "neither model was" if comparison["champion"] is not None else "the model was not"
    found = [f"Judged on {holdout['used']:,} holdout rows that {against} trained on, {span(holdout)}."]
    number = comparison["tests_since_promotion"]
    ordinal = "the first test" if number == 1 else f"test {number}"
    since = "since the last promotion" if evaluation["champion"] else "of this pipeline"
    found.append(f"It is {ordinal} {since}, so it may spend an alpha of {comparison['alpha']:.2g}.")
    if comparison.get("minimum_detectable") is not None:
        detectable = comparison["minimum_detectable"]
        gain = f"{detectable:.3f} in AUC" if evaluation["classes"] else percent(detectable, signed=False)
        found.append(f"A true gain of {gain} would show on these rows four times in five.")
    return found


def span(interval: Mapping[str, Any]) -> str:
    """From when to when, to the minute, UTC."""
    if not interval.get("start") or not interval.get("end"):
        return NOTHING
    return f"{instant(interval['start'])} to {instant(interval['end'])} UTC"


def instant(text: str) -> str:
    """An instant to the minute: 21 Nov 2026 04:00."""
    return parse_instant(text).strftime("%-d %b %Y %H:%M")


def minute(value: float, *, clock: bool) -> str:
    """Minutes since the epoch as 21 Nov, with the time of day where asked."""
    return datetime.fromtimestamp(value * 60, UTC).strftime("%-d %b %H:%M" if clock else "%-d %b")


def span_of(minutes: int) -> str:
    """A length of time: 45 min, 6 h, 1.5 h, 2 d."""
    for length, unit in ((1440, "d"), (60, "h")):
        if minutes >= length and minutes % (length / 2) == 0:
            return f"{minutes / length:g} {unit}"
    return f"{minutes} min"


def percent(value: float | None, *, signed: bool = True) -> str:
    """A share in percent with a true minus sign: +8.3 %."""
    if value is None:
        return NOTHING
    digits = 2 if abs(value) < 0.00995 else 1
    text = f"{value * 100:+.{digits}f}" if signed else f"{value * 100:.{digits}f}"
    return text.replace("-", "−") + " %"


def number(value: float | None) -> str:
    """Four significant digits with a true minus sign."""
    if value is None:
        return NOTHING
    return f"{value:.4g}".replace("-", "−").replace("e−0", "e−")


def signed(value: float) -> str:
    """A difference of areas with a true minus sign: +0.012."""
    return f"{value:+.3f}".replace("-", "−")


def figure(value: float | None) -> str:
    """Four significant digits, trailing zeros kept, so that a column lines up."""
    if value is None:
        return NOTHING
    return f"{value:#.4g}".replace("-", "−")


def tick(value: float) -> str:
    """A share on an axis: +20 %, 0 %, −2.5 %."""
    return f"{round(value * 100, 6):+g} %".replace("-", "−") if value else "0 %"


def level(alpha: float) -> str:
    """What an interval of two bounds at `alpha` covers: 95 %, 99.98 %."""
    share = 100 * (1 - 2 * alpha)
    digits = next((d for d in range(6) if round(share, d) < 100), 6)
    return f"{share:.{digits}f} %"


def p_value(value: float) -> str:
    """A p-value to two digits."""
    return "< 0.0001" if value < 0.0001 else f"{value:.2g}"
