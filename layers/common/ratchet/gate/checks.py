"""What must hold before a challenger's errors are even looked at: one check each, with its reason in plain words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

PARITY_TOLERANCE = 1e-4
"""Largest difference between the graph and its framework, relative to the largest reference prediction (at least 1)."""

_BUDGETS = {
    "bundle_mib": ("size", "The bundle is", "MiB"),
    "p95_ms": ("latency", "One row takes", "ms (p95)"),
    "memory_mib": ("memory", "A process that serves it takes", "MiB"),
}


@dataclass(frozen=True)
class Check:
    """One rule: whether it held, why in one sentence, and the verdict (`keep`, `insufficient`) if it did not."""

    name: str
    passed: bool
    text: str
    otherwise: str = "keep"


@dataclass(frozen=True)
class Parity:
    """How far the ONNX graph is from the framework's own predictions on the bundle's reference rows."""

    rows: int
    max_difference: float
    tolerance: float


def schema(problems: Sequence[str]) -> Check:
    """Whether the bundle's inputs and targets are the pipeline's; `problems` come from `schema_problems`."""
    text = "The bundle loads and its inputs and targets are the pipeline's."
    return Check("schema", not problems, " ".join(problems) or text)


def input_problems(inputs: Sequence[str] | None, prepared: Sequence[str] | None) -> list[str]:
    """Where a bundle's inputs are not, in order, those of the prepared rows; both name them, or nobody can tell."""
    if inputs is None or prepared is None or list(inputs) == list(prepared):
        return []
    pairs = enumerate(zip_longest(inputs, prepared, fillvalue="nothing"), 1)
    number, (ours, theirs) = next((number, pair) for number, pair in pairs if pair[0] != pair[1])
    return [f"The model's input {number} is {ours}, that of the prepared rows {theirs}."]


def schema_problems(
    width: int, targets: Sequence[tuple[str, str]], expected_width: int, expected: Mapping[str, str]
) -> list[str]:
    """What differs between a bundle's (input width, (target, unit) in order) and the pipeline's declaration."""
    problems = []
    if width != expected_width:
        problems.append(f"The model takes {width} inputs, the pipeline has {expected_width}.")
    if list(targets) != list(expected.items()):
        problems.append(f"The model predicts {_listed(targets)}, the pipeline declares {_listed(expected.items())}.")
    return problems


def split_problems(found: Sequence[object], declared: Mapping[str, Any]) -> list[str]:
    """Whether the groups were split among training, validation and holdout as the pipeline declares it now."""
    if all(split == declared for split in found):
        return []
    return [
        "The model or its rows are of another split of the groups than the pipeline declares: it may have seen the "
        "holdout."
    ]


def finite(predictions: NDArray[np.floating]) -> Check:
    """Whether every predicted value is a number."""
    bad = int(np.count_nonzero(~np.isfinite(predictions).all(axis=1)))
    text = f"{bad} of {len(predictions)} rows have a prediction that is no finite number."
    return Check("finite", bad == 0, text if bad else f"All {predictions.size:,} predictions are finite.")


def parity_of(predicted: NDArray[np.floating], reference: NDArray[np.floating]) -> Parity:
    """How far the graph is from the framework, both [rows, targets]; another shape is infinitely far."""
    if predicted.shape != reference.shape or not len(reference):
        return Parity(len(reference), float("inf"), PARITY_TOLERANCE)
    scale = max(1.0, float(np.max(np.abs(reference))))
    difference = float(np.max(np.abs(predicted.astype(np.float64) - reference)))
    return Parity(len(reference), difference if np.isfinite(difference) else float("inf"), PARITY_TOLERANCE * scale)


def parity(found: Parity) -> Check:
    """Whether the graph that serves computes what the framework that trained it computed."""
    passed = found.max_difference <= found.tolerance
    relation = "agrees with" if passed else "differs from"
    where = f"The ONNX graph {relation} the training framework on {found.rows} reference rows"
    if not isfinite(found.max_difference):
        return Check("parity", False, f"{where}: an answer is missing or no number.")
    return Check(
        "parity", passed, f"{where}: largest difference {found.max_difference:.1e}, allowed {found.tolerance:.1e}."
    )


