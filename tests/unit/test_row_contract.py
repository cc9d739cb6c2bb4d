from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from ratchet.tables import contract
from ratchet.tables.contract import Rows, check, vectors
from ratchet.tables.join import Match

from tests.landed import returns

DATA = returns().data
MINUTE = 60_000_000
GRID = 10 * MINUTE
ROWS = 4


def match(instants: list[int] | None = None, **columns: Any) -> Match:
    """Four rows that keep the contract, but for the columns given."""
    unit = np.zeros((ROWS, 256), np.float32)
    unit[:, 3] = 1.0
    good = {
        **{name: pa.FixedSizeListArray.from_arrays(pa.array(unit.reshape(-1)), 256) for name in DATA.features},
        **{name: pa.array(np.full(ROWS, 0.5)) for name in DATA.targets},
    } | columns
    keys = np.array(instants if instants is not None else range(GRID, GRID * (ROWS + 1), GRID), np.int64)
    left = pa.RecordBatch.from_pydict({name: good[name] for name in DATA.features})
    right = {"ts": pa.array(keys + GRID).cast(pa.timestamp("us", "UTC")), **{name: good[name] for name in DATA.targets}}
    return Match(keys, left, pa.RecordBatch.from_pydict(right))


def judged(rows: Match, before: int | None = None) -> Rows:
    return check(rows, "ts", DATA, before)


def embedding(row: int, values: Sequence[float | None] | None) -> pa.Array:
    good: list[Sequence[float | None] | None] = [[1.0] + [0.0] * 255 for _ in range(ROWS)]
    good[row] = values
    return pa.array(good, pa.list_(pa.float32(), 256))


def test_rows_that_keep_the_contract_have_no_reason_and_keep_their_numbers() -> None:
    rows = judged(match())
    assert rows.reasons.tolist() == [""] * ROWS
    assert rows.targets.shape == (ROWS, 6)
    assert (rows.ts - rows.base_ts == GRID).all()
    assert rows.features["embedding_a"][:, 3].tolist() == [1.0] * ROWS


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (None, "embedding_b_missing"),
        ([float("nan")] + [0.0] * 255, "embedding_b_not_finite"),
        ([float("inf")] + [0.0] * 255, "embedding_b_not_finite"),
        ([None] + [0.0] * 255, "embedding_b_not_finite"),
        ([0.0] * 256, "embedding_b_norm"),
        ([1.02] + [0.0] * 255, "embedding_b_norm"),
        ([0.98] + [0.0] * 255, "embedding_b_norm"),
    ],
    ids=["null", "nan", "infinite", "a null element", "all zero", "too long", "too short"],
)
def test_a_bad_embedding_rejects_its_row_alone(values: list[float | None] | None, reason: str) -> None:
    rows = judged(match(embedding_b=embedding(2, values)))
    assert rows.reasons.tolist() == ["", "", reason, ""]
    assert rows.features["embedding_b"][[0, 1, 3], 0].tolist() == [1.0] * 3


def test_a_norm_within_the_tolerance_passes() -> None:
    assert judged(match(embedding_a=embedding(1, [1.009] + [0.0] * 255))).reasons.tolist() == [""] * ROWS


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "scalper_return_pct_missing"),
        (float("nan"), "scalper_return_pct_not_finite"),
        (float("-inf"), "scalper_return_pct_not_finite"),
    ],
)
def test_a_target_that_is_null_or_not_finite_rejects_its_row(value: float | None, reason: str) -> None:
    rows = judged(match(scalper_return_pct=pa.array([0.1, value, 0.2, 0.3], pa.float64())))
    assert rows.reasons.tolist() == ["", reason, "", ""]


def test_an_instant_off_the_grid_rejects_its_row() -> None:
    assert judged(match([GRID, GRID + MINUTE, 2 * GRID, 3 * GRID])).reasons.tolist() == ["", "off_grid", "", ""]


def test_of_rows_with_the_same_instant_the_first_stays_also_across_batches() -> None:
    assert judged(match([GRID, GRID, 2 * GRID, 2 * GRID])).reasons.tolist() == ["", "duplicate_instant"] * 2
    assert judged(match([GRID, 2 * GRID, 3 * GRID, 4 * GRID]), GRID).reasons.tolist() == [
        "duplicate_instant",
        "",
        "",
        "",
    ]


def test_the_first_fault_names_a_row_with_several() -> None:
    rows = judged(match([GRID + 1, 2 * GRID, 3 * GRID, 4 * GRID], embedding_a=embedding(0, None)))
    assert rows.reasons[0] == "off_grid"


def test_a_sliced_column_gives_the_rows_of_the_slice() -> None:
    values, missing = vectors(embedding(2, None).slice(1, 3))
    assert missing.tolist() == [False, True, False]
    assert values.shape == (3, 256)
    assert values[[0, 2], 0].tolist() == [1.0, 1.0]


def test_reasons_are_counted_and_weighed_against_what_was_kept() -> None:
    counts: dict[str, int] = {"off_grid": 1}
    contract.tally(np.array(["", "off_grid", "a_norm", "off_grid"]), counts)
    assert counts == {"off_grid": 3, "a_norm": 1}
    assert contract.share(counts, 12) == 0.25
    assert contract.share({}, 0) == 0.0
