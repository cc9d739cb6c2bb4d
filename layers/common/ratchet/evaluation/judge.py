"""Judges scores: how sure each comparison is, per target and pooled, and what the gate's checks say. Pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ratchet.catalog import Pipeline
from ratchet.evaluation.scores import Scores
from ratchet.gate import bootstrap, metrics, policy, skill
from ratchet.gate.bootstrap import Effect
from ratchet.gate.checks import Check
from ratchet.gate.metrics import Floats, TargetMetrics

SEED = 20_190_521
"""Of the resampling: judging the same rows again gives the same interval."""


@dataclass(frozen=True)
class Target:
    """What the data says of one target; `variance` is that of the training rows."""

    name: str
    unit: str
    mean: float
    variance: float
    counted: bool
    why_not: str | None


@dataclass(frozen=True)
class Judgement:
    """Pooled losses and effects on the counted targets, and per-target metrics and effects.

    `skill` is the challenger's over each baseline, `champion_skill` the champion's; `by_target` is the challenger's
    effect over the champion, or over `reference` (the hardest baseline) where there is none. `advantage` [N] is the
    pooled loss of the reference less the challenger's, row by row.
    """

    losses: dict[str, float]
    skill: dict[str, Effect]
    champion_skill: dict[str, Effect]
    comparison: Effect | None
    reference: str
    by_target: dict[str, Effect]
    challenger: list[TargetMetrics]
    champion: list[TargetMetrics] | None
    block_minutes: int
    advantage: Floats


def targets_of(manifest: Mapping[str, Any], units: Mapping[str, str]) -> list[Target]:
    """The pipeline's targets in order, as the manifest found them in the data."""
    found = manifest["targets"]
    return [
        Target(name, unit, *(found[name][field] for field in ("mean", "variance", "counted", "why_not")))
        for name, unit in units.items()
    ]


def judge(scores: Scores, targets: list[Target], pipeline: Pipeline, alpha: float) -> Judgement:
    """Every comparison on the scored rows at `alpha`; needs bootstrap.MIN_BLOCKS rows and a counted target."""
    length = bootstrap.block_minutes(len(scores.minutes), pipeline.data.step_minutes, pipeline.gate.block_minutes)
    losses = _losses(scores, targets, pipeline.gate.baselines)
    pooled = {name: metrics.pooled(loss, _counted(targets)) for name, loss in losses.items()}
    means = {name: float(loss.mean()) for name, loss in pooled.items()}
    hardest = min(pipeline.gate.baselines, key=lambda name: means[name])
    reference = "champion" if "champion" in losses else hardest
    pairs = [
        (model, name) for model in ("challenger", "champion") if model in pooled for name in pipeline.gate.baselines
    ]
    pairs += [("challenger", "champion")] if "champion" in pooled else []
    columns = (
        np.column_stack([*(pooled[model] for model, _ in pairs), losses["challenger"]]),
        np.column_stack([*(pooled[name] for _, name in pairs), losses[reference]]),
    )
    blocks = bootstrap.blocks(scores.minutes, length, pipeline.data.step_minutes)
    found = bootstrap.effects(*columns, blocks, alpha, pipeline.gate.resamples, SEED)
    paired = dict(zip(pairs, found, strict=False))
    return Judgement(
        losses=means,
        skill={
            name: effect
            for (model, name), effect in paired.items()
            if (model, name != "champion") == ("challenger", True)
        },
        champion_skill={name: effect for (model, name), effect in paired.items() if model == "champion"},
        comparison=paired.get(("challenger", "champion")),
        reference=reference,
        by_target={target.name: effect for target, effect in zip(targets, found[len(pairs) :], strict=True)},
        challenger=metrics.per_target(scores.realised, scores.challenger),
        champion=None if scores.champion is None else metrics.per_target(scores.realised, scores.champion),
        block_minutes=length,
        advantage=pooled[reference] - pooled["challenger"],
    )


def checks(judgement: Judgement, pipeline: Pipeline) -> list[Check]:
    """The gate's last two checks: skill over the baselines, and the comparison where there is a champion."""
    found = [policy.beats_baselines(judgement.skill)]
    if judgement.comparison:
        found.append(policy.beats_champion(judgement.comparison, pipeline.gate.policy, pipeline.gate.margin))
    return found


def _counted(targets: list[Target]) -> list[int]:
    return [index for index, target in enumerate(targets) if target.counted]


def _losses(scores: Scores, targets: list[Target], baselines: list[str]) -> dict[str, Floats]:
    """Row losses [N, targets] of each model and baseline; a constant target keeps its plain squared error."""
    variances = np.array([target.variance if target.variance > 0 else 1.0 for target in targets])
    mean = np.array([target.mean for target in targets])
    predictions = {name: skill.prediction(name, mean, len(scores.minutes)) for name in baselines}
    predictions["challenger"] = scores.challenger
    if scores.champion is not None:
        predictions["champion"] = scores.champion
    return {name: metrics.row_losses(scores.realised, values, variances) for name, values in predictions.items()}
