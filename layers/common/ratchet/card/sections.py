"""The sections of the card that are words and tables: verdict, reasons, targets, data, lineage."""

from collections.abc import Mapping, Sequence
from typing import Any

from ratchet.card import classes, words
from ratchet.card.markup import Content, Markup, join, tag
from ratchet.card.plot import Axis
from ratchet.instants import parse_instant

Evaluation = Mapping[str, Any]

_PARTS = ("train", "validation", "holdout")


def verdict(evaluation: Evaluation) -> Markup:
    """The verdict, its reason, and what a reader needs to weigh it."""
    return tag(
        "header",
        tag("p", tag("span", evaluation["verdict"], class_="stamp"), evaluation["title"], class_="kicker"),
        tag("h1", words.headline(evaluation)),
        tag("p", words.said(evaluation["reason"]), class_="lead"),
        tag("p", " ".join(words.context(evaluation)), class_="context"),
        _key_figures(evaluation),
        class_=f"verdict {evaluation['verdict']}",
    )


def synthetic(evaluation: Evaluation) -> Markup | None:
    """The mark of a model that was trained on made-up data."""
    if not evaluation["data"]["synthetic"]:
        return None
    text = " The rows were simulated: this verdict says that the machinery works, nothing about the real world."
    return tag("p", tag("b", "Synthetic data."), text, class_="synthetic", role="note")


def reasons(evaluation: Evaluation) -> Markup:
    """Every check in the gate's order; the first that failed decided."""
    failed = next((row["check"] for row in evaluation["reasons"] if not row["passed"]), None)
    return tag("ol", [_reason(row, row["check"] == failed) for row in evaluation["reasons"]], class_="reasons")


def targets(evaluation: Evaluation) -> Markup:
    """Each target's errors, the champion's below the challenger's, and why a target does not count."""
    last = "Pinball loss" if evaluation["coverage"] else "Sign accuracy"
    rows = [row for name, found in evaluation["targets"].items() for row in _target_rows(name, found)]
    return _table(("Target", "Model", "MSE", "MAE", "R²", last), rows, "targets")


def counts(evaluation: Evaluation) -> Markup:
    """Where the rows went, as a bar and a table; what a source's files hold in bad records is told below it."""
    found = evaluation["data"]["counts"] or {}
    # Rows of files are made of many records each: those that were rejected are no share of the rows.
    aside, records = ("left_out", found.get("rejected") or {}) if "left_out" in found else ("rejected", {})
    reasons = found.get(aside) or {}
    parts = [(name, int(found.get(name) or 0)) for name in (*_PARTS, "embargoed")]
    parts.append((aside, sum(reasons.values())))
    whole = max(1, sum(count for _, count in parts))
    bar = [tag("i", class_=name, style=f"flex-grow:{count / whole:.5f}") for name, count in parts if count]
    rows = [
        (tag("i", class_=f"key {name}"), _spaced(name), f"{count:,}", _share(count, whole)) for name, count in parts
    ]
    told = [*reasons.items(), *((f"rejected of {reason}", count) for reason, count in records.items())]
    why = [("", tag("small", reason.replace("_", " ")), tag("small", f"{n:,}"), "") for reason, n in told]
    heads = ("", "Rows", "Count", "Share")
    return join(
        tag("div", bar, class_="bar", aria_hidden="true"),
        _table(heads, [_cells(row) for row in [*rows, *why]], "counts"),
    )


def timeline(evaluation: Evaluation) -> Markup:
    """When training, validation and holdout lie, to scale, with the rows that were judged."""
    intervals = {name: found for name, found in (evaluation["data"]["intervals"] or {}).items() if found.get("start")}
    judged = evaluation["holdout"]
    spans = {name: intervals[name] for name in _PARTS if name in intervals}
    if judged["start"]:
        spans["judged"] = judged
    if not spans:
        return tag("p", "No intervals are known.", class_="context")
    edges = {name: [parse_instant(span[edge]).timestamp() for edge in ("start", "end")] for name, span in spans.items()}
    scale = Axis(min(start for start, _ in edges.values()), max(end for _, end in edges.values()) + 1)
    return tag("dl", [_span(name, edges[name], spans[name], scale) for name in spans], class_="timeline")


def lineage(evaluation: Evaluation) -> Markup:
    """Where the model comes from, exactly enough to find or rebuild everything."""
    champion, lines = evaluation["champion"], evaluation["lineage"]
    facts: list[tuple[str, object]] = [
        ("Run", evaluation["run_ts"]),
        ("Training job", evaluation["challenger"]["job_name"] or "not known any more"),
        ("Bundle", evaluation["challenger"]["bundle_uri"]),
        ("SHA-256", evaluation["challenger"]["sha256"]),
        ("Champion judged", f"{champion['run_ts']} (move {champion['seq']})" if champion else "none yet"),
        ("Champion SHA-256", champion["sha256"] if champion else None),
        ("Code version", lines["code_version"]),
        ("Data run", evaluation["data"]["run_ts"]),
        ("Source", _source(evaluation["data"])),
        ("Training rows", lines["train_uri"]),
        ("Holdout rows", lines["holdout_uri"]),
        ("Manifest", lines["manifest_uri"]),
        ("Data digest", lines["data_digest"]),
        ("Device", lines["device"]),
    ]
    return join(
        _facts(facts, "lineage"),
        tag("h3", "Hyperparameters"),
        _facts(sorted(lines["hyperparameters"].items()), "short"),
        tag("h3", "Training metrics"),
        _facts([(name, _short(value)) for name, value in _flat(_told(lines["metrics"]))], "short"),
        tag("h3", "Frameworks"),
        _facts(sorted(lines["frameworks"].items()), "short"),
    )


