"""Rows of named fields as a model's inputs, by what its bundle says of them, whatever pipeline.yaml says by now."""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from ratchet.errors import BadBundle, BadInput
from ratchet.serving.session import Floats, Model

Encoded = tuple[Floats, list[list[str]]]


def encoded(features: ModuleType, model: Model, rows: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> Encoded:
    """float32 [N, width], and of each row the fields whose value the model has never seen.

    `features` is the pipeline's module. Raises BadInput with the first bad row's label and field, BadBundle where the
    model does not say what its inputs are.
    """
    numbers, categories = model.about.get("numbers"), model.about.get("categories")
    if not isinstance(numbers, Mapping) or not isinstance(categories, Mapping):
        raise BadBundle(f"The model of {model.run_ts} names no numbers and categories; train again.")
    if features.inputs(numbers, categories) != model.about.get("inputs"):
        raise BadBundle(f"The model of {model.run_ts} has other inputs than this version makes; train again.")
    try:
        found: Encoded = features.encode(rows, numbers, categories, labels)
    except ValueError as error:
        raise BadInput(str(error)) from error
    return found
