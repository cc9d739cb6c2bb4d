"""Bagged gradient boosting: models that differ in their seed alone, of which the mean answers as one ONNX graph.

Imports LightGBM when it trains, and ONNX when it translates: a training image may lack them until the job has installed
them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import lightgbm
    import onnx

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Bag:
    """The models; `predict` is what the graph answers, up to the order of sums. No answer is below `least`."""

    models: tuple["lightgbm.Booster", ...]
    least: float | None = None

    def predict(self, x: Floats) -> NDArray[np.float64]:
        """float64 [N] for [N, inputs]: the mean over the models, by LightGBM itself at one thread."""
        mean = np.mean([model.predict(x, num_threads=1) for model in self.models], axis=0)
        return np.asarray(mean if self.least is None else np.maximum(mean, self.least))

    def dumps(self) -> list[dict[str, Any]]:
        """What `ratchet.trees.graph` takes."""
        return [model.dump_model() for model in self.models]

    def graph(self) -> "onnx.ModelProto":
        """float32 `features` [N, inputs] to float32 `predictions` [N, 1]. Raises UnsupportedTrees."""
        from ratchet.trees.graph import translate

        return translate(*self.dumps(), floats=True, least=self.least)

    def importance(self, x: Floats) -> NDArray[np.float64]:
        """float64 [inputs]: the mean absolute SHAP value of each input over the rows, by LightGBM's `pred_contrib`."""
        shares = [np.asarray(model.predict(x, pred_contrib=True)) for model in self.models]
        return np.asarray(np.mean([np.abs(share[:, :-1]).mean(axis=0) for share in shares], axis=0))


def fit(
    x: Floats,
    y: NDArray[np.floating],
    *,
    weight: NDArray[np.floating] | None = None,
    names: Sequence[str],
    parameters: Mapping[str, Any],
    rounds: int,
    bags: int,
    seed: int,
    threads: int = 0,
    least: float | None = None,
) -> Bag:
    """Trains `bags` models of `rounds` trees on [N, inputs]; model i has the seed `seed` + i.

    Inputs are float32, as serving has them, so that no split lies between a number and its rounding. `threads` of 0
    are as many as there are cores; the models do not depend on it.
    """
    import lightgbm

    given = {"verbosity": -1, "num_threads": threads, "deterministic": True, "force_row_wise": True, **parameters}
    rows = lightgbm.Dataset(x, np.ascontiguousarray(y), weight=weight, feature_name=list(names), free_raw_data=False)
    seeds = range(seed, seed + bags)
    return Bag(tuple(lightgbm.train({**given, "seed": each}, rows, rounds) for each in seeds), least)
