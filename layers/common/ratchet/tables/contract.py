"""The row contract: which joined rows may be learned from, and why the others may not. Arrow in, numpy out."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ratchet.catalog import Data
from ratchet.tables.join import Instants, Match, micros
from ratchet.tables.numbers import to_numpy

MICROS_PER_MINUTE = 60_000_000


@dataclass(frozen=True)
class Rows:
    """Joined rows as numbers. `reasons` is empty text where a row keeps the contract."""

    base_ts: Instants
    ts: Instants
    features: dict[str, NDArray[np.float32]]
    targets: NDArray[np.float64]
    reasons: NDArray[np.str_]


def vectors(column: pa.Array) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A fixed-size list column as float32 [N, width], NaN for null elements, and which rows are null, bool [N]."""
    width = column.type.list_size
    # `flatten` would drop the slots of null rows and shift all later ones.
    values = column.values.slice(column.offset * width, len(column) * width)
    return np.asarray(to_numpy(values), np.float32).reshape(-1, width), _nulls(column)


def check(match: Match, ts: str, data: Data, before: int | None) -> Rows:
    """Judges the rows of a match; the first fault found is a row's reason.

    `ts` names the label side's key, `before` is the last instant of the rows judged earlier.
    """
    reasons = np.full(len(match.instants), "", dtype="<U80")
    _mark(reasons, match.instants % (data.step_minutes * MICROS_PER_MINUTE) != 0, "off_grid")
    previous = np.concatenate([[-1 if before is None else before], match.instants[:-1]])
    _mark(reasons, match.instants == previous, "duplicate_instant")
    features = {name: _feature(match.left, name, data, reasons) for name in data.features}
    targets = np.stack([_target(match.right, name, reasons) for name in data.targets], axis=1)
    return Rows(match.instants, micros(_column(match.right, ts)), features, targets, reasons)


def tally(reasons: NDArray[np.str_], counts: dict[str, int]) -> None:
    """Adds how often each reason stands in `reasons` to `counts`."""
    names, numbers = np.unique(reasons[reasons != ""], return_counts=True)
    for name, number in zip(names.tolist(), numbers.tolist(), strict=True):
        counts[name] = counts.get(name, 0) + number


def share(rejected: Mapping[str, int], kept: int) -> float:
    """The share of rejected rows among all rows seen."""
    bad = sum(rejected.values())
    return bad / (bad + kept) if bad else 0.0


def _feature(batch: pa.RecordBatch, name: str, data: Data, reasons: NDArray[np.str_]) -> NDArray[np.float32]:
    values, missing = vectors(_column(batch, name))
    # A sum is finite exactly when all its terms are, short of an overflow, which no embedding of norm 1 reaches.
    norms = np.sqrt(np.einsum("ij,ij->i", values, values, dtype=np.float64))
    _mark(reasons, missing, f"{name}_missing")
    _mark(reasons, ~np.isfinite(norms), f"{name}_not_finite")
    _mark(reasons, ~(np.abs(norms - 1.0) <= data.norm_tolerance), f"{name}_norm")
    return values


def _target(batch: pa.RecordBatch, name: str, reasons: NDArray[np.str_]) -> NDArray[np.float64]:
    column = _column(batch, name)
    values = np.asarray(to_numpy(column), np.float64)
    _mark(reasons, _nulls(column), f"{name}_missing")
    _mark(reasons, ~np.isfinite(values), f"{name}_not_finite")
    return values


def _mark(reasons: NDArray[np.str_], faulty: NDArray[np.bool_], reason: str) -> None:
    if faulty.any():
        reasons[faulty & (reasons == "")] = reason


def _nulls(column: pa.Array) -> NDArray[np.bool_]:
    if not column.null_count:
        return np.zeros(len(column), np.bool_)
    return np.asarray(column.is_null().to_numpy(zero_copy_only=False), np.bool_)


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    return batch.column(batch.schema.get_field_index(name))
