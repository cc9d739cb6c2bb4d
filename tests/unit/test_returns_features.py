from typing import Any

import numpy as np
import pytest
from pipelines.returns import features
from ratchet.errors import BadInput

A, B = [0.1] * 256, [0.2] * 256


def test_the_inputs_are_a_then_b_as_float32() -> None:
    assembled = features.inputs(A, np.array(B))
    assert assembled.dtype == np.float32
    assert assembled.tolist() == [np.float32(0.1)] * 256 + [np.float32(0.2)] * 256


def test_one_row_a_batch_and_checked_arrays_give_the_same_bits() -> None:
    generator = np.random.default_rng(1)
    a, b = generator.normal(size=(2, 5, 256)).astype(np.float32)
    one_by_one = np.stack([features.inputs(x, y) for x, y in zip(a, b, strict=True)])
    rows = [{"embedding_a": x.tolist(), "embedding_b": y.tolist()} for x, y in zip(a, b, strict=True)]
    np.testing.assert_array_equal(features.batch(rows), one_by_one)
    np.testing.assert_array_equal(features.arrays(a, b), one_by_one)


def test_a_batch_without_rows_is_empty_and_still_512_wide() -> None:
    assert features.batch([]).shape == (0, 512)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (A[:255], "has 255 values"),
        ([*A[:255], float("nan")], "not finite"),
        ([*A[:255], 1e300], "not finite or too large"),
        ([*A[:255], 10**400], "flat list of numbers"),
        ([*A[:255], "NaN"], "contains 'NaN'"),
        ([*A[:255], None], "contains None"),
        ([*A[:255], True], "contains True"),
        ("0.1," * 256, "no list of numbers"),
        (0.1, "no list of numbers"),
        (np.ones((256, 2)), "has the shape"),
    ],
)
def test_what_cannot_be_an_embedding_is_refused_with_the_row_and_the_field(value: Any, says: str) -> None:
    with pytest.raises(BadInput, match=rf"row 1 \(2026-11-21T04:00:00Z\): 'embedding_b'.*{says}"):
        features.batch(
            [
                {"embedding_a": A, "embedding_b": B},
                {"base_ts": "2026-11-21T04:00:00Z", "embedding_a": A, "embedding_b": value},
            ]
        )


def test_a_missing_embedding_is_named() -> None:
    with pytest.raises(BadInput, match="row 0: 'embedding_a' is missing"):
        features.batch([{"embedding_b": B}])
