"""What training jobs of tree models do alike: search where asked, train, compare losses, explain, leave the bundle.

A pipeline's `train.py` says how: its recipe.
"""

import json
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import TrainingFailed
from ratchet.script import Job, spread
from ratchet.source_archive import WHEELS, installed
from ratchet.tables.training_data import TrainingData, read
from ratchet.trees import search
from ratchet.wheels import ensure

if TYPE_CHECKING:
    import onnx

NEEDS = {"pyarrow": "pyarrow", "onnx": "onnx==1.23.2", "lightgbm": "lightgbm==4.7.0"}
PACKAGES = ("lightgbm", "numpy", "onnx", "pyarrow")
LOSS_ROWS, EXPLAINED_ROWS = 20_000, 2000
"""Training rows that the loss is taken over, and validation rows that the importance is: at most, evenly spread."""
DIGITS = 4
OURS = {"rounds", "bags", "seed"}
SEARCH = {"trials", "search_minutes"}
"""Knobs that are not LightGBM's own: those of `bag.fit`, and those of a search."""
Floats = NDArray[np.float32]
Answers = NDArray[np.float64]


class Model(Protocol):
    """What `ratchet.trees.bag.Bag` and `ratchet.trees.quantiles.Quantiles` are."""

    def predict(self, x: Floats) -> Answers:
        """float64 [N] or [N, targets]."""

    def graph(self) -> "onnx.ModelProto":
        """The same as ONNX."""

    def importance(self, x: Floats) -> Answers:
        """float64 [inputs]."""


class Recipe(Protocol):
    """How a pipeline's model is trained and judged; answers and outcomes `y` are [N, targets]."""

    unit: str
    """The inputs'."""

    def train(self, x: Floats, y: Floats, names: Sequence[str], knobs: Namespace) -> Model:
        """A model of the rows [N, inputs]."""

    def calibrate(self, model: Any, x: Floats, y: Floats) -> Model:
        """The model, set right by rows that it has not learned from."""

    def loss(self, answers: Answers, y: Floats) -> float:
        """What training makes small."""

    def measure(self, answers: Answers, y: Floats) -> dict[str, Any]:
        """What else the validation rows say."""

    def folds(self, data: TrainingData) -> list[search.Fold]:
        """Of the training rows, for a search. Raises BadInput."""


More = Callable[[TrainingData, Namespace], dict[str, Any]]
"""What a pipeline wants to know of its training rows besides, given the knobs."""


def carry_out(job: Job, recipe: Recipe, tell: Callable[[str], None], more: More = lambda data, knobs: {}) -> None:
    """Trains on the job's rows and leaves its bundle; `tell` takes lines for the job's log.

    Raises FloatingPointError where a loss is no number, TrainingFailed and BadInput where a search cannot be had.
    """
    data = read(job.channel)
    tell(f"device=cpu train_rows={len(data.x['train'])} validation_rows={len(data.x['validation'])}")
    metrics: dict[str, Any] = {f"{part}_rows": len(rows) for part, rows in data.x.items()}
    if job.knobs.trials:
        found = _searched(job.knobs, recipe, data, tell)
        job = replace(job, knobs=Namespace(**{**vars(job.knobs), **found.values}))
        metrics["search"] = {"chosen": found.values, "trials": found.trials}
    model = recipe.train(data.x["train"], data.y["train"], data.inputs, job.knobs)
    model = recipe.calibrate(model, data.x["validation"], data.y["validation"])
    answers = _answers(model, data.x["validation"])
    metrics |= _losses(model, recipe, data, answers)
    tell(f"train_loss={metrics['train_loss']:.6f} validation_loss={metrics['validation_loss']:.6f}")
    measured = {**recipe.measure(answers, data.y["validation"]), **more(data, job.knobs)}
    tell(f"measured: {json.dumps(measured)}")
    shares = model.importance(spread(data.x["validation"], EXPLAINED_ROWS))
    importance = {name: rounded(share) for name, share in zip(data.inputs, shares, strict=True)}
    metrics |= {**measured, "importance": importance}
    files = {"model.onnx": model.graph().SerializeToString()}
    job.leave(data, files, lambda x: _answers(model, x), metrics, unit=recipe.unit, packages=PACKAGES, device="cpu")


def fitting(knobs: Namespace, *own: str) -> dict[str, Any]:
    """The knobs as `bag.fit` and `quantiles.fit` take them, but for a recipe's `own`."""
    told = vars(knobs)
    parameters = {name: value for name, value in told.items() if name not in OURS | SEARCH | {*own}}
    return {"parameters": parameters, **{name: told[name] for name in sorted(OURS)}}


def rounded(value: float) -> float:
    """To so many digits as a person reads."""
    return float(f"{value:.{DIGITS}g}")


def _answers(model: Model, x: Floats) -> Answers:
    return model.predict(x).reshape(len(x), -1)


def _losses(model: Model, recipe: Recipe, data: TrainingData, answers: Answers) -> dict[str, float]:
    some = [spread(rows["train"], LOSS_ROWS) for rows in (data.x, data.y)]
    train, validation = recipe.loss(_answers(model, some[0]), some[1]), recipe.loss(answers, data.y["validation"])
    if not np.isfinite([train, validation]).all():
        # The built-in name is one that SageMaker's toolkit quotes in the reason of a failed job.
        raise FloatingPointError(f"The loss is {train} ({validation} on validation): lower learning_rate.")
    return {"train_loss": train, "validation_loss": validation}


def _searched(knobs: Namespace, recipe: Recipe, data: TrainingData, tell: Callable[[str], None]) -> search.Found:
    """By one model instead of a bag: what suits one suits all. The validation rows are not looked at."""
    try:
        ensure(search.NEEDS, installed() / WHEELS)
    except TrainingFailed as error:
        raise TrainingFailed(f"{error} Or set trials to 0: then there is no search.") from error
    x, y, folds = data.x["train"], data.y["train"], recipe.folds(data)

    def loss(values: search.Values) -> float:
        tried, losses = Namespace(**{**vars(knobs), **values, "bags": 1}), []
        for learned, judged in folds:
            model = recipe.train(x[learned], y[learned], data.inputs, tried)
            losses.append(recipe.loss(_answers(model, x[judged]), y[judged]))
        tell(f"trial_loss={np.mean(losses):.6f} {values}")
        return float(np.mean(losses))

    limits = {"trials": knobs.trials, "minutes": knobs.search_minutes, "seed": knobs.seed}
    return search.best(loss, search.start_of(vars(knobs)), **limits)
