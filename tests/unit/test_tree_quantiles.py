"""Quantiles of trees: their graph says bit by bit what the framework does, and no quantile crosses another."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from ratchet.errors import BadConfiguration, UnsupportedTrees
from ratchet.trees import bag
from ratchet.trees.graph import side_by_side, translate
from ratchet.trees.quantiles import Quantiles, fit, uncrossed

from tests.unit.test_trees import FEATURES, ROWS, session, spoiled

SHARES = (0.05, 0.1, 0.5, 0.9, 0.95)
FITTING: dict[str, Any] = {"rounds": 30, "bags": 1, "seed": 5, "names": [f"input_{each}" for each in range(FEATURES)]}


def rows(count: int, seed: int) -> NDArray[np.float32]:
    chance = np.random.default_rng(seed)
    return spoiled(chance.normal(size=(count, FEATURES)), chance).astype(np.float32)


@pytest.fixture(scope="module")
def outcome() -> NDArray[np.float32]:
    chance = np.random.default_rng(2)
    return (np.nan_to_num(rows(ROWS, 1)[:, 0]) + chance.normal(size=ROWS)).astype(np.float32)


@pytest.fixture(scope="module")
def model(outcome: NDArray[np.float32]) -> Quantiles:
    return fit(rows(ROWS, 1), outcome, shares=SHARES, parameters={"min_data_in_leaf": 5}, **FITTING)


def answered(graph: Any, x: NDArray[np.floating]) -> NDArray[Any]:
    made: onnxruntime.InferenceSession = session(graph)
    return np.asarray(made.run(None, {"features": x})[0])


def test_the_graph_answers_bit_by_bit_as_the_models_one_by_one_do_sorted(model: Quantiles) -> None:
    x = rows(20_000, 3)
    alone = np.column_stack([each.predict(x) for each in model.bags])
    crossed = (np.diff(alone, axis=1) < 0).any(axis=1)
    assert 0 < crossed.mean() < 1
    told = answered(side_by_side(*(each.dumps() for each in model.bags), median=2), x.astype(np.float64))
    np.testing.assert_array_equal(told, uncrossed(alone, 2))
    np.testing.assert_array_equal(model.predict(x), told)
    np.testing.assert_array_equal(answered(model.graph(), x), told.astype(np.float32))
    assert (np.diff(told, axis=1) >= 0).all()
    # The median itself is as it was, and what did not cross too.
    np.testing.assert_array_equal(told[:, 2], alone[:, 2])
    np.testing.assert_array_equal(told[~crossed], alone[~crossed])


def test_one_row_is_answered_as_many_are(model: Quantiles) -> None:
    x, graph = rows(50, 4), model.graph()
    np.testing.assert_array_equal(np.concatenate([answered(graph, row[None]) for row in x]), answered(graph, x))


def test_a_share_of_outcomes_lies_below_each_quantile(model: Quantiles, outcome: NDArray[np.float32]) -> None:
    below = (outcome[:, None] <= model.predict(rows(ROWS, 1))).mean(axis=0)
    np.testing.assert_allclose(below, SHARES, atol=0.05)


def test_quantiles_are_drawn_from_the_median_outwards() -> None:
    told = np.array([[3.0, 1.0, 2.0, 1.5, 4.0], [1.0, 1.5, 2.0, 3.0, 4.0]])
    assert uncrossed(told, 2).tolist() == [[1.0, 1.0, 2.0, 2.0, 4.0], [1.0, 1.5, 2.0, 3.0, 4.0]]
    assert uncrossed(told, 0)[0].tolist() == [3.0, 3.0, 3.0, 3.0, 4.0]
    assert uncrossed(told, 4)[0].tolist() == [1.0, 1.0, 1.5, 1.5, 4.0]


def test_what_moves_the_median_is_what_matters(model: Quantiles) -> None:
    shares = model.importance(rows(300, 6))
    assert shares.argmax() == 0
    np.testing.assert_array_equal(shares, model.bags[2].importance(rows(300, 6)))


@pytest.mark.parametrize("shares", [(0.5, 0.1), (0.1, 0.1, 0.5), (0.1, 0.9)])
def test_shares_that_do_not_grow_or_have_no_median_are_refused(
    shares: tuple[float, ...], outcome: NDArray[np.float32]
) -> None:
    with pytest.raises(BadConfiguration, match=r"gate\.quantiles must grow"):
        fit(rows(ROWS, 1), outcome, shares=shares, parameters={}, **FITTING)


def test_calibrated_by_rows_that_were_not_learned_the_shares_lie_below(model: Quantiles) -> None:
    chance, x = np.random.default_rng(8), rows(ROWS, 8)
    y = np.nan_to_num(x[:, 0]) + 3 * chance.normal(size=ROWS)
    drawn = (y[:, None] <= model.predict(x)).mean(axis=0)
    assert np.abs(drawn - SHARES).max() > 0.1
    moved = model.calibrated(x, y, SHARES)
    np.testing.assert_allclose(
        (y[:, None] <= moved.predict(x)).mean(axis=0)[[0, 1, 3, 4]], [0.05, 0.1, 0.9, 0.95], atol=0.01
    )
    np.testing.assert_array_equal(moved.predict(x)[:, 2], model.predict(x)[:, 2])
    np.testing.assert_array_equal(answered(moved.graph(), x), moved.predict(x).astype(np.float32))


def test_bags_that_are_not_alike_do_not_stand_side_by_side(model: Quantiles, outcome: NDArray[np.float32]) -> None:
    x = rows(ROWS, 1)
    two = bag.fit(x, outcome, parameters={"objective": "quantile", "alpha": 0.5}, **{**FITTING, "bags": 2})
    with pytest.raises(UnsupportedTrees, match="side by side"):
        side_by_side(model.bags[0].dumps(), two.dumps())
    classes = bag.fit(x, outcome > 0, parameters={"objective": "multiclass", "num_class": 3}, **FITTING)
    with pytest.raises(UnsupportedTrees, match="side by side"):
        side_by_side(classes.dumps(), classes.dumps())


def test_no_answer_is_below_the_least(outcome: NDArray[np.float32]) -> None:
    model = bag.fit(rows(ROWS, 1), outcome, parameters={"objective": "regression"}, least=0.0, **FITTING)
    free, x = bag.Bag(model.models), rows(1000, 7)
    assert (free.predict(x) < 0).any()
    np.testing.assert_array_equal(model.predict(x), np.maximum(free.predict(x), 0))
    np.testing.assert_array_equal(answered(model.graph(), x)[:, 0], model.predict(x).astype(np.float32))
    double = answered(translate(*model.dumps(), least=0.0), x.astype(np.float64))
    np.testing.assert_array_equal(double[:, 0], model.predict(x))
