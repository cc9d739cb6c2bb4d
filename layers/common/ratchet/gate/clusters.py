"""How sure an estimate is whose rows come in clusters: rows of one user say less together than those of as many users.

Whole clusters vary, never single rows (Liang and Zeger 1986, "Longitudinal data analysis using generalized linear
models"); where every row is a cluster of its own these are the usual standard errors.
"""

import numpy as np
from numpy.typing import NDArray

from ratchet.gate import bootstrap, student
from ratchet.gate.bootstrap import Effect
from ratchet.gate.metrics import Floats

MIN_CLUSTERS = 8
"""With fewer clusters of either outcome their spread says too little."""

Clusters = NDArray[np.int64]
"""The number of each row's cluster, from 0 on [N]."""


def numbered(names: NDArray[np.str_] | None, rows: int) -> Clusters:
    """The clusters of rows by the names of their groups [N]; each row its own where there are none."""
    return np.arange(rows) if names is None else np.unique(names, return_inverse=True)[1]


def sums(columns: Floats, clusters: Clusters) -> Floats:
    """Totals by cluster: [N, columns] to [clusters, columns]."""
    count = int(clusters.max()) + 1
    return np.column_stack([np.bincount(clusters, column, minlength=count) for column in columns.T])


def effects(challenger: Floats, reference: Floats, clusters: Clusters, alpha: float) -> list[Effect]:
    """For each column of two [N, columns] losses, 1 - mean(challenger) / mean(reference) and how sure that is.

    The two losses of a row are taken together, by the linear terms of their ratio; needs two clusters.
    """
    estimate = bootstrap.share(challenger.sum(axis=0), reference.sum(axis=0))
    scale = np.where(reference.sum(axis=0) > 0, reference.sum(axis=0), 1.0)
    by_cluster = sums(((1 - estimate) * reference - challenger) / scale, clusters)
    count = len(by_cluster)
    errors = np.sqrt(np.square(by_cluster).sum(axis=0) * count / (count - 1))
    return [
        effect(float(value), float(error), count - 1, count, alpha)
        for value, error in zip(estimate, errors, strict=True)
    ]


def effect(estimate: float, error: float, freedom: int, count: int, alpha: float) -> Effect:
    """An estimate of that standard error, by Student's t: at a small `alpha` the normal is too sure of few clusters."""
    reach = student.upper_quantile(alpha, freedom) * error
    return Effect(
        estimate=estimate,
        low=estimate - reach,
        high=estimate + reach,
        p_value=student.upper_tail(estimate / error, freedom) if error > 0 else float(estimate <= 0),
        standard_error=error,
        detectable=reach + student.upper_quantile(1 - bootstrap.POWER, freedom) * error,
        alpha=alpha,
        blocks=count,
    )