def probabilities(predictions: NDArray[np.floating]) -> Check:
    """Whether every answer that is a number can be a probability."""
    bad = int(np.count_nonzero((predictions < 0) | (predictions > 1)))
    text = f"{bad:,} of {predictions.size:,} answers are no probabilities: they lie outside 0 to 1."
    return Check("probabilities", bad == 0, text if bad else "All answers are probabilities.")


def distinct(predictions: NDArray[np.floating]) -> Check:
    """Whether the model tells any row from another, by those of its answers that are numbers."""
    found = np.unique(predictions[np.isfinite(predictions)])
    text = f"The model gives {len(found):,} different probabilities."
    if len(found) == 1:
        text = f"The model gives every row the same probability, {found[0]:.3g}: it tells no row from another."
    return Check("distinct", len(found) > 1, text)


def outcomes(positive: int, rows: int) -> Check:
    """Whether the outcome both occurs and fails to: otherwise no two rows are to be told apart."""
    text = f"The outcome occurred in {positive:,} of {rows:,} holdout rows; it must occur in some and not in all."
    return Check("outcomes", 0 < positive < rows, text, "insufficient")


def groups(having: int, lacking: int, minimum: int) -> Check:
    """Whether rows of either outcome are of enough groups: rows of one group are alike."""
    text = (
        f"The outcome occurred in {having:,} groups of holdout rows, and failed to in {lacking:,}; "
        f"at least {minimum:,} of either are needed."
    )
    return Check("groups", min(having, lacking) >= minimum, text, "insufficient")


def budgets(measured: Mapping[str, float], limits: Mapping[str, float]) -> list[Check]:
    """Whether size, latency and memory are within the pipeline's limits."""
    return [_budget(name, measured[name], limit) for name, limit in limits.items()]


def origin(synthetic: bool, allowed: bool) -> Check:
    """Whether the data may lead to a promotion in this stack."""
    if not synthetic:
        return Check("origin", True, "The model was trained on real data.")
    where = "may be promoted in this stack" if allowed else "is promoted only in a stack that allows it"
    return Check("origin", allowed, f"The data is synthetic; a model trained on it {where}.")


def identity(challenger_sha256: str, champion_sha256: str | None) -> Check:
    """Whether the challenger is another model than the champion."""
    if challenger_sha256 == champion_sha256:
        return Check("identity", False, "The challenger is the champion: the same bundle, byte for byte.")
    return Check("identity", True, "The challenger is not the model in service.")


def incomparable() -> Check:
    """Says why only the baselines decided although there is a champion."""
    text = (
        "The champion cannot be compared: it has other inputs or targets than the pipeline declares now, "
        "was trained on another split, or gives answers that are no numbers. The naive baselines decide."
    )
    return Check("champion", True, text)


def targets(counted: Sequence[str], left_out: Sequence[str]) -> Check:
    """Whether any target is left to judge by."""
    aside = f" {_names(left_out)} left out." if left_out else ""
    text = f"{_names(counted)} counted.{aside}" if counted else "No target varies, so there is nothing to judge by."
    return Check("targets", bool(counted), text, "insufficient")


def rows(used: int, minimum: int) -> Check:
    """Whether enough holdout rows are left that neither model was trained on."""
    text = f"{used:,} holdout rows that neither model was trained on; at least {minimum:,} are needed."
    return Check("rows", used >= minimum, text, "insufficient")


def instants(found: int, minimum: int) -> Check:
    """Whether the rows are of enough instants: what happens at one instant happens to all of its rows."""
    text = f"The holdout rows are of {found:,} instants; at least {minimum:,} are needed."
    return Check("instants", found >= minimum, text, "insufficient")


def new_rows(new: int, minimum: int) -> Check:
    """Whether the holdout has moved on since the last test: testing the same rows again would only promote noise."""
    text = f"{new:,} holdout rows are new since the last test; at least {minimum:,} are needed."
    return Check("new_rows", new >= minimum, text, "insufficient")


def _budget(name: str, measured: float, limit: float) -> Check:
    short, start, unit = _BUDGETS[name]
    return Check(
        f"budget_{short}",
        measured <= limit,
        f"{start} {measured:.3g} {unit}; the budget is {limit:g} {unit.split()[0]}.",
    )


def _listed(pairs: object) -> str:
    return ", ".join(f"{name} in {unit}" for name, unit in pairs)  # type: ignore[attr-defined]


def _names(names: Sequence[str]) -> str:
    verb = "is" if len(names) == 1 else "are"
    return f"{', '.join(names)} {verb}"