def _key_figures(evaluation: Evaluation) -> Markup:
    budgets = evaluation["budgets"]
    figures = classes.figures(evaluation) if evaluation["classes"] else _gains(evaluation)
    figures.append(("Holdout rows judged", f"{evaluation['holdout']['used']:,}"))
    if "p95_ms" in budgets:
        figures.append(("One prediction, p95", f"{budgets['p95_ms']['measured']:.2g} ms"))
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in figures], class_="figures")


def _gains(evaluation: Evaluation) -> list[tuple[str, str]]:
    comparison, gains = evaluation["comparison"] or {}, []
    if comparison.get("relative") is not None:
        gains.append(("Gain over the champion", words.percent(comparison["relative"])))
    for name, found in evaluation["skill"].items():
        gains.append((f"Skill over {words.baseline(name).lower()}", words.percent(found["skill"])))
    if evaluation["coverage"]:
        found = evaluation["coverage"]
        gains.append((f"Coverage ({found['promised'] * 100:g} % promised)", _percent(found["measured"])))
    return gains


def _reason(row: Mapping[str, Any], decided: bool) -> Markup:
    mark, said = ("✓", "held") if row["passed"] else ("✗", "did not hold")
    state = "held" if row["passed"] else "failed"
    sign = tag("span", mark, class_="mark", role="img", aria_label=said)
    name = tag("b", words.check(row["check"]), " ", tag("em", "decided") if decided else None)
    return tag(
        "li", sign, tag("div", name, tag("p", words.said(row["text"]))), class_=f"{state} decided" if decided else state
    )


def _target_rows(name: str, found: Mapping[str, Any]) -> list[Markup]:
    models = [("challenger", found)] + ([("champion", found["champion"])] if found["champion"] else [])
    aside = None if found["counted"] else tag("small", f"not counted: {found['why_not'] or 'no reason given'}")
    head = tag(
        "th", words.answer(name, found), " ", tag("small", found["unit"]), aside, scope="rowgroup", rowspan=len(models)
    )
    rows = []
    for index, (model, values) in enumerate(models):
        numbers = [tag("td", words.figure(values[metric]), class_="num") for metric in ("mse", "mae", "r2")]
        last = words.figure(values["pinball"]) if "pinball" in values else _percent(values["sign_accuracy"])
        kind = " ".join([model, *([] if found["counted"] else ["aside"])])
        rows.append(
            tag(
                "tr",
                head if index == 0 else None,
                tag("td", model),
                numbers,
                tag("td", last, class_="num"),
                class_=kind,
            )
        )
    return rows


def _span(name: str, edges: Sequence[float], span: Mapping[str, Any], scale: Axis) -> Markup:
    left, right = (scale.at(edge) for edge in edges)
    strip = tag("i", class_=name, style=f"left:{left:.4g}%;width:{max(0.4, right - left):.4g}%")
    return tag("div", tag("dt", name.capitalize()), tag("dd", tag("span", strip, class_="track"), words.span(span)))


def _source(data: Mapping[str, Any]) -> str:
    kind = "synthetic" if data["synthetic"] else "real" if data["synthetic"] is False else "origin unknown"
    newest = f", newest {data['limit']:,} rows" if data.get("limit") else ""
    return f"{data['source'] or 'unknown'} ({kind}{newest})"


def _facts(facts: Sequence[tuple[str, object]], kind: str) -> Markup:
    shown = [(name, str(value)) for name, value in facts if value is not None]
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in shown], class_=f"facts {kind}")


def _table(heads: Sequence[str], rows: Sequence[Markup], kind: str) -> Markup:
    head = tag("thead", tag("tr", [tag("th", text, scope="col") if text else tag("td") for text in heads]))
    return tag("div", tag("table", head, tag("tbody", rows), class_=kind), class_="scroll", tabindex="0")


def _cells(row: Sequence[Content]) -> Markup:
    return tag("tr", [tag("td", cell, class_="num" if index > 1 else None) for index, cell in enumerate(row)])


def _spaced(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _share(count: int, whole: int) -> str:
    return _percent(count / whole)


def _percent(share: float | None) -> str:
    return words.percent(share, signed=False)


def _flat(values: Mapping[str, Any]) -> list[tuple[str, object]]:
    """Names and values in order of name; a mapping's own entries follow its name."""
    found: list[tuple[str, object]] = []
    for name, value in sorted(values.items()):
        nested = isinstance(value, Mapping)
        found += [(f"{name}: {words.target(key)}", part) for key, part in value.items()] if nested else [(name, value)]
    return found


def _told(metrics: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a training job measured, but for what has a section of its own."""
    return {name: value for name, value in metrics.items() if name != "importance"}


def _short(value: object) -> object:
    """A value on one line: of a list only how long it is."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_short(part)}" for name, part in value.items())
    if isinstance(value, list):
        return f"{len(value)} entries"
    return words.number(value) if isinstance(value, float) else value
