"""Rows as columns: one numpy array per declared column, in key order. Merging and comparing; no I/O.

`timestamp` is datetime64[us] in UTC, `float64` float64, `float32[n]` float32 of shape (rows, n), `text` object.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import BadConfiguration
from ratchet.sources import Table

Column = NDArray[Any]
Columns = dict[str, Column]

VECTOR = re.compile(r"float32\[([1-9][0-9]*)\]")


def width(kind: str) -> int | None:
    """The length of a `float32[n]` column, None for the scalar types. Raises BadConfiguration for an unknown type."""
    found = VECTOR.fullmatch(kind)
    if found:
        return int(found[1])
    if kind not in {"timestamp", "float64", "text"}:
        raise BadConfiguration(
            f"pipeline.yaml: '{kind}' is no column type; use timestamp, float64, float32[n] or text."
        )
    return None


def empty(table: Table, rows: int = 0) -> Columns:
    """Columns for that many rows, their values unset."""
    if table.columns.get(table.key) != "timestamp":
        raise BadConfiguration(f"pipeline.yaml: the key '{table.key}' must be a declared column of type timestamp.")
    return {name: _allocate(kind, rows) for name, kind in table.columns.items()}


def length(columns: Columns) -> int:
    """How many rows there are."""
    return len(next(iter(columns.values())))


def take(columns: Columns, which: Any) -> Columns:
    """The rows that an index, a slice or a mask names."""
    return {name: values[which] for name, values in columns.items()}


def join(parts: Sequence[Columns]) -> Columns:
    """The rows of all parts, one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def newest(columns: Columns, key: str) -> Columns:
    """Sorted by key; of rows with the same key the last one stays."""
    backwards = columns[key][::-1]
    _, first = np.unique(backwards, return_index=True)
    return take(columns, len(backwards) - 1 - first)


def merge(old: Columns, new: Columns, key: str, *, without: Column) -> tuple[Columns, int]:
    """`old` with the rows of `new` in place of its own, less those whose key is in `without`, and how many rows differ.

    Both are sorted and unique by key; so is the answer.
    """
    changed = _differing(old, new, key)
    dropped = np.isin(old[key], without) if len(without) else np.zeros(len(old[key]), dtype=bool)
    kept = take(old, ~(dropped | np.isin(old[key], new[key])))
    both = join([kept, new])
    return take(both, np.argsort(both[key], kind="stable")), changed + int(dropped.sum())


def changes(old: Columns, new: Columns, key: str) -> int:
    """How many rows differ between two states of the same rows, rows gone included."""
    return _differing(old, new, key) + int((~np.isin(old[key], new[key])).sum())


def _differing(old: Columns, new: Columns, key: str) -> int:
    """Rows of `new` that are absent from `old` or differ there."""
    shared = np.isin(new[key], old[key])
    before = take(old, np.searchsorted(old[key], new[key][shared]))
    after = take(new, shared)
    differs = np.zeros(int(shared.sum()), dtype=bool)
    for name, values in after.items():
        unequal = values != before[name]
        differs |= unequal.any(axis=1) if unequal.ndim == 2 else unequal
    return int((~shared).sum() + differs.sum())


def _allocate(kind: str, rows: int) -> Column:
    size = width(kind)
    if size is not None:
        return np.empty((rows, size), np.float32)
    dtype: np.dtype[Any] = np.dtype({"timestamp": "datetime64[us]", "float64": "float64", "text": "object"}[kind])
    return np.empty(rows, dtype)
