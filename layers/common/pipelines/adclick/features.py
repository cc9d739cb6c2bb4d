"""The inputs of `adclick`: what is known of an impression, the same for training, batch and online.

numpy only, and nothing of Ratchet: the endpoint imports this module by itself. Nothing is made up: what is missing and
what is unknown have inputs of their own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MISSING, UNKNOWN = "missing", "unknown"
"""What a category is, after its values, where it is null, and where it is none of them."""
Numbers = Mapping[str, Sequence[float]]
"""The least and the greatest value of each number."""
Categories = Mapping[str, Sequence[str]]
"""The values of each category."""
Floats = NDArray[np.float32]


def inputs(numbers: Numbers, categories: Categories) -> list[str]:
    """The names of the inputs, in order, which is that of names: a document may hold the declarations in any."""
    told = [each for name in sorted(numbers) for each in (name, f"{name}={MISSING}")]
    ends = {name: [*categories[name], MISSING, UNKNOWN] for name in sorted(categories)}
    return [*told, *(f"{name}={value}" for name, values in ends.items() for value in values)]


def columns(
    values: Mapping[str, NDArray[np.float64]], places: Mapping[str, NDArray[np.int64]], of: Categories
) -> Floats:
    """float32 [N, inputs] from columns [N]: numbers with NaN where they are missing, categories as places among their
    values, the one after the last where they are missing, the next where they are unknown.
    """
    rows = len(next(iter([*values.values(), *places.values()])))
    parts = [part for name in sorted(values) for part in (values[name], np.isnan(values[name]))]
    numbers = np.array(parts, np.float32).reshape(len(parts), rows).T
    chosen = [np.arange(len(of[name]) + 2) == places[name][:, None] for name in sorted(places)]
    found: Floats = np.concatenate([numbers, *chosen], axis=1, dtype=np.float32)
    return found


def encode(
    rows: Sequence[Mapping[str, Any]], numbers: Numbers, categories: Categories, labels: Sequence[str] | None = None
) -> tuple[Floats, list[list[str]]]:
    """float32 [N, inputs] for rows of named fields, null where one is missing; and each row's fields that are unknown.

    `labels` name the rows in messages. Raises ValueError naming row and field for one that is not there, of another
    type, or out of range.
    """
    named = labels or [f"row {number}" for number in range(1, len(rows) + 1)]
    values = {name: np.empty(len(rows)) for name in numbers}
    places = {name: np.empty(len(rows), np.int64) for name in categories}
    for index, (row, label) in enumerate(zip(rows, named, strict=True)):
        for name, bounds in numbers.items():
            values[name][index] = _number(_field(row, name, label), bounds, f"{label}: '{name}'")
        for name, known in categories.items():
            places[name][index] = _place(_field(row, name, label), known, f"{label}: '{name}'")
    unknown = [[name for name, at in places.items() if at[index] > len(categories[name])] for index in range(len(rows))]
    return columns(values, places, categories), unknown


def _field(row: Mapping[str, Any], name: str, label: str) -> Any:
    if name not in row:
        raise ValueError(f"{label}: '{name}' is not there; send null where it is not known.")
    return row[name]


def _number(value: Any, bounds: Sequence[float], what: str) -> float:
    if value is None:
        return float("nan")
    if type(value) not in (int, float):
        raise ValueError(f"{what} is {value!r:.80}, which is no number.")
    low, high = bounds
    # Before it is converted: a whole number may have any number of digits.
    if not low <= value <= high:
        raise ValueError(f"{what} is not within {low:g} to {high:g}.")
    return float(value)


def _place(value: Any, known: Sequence[str], what: str) -> int:
    if value is None:
        return len(known)
    if not isinstance(value, str):
        raise ValueError(f"{what} is {value!r:.80}, which is no text.")
    return known.index(value) if value in known else len(known) + 1
