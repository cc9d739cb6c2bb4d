"""What each row costs each model and baseline, and which losses are compared with which. Pure functions."""

from dataclasses import dataclass

import numpy as np

from ratchet.catalog import Gate
from ratchet.evaluation.scores import Scores
from ratchet.evaluation.target import Target
from ratchet.gate import calibration, metrics, quantiles, skill
from ratchet.gate.metrics import Floats
from ratchet.gate.quantiles import Quantiles

TARGET, MEDIAN = "target", "median"
Pair = tuple[Floats, Floats]
"""Row losses [N] of a model and of what it is compared with."""
_MODELS = ("challenger", "champion")


@dataclass(frozen=True)
class Losses:
    """Of each model and baseline: losses [N, targets], and their mean over the counted targets [N]."""

    by_target: dict[str, Floats]
    pooled: dict[str, Floats]

    @property
    def means(self) -> dict[str, float]:
        """The one number that each model and baseline comes to."""
        return {name: float(loss.mean()) for name, loss in self.pooled.items()}

    @property
    def reference(self) -> str:
        """The champion, or the hardest baseline where there is none."""
        if "champion" in self.pooled:
            return "champion"
        means = self.means
        return min((name for name in means if name not in _MODELS), key=lambda name: means[name])


def of(scores: Scores, targets: list[Target], gate: Gate, shares: Quantiles | None) -> Losses:
    """Log losses of probabilities, pinball losses of quantiles, squared errors of anything else.

    A constant target keeps its plain loss.

    Raises BadConfiguration for a baseline that there is not.
    """
    mean = np.array([target.mean for target in targets])
    rows = len(scores.minutes)
    predictions = {name: skill.prediction(name, mean, rows, scores.baselines) for name in gate.baselines}
    predictions["challenger"] = scores.challenger
    if scores.champion is not None:
        predictions["champion"] = scores.champion
    variances = np.array([target.variance if target.variance > 0 else 1.0 for target in targets])
    losses = {
        name: _row_losses(scores.realised, values, variances, gate, shares) for name, values in predictions.items()
    }
    counted = [index for index, target in enumerate(targets) if target.counted]
    return Losses(losses, {name: metrics.pooled(loss, counted) for name, loss in losses.items()})


def pairs(losses: Losses, targets: list[Target], shares: Quantiles | None) -> dict[tuple[str, str], Pair]:
    """Everything that is compared.

    By (model, other) the pooled losses of challenger and champion with each baseline, and with each other; by (TARGET,
    name) the challenger's with those of the reference; by (MEDIAN, other) those of the median, where there is one.
    """
    pooled, by_target = losses.pooled, losses.by_target
    compared = [(model, name) for model in _MODELS if model in pooled for name in pooled if name not in _MODELS]
    compared += [_MODELS] if "champion" in pooled else []
    found = {(model, name): (pooled[model], pooled[name]) for model, name in compared}
    ours, theirs = by_target["challenger"], by_target[losses.reference]
    found |= {(TARGET, target.name): (ours[:, column], theirs[:, column]) for column, target in enumerate(targets)}
    if shares:
        # The median's pinball loss is half its absolute error: a share of the one is the same share of the other.
        median, others = shares.median, [name for name in by_target if name != "challenger"]
        found |= {(MEDIAN, name): (ours[:, median], by_target[name][:, median]) for name in others}
    return found


def _row_losses(realised: Floats, predicted: Floats, variances: Floats, gate: Gate, shares: Quantiles | None) -> Floats:
    if gate.metric == "auc":
        return calibration.log_losses(realised, predicted)
    if shares is None:
        return metrics.row_losses(realised, predicted, variances)
    return quantiles.row_losses(realised, predicted, shares.shares, np.sqrt(variances))
