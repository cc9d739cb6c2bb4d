"""Judges scores: how sure each comparison is, per target and pooled, and what the gate's checks say. Pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ratchet.catalog import Gate, Pipeline
from ratchet.evaluation import classes, losses
from ratchet.evaluation.classes import Classes
from ratchet.evaluation.losses import Pair
from ratchet.evaluation.scores import Scores
from ratchet.evaluation.target import Target
from ratchet.gate import bootstrap, clusters, floors, metrics, policy, quantiles, wording
from ratchet.gate.bootstrap import Effect
from ratchet.gate.checks import Check
from ratchet.gate.metrics import Floats, TargetMetrics
from ratchet.gate.quantiles import Coverage, Quantiles

SEED = 20_190_521
"""Of the resampling: judging the same rows again gives the same interval."""


@dataclass(frozen=True)
class Judgement:
    """Pooled losses and effects on the counted targets, and per-target metrics and effects.

    `skill` is the challenger's over each baseline, `champion_skill` the champion's; `by_target` is the challenger's
    effect over the champion, or over `reference` (the hardest baseline) where there is none. `advantage` [N] is the
    pooled loss of the reference less the challenger's, row by row. `median` is the challenger's effect on the median's
    absolute error over each baseline and the champion, empty where the targets are no quantiles; `floors` are the
    metrics that have one. `classes` is there where probabilities are judged: `comparison` is then of AUCs, and no
    blocks of time are drawn (`block_minutes` is None), since all rows may be of one instant.
    """

    losses: dict[str, float]
    skill: dict[str, Effect]
    champion_skill: dict[str, Effect]
    comparison: Effect | None
    reference: str
    by_target: dict[str, Effect]
    challenger: list[TargetMetrics]
    champion: list[TargetMetrics] | None
    block_minutes: int | None
    advantage: Floats
    median: dict[str, Effect] = field(default_factory=dict)
    coverage: Coverage | None = None
    floors: dict[str, float | None] = field(default_factory=dict)
    classes: Classes | None = None


def judge(scores: Scores, targets: list[Target], pipeline: Pipeline, alpha: float) -> Judgement:
    """Every comparison on the scored rows at `alpha`; needs a counted target and enough instants, of classes groups.

    Raises BadConfiguration for a baseline, a floor or quantiles that there cannot be.
    """
    gate = pipeline.gate
    shares = quantiles.of(list(pipeline.data.targets), gate.quantiles)
    found = losses.of(scores, targets, gate, shares)
    ranked = classes.measure(scores, targets[0], alpha) if gate.metric == "auc" else None
    length = None if ranked else _block_minutes(scores, pipeline)
    effects = _effects(losses.pairs(found, targets, shares), scores, pipeline, length, alpha)
    challenger = _metrics(scores.realised, scores.challenger, shares)
    return Judgement(
        losses=found.means,
        skill={name: effects["challenger", name] for name in gate.baselines},
        champion_skill=_of(effects, "champion"),
        comparison=ranked.difference if ranked else effects.get(("challenger", "champion")),
        reference=found.reference,
        by_target=_of(effects, losses.TARGET),
        challenger=challenger,
        champion=None if scores.champion is None else _metrics(scores.realised, scores.champion, shares),
        block_minutes=length,
        advantage=found.pooled[found.reference] - found.pooled["challenger"],
        median=_of(effects, losses.MEDIAN),
        coverage=quantiles.coverage(scores.realised, scores.challenger, shares) if shares else None,
        floors=floors.measure(
            gate.floors,
            [m for m, target in zip(challenger, targets, strict=True) if target.counted],
            ranked.auc if ranked else None,
        ),
        classes=ranked,
    )


def checks(judgement: Judgement, pipeline: Pipeline) -> list[Check]:
    """The gate's last checks: skill over the baselines, floors, quantiles, and the champion where there is one."""
    gate = pipeline.gate
    if judgement.classes:
        return _checks_of_classes(judgement, judgement.classes, gate)
    found = [policy.beats_baselines(judgement.skill), *floors.checks(judgement.floors, gate.floors)]
    if judgement.median:
        over = {name: judgement.median[name] for name in gate.baselines}
        found.append(policy.median_error(over, judgement.median.get("champion")))
    if judgement.coverage and gate.coverage_tolerance is not None:
        found.append(policy.covers(judgement.coverage, gate.coverage_tolerance))
    if judgement.comparison:
        found.append(policy.beats_champion(judgement.comparison, gate.policy, gate.margin))
    return found


def _checks_of_classes(judgement: Judgement, ranked: Classes, gate: Gate) -> list[Check]:
    # The floor first: below it no comparison matters.
    found = floors.checks(judgement.floors, gate.floors, ranked.auc)
    found.append(policy.beats_baselines(judgement.skill, wording.LOG_LOSS))
    if judgement.comparison:
        found.append(policy.beats_champion(judgement.comparison, gate.policy, gate.margin, wording.AUC))
    return found


def _block_minutes(scores: Scores, pipeline: Pipeline) -> int:
    instants = len(bootstrap.instants(scores.minutes))
    return bootstrap.block_minutes(instants, pipeline.data.step_minutes, pipeline.gate.block_minutes)


def _effects(
    pairs: Mapping[tuple[str, str], Pair], scores: Scores, pipeline: Pipeline, length: int | None, alpha: float
) -> dict[tuple[str, str], Effect]:
    """The effect of every pair, by blocks of so many minutes, all on the same resamples, or else by clusters."""
    ours, theirs = (np.column_stack([pair[side] for pair in pairs.values()]) for side in (0, 1))
    if length is None:
        found = clusters.effects(ours, theirs, classes.of(scores), alpha)
    else:
        blocks = bootstrap.blocks(scores.minutes, length, pipeline.data.step_minutes)
        found = bootstrap.effects(ours, theirs, blocks, alpha, pipeline.gate.resamples, SEED)
    return dict(zip(pairs, found, strict=True))


def _of(effects: dict[tuple[str, str], Effect], kind: str) -> dict[str, Effect]:
    return {name: effect for (found, name), effect in effects.items() if found == kind}


def _metrics(realised: Floats, predicted: Floats, shares: Quantiles | None) -> list[TargetMetrics]:
    found = metrics.per_target(realised, predicted)
    return quantiles.with_pinball(found, realised, predicted, shares) if shares else found
