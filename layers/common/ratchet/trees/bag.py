"""Bagged gradient boosting: models that differ in their seed alone, of which the mean answers as one ONNX graph."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Bag:
    """The models; `predict` is what the graph of their dumps answers, up to the order of sums."""

    models: tuple[lightgbm.Booster, ...]

    def predict(self, x: Floats) -> NDArray[np.float64]:
        """float64 [N] for [N, inputs]: the mean over the models, by LightGBM itself at one thread."""
        answers = [model.predict(x.astype(np.float64), num_threads=1) for model in self.models]
        return np.asarray(np.mean(answers, axis=0))

    def dumps(self) -> list[dict[str, Any]]:
        """What `ratchet.trees.graph.translate` takes."""
        return [model.dump_model() for model in self.models]

    def importance(self, x: Floats) -> NDArray[np.float64]:
        """float64 [inputs]: the mean absolute SHAP value of each input over the rows, by LightGBM's `pred_contrib`."""
        shares = [np.asarray(model.predict(x.astype(np.float64), pred_contrib=True)) for model in self.models]
        return np.asarray(np.mean([np.abs(share[:, :-1]).mean(axis=0) for share in shares], axis=0))


def fit(
    x: Floats,
    y: NDArray[np.float64],
    *,
    weight: NDArray[np.float64] | None = None,
    names: Sequence[str],
    parameters: Mapping[str, Any],
    rounds: int,
    bags: int,
    seed: int,
    threads: int = 0,
) -> Bag:
    """Trains `bags` models of `rounds` trees on [N, inputs]; model i has the seed `seed` + i.

    Inputs are float32, as serving has them, so that no split lies between a number and its rounding. `threads` of 0
    are as many as there are cores; the models do not depend on it.
    """
    given = {"verbosity": -1, "num_threads": threads, "deterministic": True, "force_row_wise": True, **parameters}
    rows = lightgbm.Dataset(x.astype(np.float64), y, weight=weight, feature_name=list(names), free_raw_data=False)
    seeds = range(seed, seed + bags)
    return Bag(tuple(lightgbm.train({**given, "seed": each}, rows, rounds) for each in seeds))
