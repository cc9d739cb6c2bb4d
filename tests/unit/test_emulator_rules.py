"""The arithmetic of retries and batches in the emulator's Step Functions."""

from typing import Any

import pytest

from local.emulator.stepfunctions_rules import LONGEST_WAIT_SECONDS, batched, delay


@pytest.mark.parametrize(
    ("retrier", "retries", "seconds"),
    [
        pytest.param({}, 0, 1.0, id="one second by default"),
        pytest.param({}, 3, 8.0, id="doubled with every retry by default"),
        pytest.param({"IntervalSeconds": 3, "BackoffRate": 1.5}, 2, 6.75, id="by its own rate"),
        pytest.param({"MaxDelaySeconds": 5}, 4, 5.0, id="at most MaxDelaySeconds"),
        pytest.param({"IntervalSeconds": 600}, 0, LONGEST_WAIT_SECONDS, id="at most what a person waits for"),
    ],
)
def test_a_retry_waits(retrier: dict[str, Any], retries: int, seconds: float) -> None:
    assert delay(retrier, retries, draw=lambda: 0.25) == seconds


def test_full_jitter_draws_from_zero_to_the_capped_delay() -> None:
    retrier = {"IntervalSeconds": 8, "MaxDelaySeconds": 4, "JitterStrategy": "FULL"}
    assert delay(retrier, 0, draw=lambda: 0.25) == 1.0


def test_batches_hold_at_most_so_many_items_in_order() -> None:
    assert batched([1, 2, 3], {"MaxItemsPerBatch": 2}, None) == [{"Items": [1, 2]}, {"Items": [3]}]


def test_every_batch_carries_the_shared_input() -> None:
    assert batched([1, 2], {"MaxItemsPerBatch": 1}, {"a": 1}) == [
        {"BatchInput": {"a": 1}, "Items": [1]},
        {"BatchInput": {"a": 1}, "Items": [2]},
    ]


def test_a_batch_ends_before_its_bytes_exceed_the_bound() -> None:
    batches = batched(["x" * 40] * 4, {"MaxInputBytesPerBatch": 120}, None)
    assert [len(batch["Items"]) for batch in batches] == [2, 2]


def test_an_item_larger_than_the_bound_stands_alone() -> None:
    assert len(batched(["x" * 400, "y"], {"MaxInputBytesPerBatch": 120}, None)) == 2


def test_no_items_make_no_batches() -> None:
    assert batched([], {"MaxItemsPerBatch": 2}, None) == []
