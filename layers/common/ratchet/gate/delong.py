"""The area under the ROC curve, and how sure it is where rows come in clusters.

The area (AUC) is the share of pairs of a positive and a negative row that the scores put in the right order; a tie
counts half. Its variance is that of DeLong, DeLong and Clarke-Pearson (1988), "Comparing the areas under two or more
correlated receiver operating characteristic curves", summed up by cluster as in Obuchowski (1997), "Nonparametric
analysis of clustered ROC curve data": where every row is a cluster of its own, the two are the same. The components
come from midranks, in O(n log n) (Sun and Xu 2014, "Fast implementation of DeLong's algorithm").
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import ContractError
from ratchet.gate import clusters, student
from ratchet.gate.bootstrap import Effect
from ratchet.gate.clusters import Clusters
from ratchet.gate.metrics import Floats

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Area:
    """An area under the ROC curve with its one-sided bounds at `alpha`, within 0 and 1."""

    estimate: float
    low: float
    high: float
    alpha: float


@dataclass(frozen=True)
class Curves:
    """The areas [models] of scores of the same rows, and what each cluster adds to their deviations [clusters, models].

    `of_positives` and `of_negatives` sum up the components of a cluster's rows of either outcome less their mean, over
    the number of all such rows; `having` says how many clusters have rows of the one, and of the other.
    """

    areas: Floats
    of_positives: Floats
    of_negatives: Floats
    having: tuple[int, int]

    @property
    def freedom(self) -> int:
        """Degrees of freedom: the rarer outcome's clusters are what an area is unsure of."""
        return min(self.having) - 1

    def covariance(self, contrasts: Floats | None = None) -> Floats:
        """That of the areas [models, models], or of sums of them weighed by the columns of `contrasts` [models, sums].

        Needs two clusters of either outcome.
        """
        weights = np.eye(len(self.areas)) if contrasts is None else contrasts
        ours, theirs = self.of_positives @ weights, self.of_negatives @ weights
        both = ours.T @ theirs
        own = sum(_spread(n) * part.T @ part for n, part in zip(self.having, (ours, theirs), strict=True))
        found: Floats = own + _spread(len(ours)) * (both + both.T)
        return found


def curves(positive: Flags, scores: Floats, of_rows: Clusters) -> Curves:
    """Of rows [N] with scores [N, models], higher meaning more likely positive; clusters as `clusters.numbered` says.

    Raises ContractError where a score is no finite number or an outcome does not occur.
    """
    if not np.isfinite(scores).all():
        raise ContractError("There is no AUC of scores that are no finite numbers; train again.")
    if positive.all() or not positive.any():
        raise ContractError("There is no AUC of rows that all have one outcome; more rows are needed.")
    components = np.column_stack([_components(positive, column) for column in scores.T])
    areas: Floats = components[positive].mean(axis=0)
    centred = (components - areas) / np.where(positive, positive.sum(), (~positive).sum())[:, None]
    parts = [clusters.sums(centred * chosen[:, None], of_rows) for chosen in (positive, ~positive)]
    having = [len(np.unique(of_rows[chosen])) for chosen in (positive, ~positive)]
    return Curves(areas, parts[0], parts[1], (having[0], having[1]))


def area(found: Curves, model: int, alpha: float) -> Area:
    """One model's area and its bounds."""
    value, error = float(found.areas[model]), float(np.sqrt(found.covariance()[model, model].clip(0)))
    reach = student.upper_quantile(alpha, found.freedom) * error
    return Area(value, max(0.0, value - reach), min(1.0, value + reach), alpha)


def difference(found: Curves, alpha: float) -> Effect:
    """The first model's area less the second's: the paired test."""
    # Over the difference of the components, so that models that rank alike differ by exactly nothing.
    contrast = np.zeros((len(found.areas), 1))
    contrast[:2, 0] = 1, -1
    error = float(np.sqrt(found.covariance(contrast)[0, 0].clip(0)))
    estimate = float(found.areas[0] - found.areas[1])
    return clusters.effect(estimate, error, found.freedom, len(found.of_positives), alpha)


def _spread(count: int) -> float:
    """What makes a sum of squares over so many clusters an unbiased variance."""
    return count / (count - 1)


def _components(positive: Flags, scores: Floats) -> Floats:
    """Of each row [N], the share of rows of the other outcome that it is in the right order with."""
    ours, theirs = int(positive.sum()), int((~positive).sum())
    found = _midranks(scores)
    found[positive] -= _midranks(scores[positive])
    found[~positive] -= _midranks(scores[~positive])
    return np.where(positive, found / theirs, 1 - found / ours)


def _midranks(values: Floats) -> Floats:
    """Ranks from 1 on, ties sharing the mean of theirs."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[which]
    return ranks
