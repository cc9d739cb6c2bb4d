"""Writes an evaluation down: `evaluation.json` (docs/contracts.md, evaluation) from what was found. Pure functions."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ratchet.catalog import Pipeline
from ratchet.evaluation import slices
from ratchet.evaluation.classes import Classes
from ratchet.evaluation.evidence import Found, Sources
from ratchet.evaluation.judge import Judgement
from ratchet.evaluation.target import Target
from ratchet.gate import policy
from ratchet.gate.bootstrap import Effect
from ratchet.gate.checks import Parity
from ratchet.gate.delong import Area
from ratchet.gate.metrics import TargetMetrics
from ratchet.instants import iso
from ratchet.store import Document

_METRICS = ("mse", "mae", "r2", "sign_accuracy")
_SQUARED = "mean squared error over training variance, mean of the counted targets"
_AUC = "AUC"
_PINBALL = "mean pinball loss over training standard deviation, mean of the counted targets"


def build(found: Found, sources: Sources, pipeline: Pipeline, *, job_name: str | None, now: str) -> Document:
    """`evaluation.json`; no value in it is NaN or infinite."""
    verdict = policy.decide(found.checks)
    return {
        "pipeline": pipeline.name,
        "title": pipeline.title,
        "time_zone": pipeline.time_zone,
        "run_ts": sources.run_ts,
        "generated_at": now,
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "reasons": [{"check": check.name, "passed": check.passed, "text": check.text} for check in found.checks],
        "challenger": {
            "run_ts": sources.run_ts,
            "bundle_uri": found.challenger.uri,
            "sha256": found.challenger.sha256,
            "etag": found.challenger.etag,
            "job_name": job_name,
        },
        "champion": _champion(found),
        "holdout": _holdout(found, sources.holdout_uri),
        "parity": _parity(found.health.parity),
        "budgets": found.health.budgets,
        "skill": {name: _skill(effect) for name, effect in found.judgement.skill.items()} if found.judgement else {},
        "comparison": _comparison(found),
        "targets": _targets(found, pipeline.gate.quantiles),
        **_judged(found, pipeline),
        "data": {**_data(found.manifest), "synthetic": _synthetic(found)},
        "lineage": _lineage(found, sources),
    }


def _champion(found: Found) -> Document | None:
    if found.champion is None:
        return None
    skill = found.judgement.champion_skill if found.judgement else {}
    return {
        "run_ts": found.champion.run_ts,
        "sha256": found.champion.sha256,
        "seq": found.champion.seq,
        "etag": found.champion_etag,
        "skill": {name: _skill(effect) for name, effect in skill.items()},
    }


def _holdout(found: Found, uri: str) -> Document:
    minutes = found.scores.minutes
    return {
        "uri": uri,
        "rows": found.scores.total,
        "used": len(minutes),
        "new_rows": found.new_rows,
        "start": _instant(minutes[0]) if len(minutes) else None,
        "end": _instant(minutes[-1]) if len(minutes) else None,
    }


def _parity(parity: Parity) -> Document:
    return asdict(parity)


def _skill(effect: Effect) -> Document:
    return {"skill": effect.estimate, "low": effect.low, "high": effect.high}


def _comparison(found: Found) -> Document | None:
    if found.judgement is None:
        return None
    judgement, effect = found.judgement, found.judgement.comparison
    reached = _aucs(judgement, judgement.classes) if judgement.classes else judgement.losses
    common = {
        "metric": _metric(judgement),
        "challenger": reached["challenger"],
        "baselines": {name: value for name, value in reached.items() if name not in {"challenger", "champion"}},
        "alpha": found.alpha,
        "tests_since_promotion": found.test.number,
        "block_minutes": judgement.block_minutes,
        "reference": judgement.reference,
    }
    if effect is None:
        return {**common, "champion": None}
    return {
        **common,
        "champion": reached["champion"],
        "difference": effect.estimate if judgement.classes else reached["champion"] - reached["challenger"],
        "relative": effect.estimate,
        "low": effect.low,
        "high": effect.high,
        "p_value": effect.p_value,
        "standard_error": effect.standard_error,
        "minimum_detectable": effect.detectable,
        "blocks": effect.blocks,
    }


def _metric(judgement: Judgement) -> str:
    if judgement.classes:
        return _AUC
    return _PINBALL if judgement.coverage else _SQUARED


def _aucs(judgement: Judgement, classes: Classes) -> dict[str, float]:
    """What each model comes to; a baseline, which answers alike to all rows, ranks like a coin."""
    aucs = dict.fromkeys(judgement.skill, 0.5) | {"challenger": classes.auc.estimate}
    return aucs | ({"champion": classes.champion_auc.estimate} if classes.champion_auc else {})


def _judged(found: Found, pipeline: Pipeline) -> Document:
    """What there is only where something was judged: coverage, floors, and where the model errs."""
    judgement, group = found.judgement, pipeline.data.group
    if judgement is None:
        return {"coverage": None, "floors": {}, "classes": None, "group": group, **slices.NOWHERE}
    limits = pipeline.gate.floors
    return {
        "coverage": asdict(judgement.coverage) if judgement.coverage else None,
        "floors": {name: {"measured": judgement.floors[name], "limit": limit} for name, limit in limits.items()},
        "classes": _classes(judgement.classes) if judgement.classes else None,
        "group": group,
        **slices.of(found.scores, found.targets, pipeline),
    }


def _classes(classes: Classes) -> Document:
    areas = {"auc": classes.auc, "champion_auc": classes.champion_auc}
    numbers = ("log_loss", "base_rate_log_loss", "brier", "positives", "groups")
    return {
        **{name: _area(found) if found else None for name, found in areas.items()},
        **{name: getattr(classes, name) for name in numbers},
        "calibration": asdict(classes.calibration),
    }


def _area(area: Area) -> Document:
    return {"estimate": area.estimate, "low": area.low, "high": area.high}


def _targets(found: Found, quantiles: Mapping[str, float]) -> Document:
    return {
        target.name: _target(found.judgement, index, target, quantiles.get(target.name))
        for index, target in enumerate(found.targets)
    }


def _target(judgement: Judgement | None, index: int, target: Target, quantile: float | None) -> Document:
    facts: Document = {"unit": target.unit, "counted": target.counted, "why_not": target.why_not}
    facts |= {} if quantile is None else {"quantile": quantile}
    if judgement is None:
        measured = [*_METRICS, *(() if quantile is None else ("pinball",)), "champion", "effect"]
        return {**facts, **dict.fromkeys(measured)}
    champion = _metrics(judgement.champion[index]) if judgement.champion else None
    effect = judgement.by_target[target.name]
    bounds = {"relative": effect.estimate, "low": effect.low, "high": effect.high}
    return {**facts, **_metrics(judgement.challenger[index]), "champion": champion, "effect": bounds}


def _metrics(metrics: TargetMetrics) -> Document:
    pinball = {} if metrics.pinball is None else {"pinball": metrics.pinball}
    return {**{name: getattr(metrics, name) for name in _METRICS}, **pinball}


def _data(manifest: Mapping[str, Any]) -> Document:
    names = ("run_ts", "synthetic", "source", "limit", "counts", "intervals", "digests", "feature_dim", "generated_at")
    return {name: manifest.get(name) for name in names}


def _synthetic(found: Found) -> bool | None:
    """Whether data or model are marked so; None where neither says and one does not know."""
    marks = {found.manifest["synthetic"], found.challenger.document["synthetic"]}
    return True if True in marks else None if None in marks else False


def _lineage(found: Found, sources: Sources) -> Document:
    document = found.challenger.document
    names = (
        "train_uri",
        "data_digest",
        "code_version",
        "frameworks",
        "hyperparameters",
        "device",
        "metrics",
        "training",
    )
    return {
        **{name: document[name] for name in names},
        "holdout_uri": sources.holdout_uri,
        "manifest_uri": sources.manifest_uri,
        "champion_job": found.champion.job_name if found.champion else None,
    }


def _instant(minutes: np.int64) -> str:
    return iso(datetime.fromtimestamp(int(minutes) * 60, UTC))
