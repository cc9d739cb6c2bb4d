"""What is judged of a pipeline of classes (`gate.metric: auc`): whether there can be an AUC, and what there is.

Pure functions. The rows of a group are a cluster: they say less together than rows of as many groups.
"""

from dataclasses import dataclass

import numpy as np

from ratchet.catalog import Pipeline
from ratchet.errors import BadConfiguration, ContractError
from ratchet.evaluation.scores import Scores
from ratchet.evaluation.target import Target
from ratchet.gate import calibration, checks, clusters, delong
from ratchet.gate.bootstrap import Effect
from ratchet.gate.calibration import Calibration
from ratchet.gate.checks import Check
from ratchet.gate.clusters import Clusters
from ratchet.gate.delong import Area
from ratchet.gate.metrics import Floats


@dataclass(frozen=True)
class Classes:
    """How well a model ranks the rows and how true its probabilities are; `difference` is its AUC less the champion's.

    `base_rate_log_loss` is what always answering with the share of positive training rows costs.
    """

    auc: Area
    champion_auc: Area | None
    difference: Effect | None
    log_loss: float
    base_rate_log_loss: float
    brier: float
    calibration: Calibration
    positives: int
    groups: int


def preconditions(scores: Scores, pipeline: Pipeline) -> list[Check]:
    """Whether the answers are probabilities that differ, and both outcomes are of enough groups.

    Raises BadConfiguration where the pipeline cannot be one of classes, ContractError for an outcome but 0 and 1.
    """
    if len(pipeline.data.targets) != 1 or pipeline.gate.quantiles:
        raise BadConfiguration(f"{pipeline.name}: with gate.metric auc there is one target and no gate.quantiles.")
    if not len(scores.minutes):
        return []
    positive = _positive(scores)
    of_rows = of(scores)
    having, lacking = (len(np.unique(of_rows[chosen])) for chosen in (positive, ~positive))
    return [
        checks.probabilities(scores.challenger),
        checks.distinct(scores.challenger),
        checks.outcomes(int(positive.sum()), len(positive)),
        checks.groups(having, lacking, clusters.MIN_CLUSTERS),
    ]


def of(scores: Scores) -> Clusters:
    """The cluster of each row [N]."""
    return clusters.numbered(scores.groups, len(scores.minutes))


def measure(scores: Scores, target: Target, alpha: float) -> Classes:
    """Everything, with bounds at `alpha`; needs that the preconditions hold."""
    positive, of_rows = _positive(scores), of(scores)
    rivals = [] if scores.champion is None else [scores.champion]
    curves = delong.curves(positive, np.hstack([scores.challenger, *rivals]), of_rows)
    realised, predicted = scores.realised[:, 0], scores.challenger[:, 0]
    return Classes(
        auc=delong.area(curves, 0, alpha),
        champion_auc=delong.area(curves, 1, alpha) if rivals else None,
        difference=delong.difference(curves, alpha) if rivals else None,
        log_loss=_log_loss(realised, predicted),
        base_rate_log_loss=_log_loss(realised, np.full_like(realised, target.mean)),
        brier=calibration.brier(realised, predicted),
        calibration=calibration.calibration(realised, predicted),
        positives=int(positive.sum()),
        groups=int(of_rows.max()) + 1,
    )


def _positive(scores: Scores) -> delong.Flags:
    if not np.isin(scores.realised, (0, 1)).all():
        raise ContractError("The holdout has outcomes that are neither 0 nor 1; prepare the data again.")
    return np.asarray(scores.realised[:, 0] == 1)


def _log_loss(realised: Floats, predicted: Floats) -> float:
    return float(calibration.log_losses(realised, predicted).mean())
