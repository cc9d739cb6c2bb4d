from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ratchet.errors import BadConfiguration
from ratchet.tables.split import PARTS, split, validate

from tests.landed import returns

MINUTE = 60_000_000


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 5000), min_size=3, max_size=300, unique=True),
    st.integers(1, 6),
    st.integers(0, 4),
    st.integers(5, 8),
)
def test_parts_are_disjoint_in_order_and_no_label_reaches_the_embargo_before_the_next(
    slots: list[int], horizon: int, extra: int, train_tenths: int
) -> None:
    horizon_minutes, embargo_minutes = 10 * horizon, 10 * (horizon + extra)
    shares = {"train": train_tenths / 10, "validation": 0.1, "holdout": 0.9 - train_tenths / 10}
    data = returns(label_horizon_minutes=horizon_minutes, embargo_minutes=embargo_minutes, split=shares).data
    instants = np.sort(np.array(slots, np.int64)) * 10 * MINUTE
    parts = split(instants, data).parts(instants)
    assert ((parts >= -1) & (parts <= 2)).all()
    assert (np.diff(parts[parts >= 0]) >= 0).all()
    for earlier, later in ((0, 1), (1, 2), (0, 2)):
        if (parts == earlier).any() and (parts == later).any():
            last, first = instants[parts == earlier].max(), instants[parts == later].min()
            assert last + horizon_minutes * MINUTE <= first
            assert first - last > embargo_minutes * MINUTE


@settings(deadline=None)
@given(st.integers(300, 3000))
def test_consecutive_slots_split_70_10_20_and_lose_one_row_at_each_embargo(count: int) -> None:
    instants = np.arange(count, dtype=np.int64) * 10 * MINUTE
    parts = split(instants, returns().data).parts(instants)
    numbers = {part: int((parts == code).sum()) for code, part in enumerate(PARTS)}
    assert int((parts == -1).sum()) == 2
    assert abs(numbers["train"] - 0.7 * count) <= 2
    assert abs(numbers["validation"] - 0.1 * count) <= 2
    assert abs(numbers["holdout"] - 0.2 * count) <= 2


def test_the_split_goes_by_rows_not_by_calendar_time() -> None:
    instants = np.concatenate([np.arange(500), 10_000 + np.arange(500)]).astype(np.int64) * 10 * MINUTE
    parts = split(instants, returns().data).parts(instants)
    assert int((parts == 2).sum()) == 200


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"embargo_minutes": 5}, "embargo_minutes is 5"),
        ({"split": {"train": 0.7, "validation": 0.1, "holdout": 0.3}}, "add up to 1"),
        ({"split": {"train": 0.9, "validation": 0.1, "holdout": 0.0}}, "positive"),
        ({"split": {"train": 0.8, "holdout": 0.2}}, "must give train, validation, holdout"),
    ],
)
def test_a_split_that_would_leak_or_make_no_sense_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(BadConfiguration, match=says):
        validate(returns(**change).data)


def test_the_shipped_split_is_sound() -> None:
    validate(returns().data)
