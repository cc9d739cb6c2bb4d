"""Trees of LightGBM as ONNX graphs: to the last bit what LightGBM says at one thread, or refused by name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
import onnxruntime
import pytest
from ratchet.errors import UnsupportedTrees
from ratchet.trees.bag import fit
from ratchet.trees.graph import ZERO, translate

FEATURES, ROWS = 8, 4000
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -5e-324, 2e-308, ZERO, -ZERO, 1e-35, -1e-35, 1e300, -1e300]
BEYOND_CATEGORIES = [-1.0, -0.5, 0.5, 1.5, 63.0, 64.0, 65.0, 1e10, 2.0**31, -(2.0**31)]
MODELS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "a regressor": ({"objective": "regression"}, ()),
    "a regressor of a quantile": ({"objective": "quantile", "alpha": 0.1}, ()),
    "a regressor that is exponential": ({"objective": "poisson"}, ()),
    "a regressor for which zero is missing": ({"objective": "regression", "zero_as_missing": True}, ()),
    "a regressor for which nothing is missing": ({"objective": "regression", "use_missing": False}, (3,)),
    "a regressor with categories": ({"objective": "regression"}, (2, 3)),
    "a classifier of two": ({"objective": "binary", "sigmoid": 0.7}, (1,)),
    "a classifier of three": ({"objective": "multiclass", "num_class": 3}, ()),
    "a classifier of one against the rest": ({"objective": "multiclassova", "num_class": 3}, (1,)),
    "a random forest": ({"objective": "regression", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}, ()),
    "trees of which some are left out": ({"objective": "regression", "boosting": "dart"}, ()),
    "trees that are one leaf": ({"objective": "regression", "min_data_in_leaf": ROWS}, ()),
    "trees of extremely many leaves": ({"objective": "regression", "num_leaves": 1000, "min_data_in_leaf": 1}, ()),
}
EXACT = 4e-16
"""How far an exponential may be off, as a share: an ulp of two libraries."""


@dataclass(frozen=True)
class Made:
    """A model, its graphs, and what its splits look at."""

    booster: lightgbm.Booster
    raw: onnxruntime.InferenceSession
    whole: onnxruntime.InferenceSession
    categories: tuple[int, ...]

    def hostile(self, count: int, chance: np.random.Generator) -> np.ndarray:
        """Rows made of thresholds and of what floating point has to offer."""
        pool = [*SPECIAL, *BEYOND_CATEGORIES, *thresholds(self.booster.dump_model())]
        neighbours = [np.nextafter(value, side) for value in pool for side in (-np.inf, np.inf)]
        return chance.choice(np.array([*pool, *neighbours]), (count, FEATURES))

    def random(self, count: int, chance: np.random.Generator) -> np.ndarray:
        rows = spoiled(3 * chance.normal(size=(count, FEATURES)), chance)
        for category in self.categories:
            rows[:, category] = chance.integers(-2, 80, count)
        return rows


def spoiled(rows: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    rows[chance.random(rows.shape) < 0.1] = np.nan
    rows[chance.random(rows.shape) < 0.1] = 0
    return rows


def session(model: Any) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def thresholds(dump: Mapping[str, Any]) -> Iterator[float]:
    waiting = [tree["tree_structure"] for tree in dump["tree_info"]]
    while waiting:
        node = waiting.pop()
        if "split_feature" in node:
            yield from (float(each) for each in str(node["threshold"]).split("||"))
            waiting += [node["left_child"], node["right_child"]]


def trained(params: dict[str, Any], categories: tuple[int, ...], trees: int = 100) -> lightgbm.Booster:
    chance = np.random.default_rng(1)
    x = spoiled(chance.normal(size=(ROWS, FEATURES)), chance)
    for category in categories:
        x[:, category] = chance.integers(0, 80, ROWS)
    signal = np.nan_to_num(x[:, 0]) + np.nan_to_num(x[:, 1]) ** 2 + sum(x[:, one] % 5 for one in categories)
    y = signal + 0.1 * chance.normal(size=ROWS)
    y = {"binary": y > 1, "poisson": np.abs(y)}.get(params["objective"], y)
    y = np.digitize(y, [0, 1]) if "num_class" in params else y
    given = {"verbosity": -1, "num_threads": 1, "max_cat_to_onehot": 2, "min_data_per_group": 5, **params}
    return lightgbm.train(given, lightgbm.Dataset(x, y, categorical_feature=list(categories)), trees)


@pytest.fixture(scope="module", params=MODELS)
def made(request: pytest.FixtureRequest) -> Made:
    params, categories = MODELS[request.param]
    booster = trained(params, categories)
    dump = booster.dump_model()
    return Made(booster, session(translate(dump, raw=True)), session(translate(dump)), categories)


def same(made: Made, rows: np.ndarray) -> None:
    told = made.booster.predict(rows, raw_score=True, num_threads=1).reshape(len(rows), -1)
    found = made.raw.run(None, {"features": rows})[0]
    different = np.flatnonzero((told.view(np.int64) != found.view(np.int64)).any(axis=1))
    assert different.tolist() == [], (rows[different[0]], told[different[0]], found[different[0]])
    told = made.booster.predict(rows, num_threads=1).reshape(len(rows), -1)
    np.testing.assert_allclose(made.whole.run(None, {"features": rows})[0], told, rtol=2 * EXACT, atol=0)


def test_random_rows_are_answered_bit_by_bit_as_by_lightgbm(made: Made) -> None:
    same(made, made.random(100_000, np.random.default_rng(2)))


def test_rows_on_the_thresholds_are_answered_bit_by_bit_as_by_lightgbm(made: Made) -> None:
    same(made, made.hostile(20_000, np.random.default_rng(3)))


def test_one_row_is_answered_as_many_are(made: Made) -> None:
    rows = made.hostile(200, np.random.default_rng(4))
    alone = [made.raw.run(None, {"features": row[None]})[0][0] for row in rows]
    np.testing.assert_array_equal(np.array(alone), made.raw.run(None, {"features": rows})[0])


def test_floats_are_taken_and_given_and_all_between_is_double() -> None:
    booster = trained({"objective": "regression"}, ())
    rows = np.random.default_rng(5).normal(size=(1000, FEATURES)).astype(np.float32)
    told = booster.predict(rows.astype(np.float64), num_threads=1).astype(np.float32)
    found = session(translate(booster.dump_model(), floats=True)).run(None, {"features": rows})[0]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[:, 0], told)


def test_a_model_cut_at_its_best_iteration_is_translated_so_far() -> None:
    booster = trained({"objective": "regression"}, ())
    rows = np.random.default_rng(6).normal(size=(100, FEATURES))
    found = session(translate(booster.dump_model(num_iteration=7))).run(None, {"features": rows})[0]
    np.testing.assert_array_equal(found[:, 0], booster.predict(rows, num_iteration=7, num_threads=1))


def test_inputs_that_differ_late_in_long_lists_are_told_apart() -> None:
    """Two models over 12 inputs each of 14, zero missing to one of them: lists of the same length and beginning."""
    chance = np.random.default_rng(10)
    x = chance.normal(size=(ROWS, 14))
    dumps = []
    for last, zero in ((12, False), (13, True)):
        y = x[:, [*range(11), last]] @ np.arange(1.0, 13)
        used = np.where(np.isin(np.arange(14), [*range(11), last]), x, 0)
        given = {"objective": "regression", "verbosity": -1, "zero_as_missing": zero}
        dumps.append(lightgbm.train(given, lightgbm.Dataset(used, y), 100).dump_model())
    both = {**dumps[0], "tree_info": [*dumps[0]["tree_info"], *dumps[1]["tree_info"]]}
    parts = [session(translate(one)).run(None, {"features": x})[0] for one in dumps]
    np.testing.assert_allclose(session(translate(both)).run(None, {"features": x})[0], sum(parts), rtol=1e-9, atol=1e-9)


def test_the_mean_of_models_is_one_graph() -> None:
    chance = np.random.default_rng(9)
    x = spoiled(chance.normal(size=(ROWS, FEATURES)), chance).astype(np.float32)
    y = np.nan_to_num(x[:, 0]) + 0.1 * chance.normal(size=ROWS)
    names = [f"input_{number}" for number in range(FEATURES)]
    given = {"objective": "regression", "bagging_freq": 1, "bagging_fraction": 0.5}
    bag = fit(x, y, names=names, parameters=given, rounds=30, bags=3, seed=5)
    told = [one.predict(x[:500].astype(np.float64), num_threads=1) for one in bag.models]
    assert not np.array_equal(told[0], told[1])
    found = session(translate(*bag.dumps(), floats=True)).run(None, {"features": x[:500]})[0][:, 0]
    np.testing.assert_allclose(found, np.mean(told, axis=0), rtol=1e-6)
    np.testing.assert_array_equal(bag.predict(x[:500]), np.mean(told, axis=0))
    assert bag.importance(x[:500]).argmax() == 0
    again = fit(x, y, names=names, parameters=given, rounds=30, bags=3, seed=5, threads=1)
    np.testing.assert_array_equal(again.predict(x), bag.predict(x))


@pytest.mark.parametrize("other", [{"objective": "quantile"}, {"objective": "multiclass", "num_class": 3}])
def test_models_that_have_no_mean_are_refused(other: dict[str, Any]) -> None:
    dumps = [trained(params, (), 2).dump_model() for params in ({"objective": "regression"}, other)]
    with pytest.raises(UnsupportedTrees, match="no mean of models"):
        translate(*dumps)


def test_random_forests_have_no_mean() -> None:
    dump = trained(MODELS["a random forest"][0], (), 2).dump_model()
    with pytest.raises(UnsupportedTrees, match="no mean of random forests"):
        translate(dump, dump)


@pytest.mark.parametrize("name", ["a classifier of two", "a regressor that is exponential"])
def test_answers_that_are_made_of_sums_have_no_mean(name: str) -> None:
    """The graph would make them of the mean of the sums, which is another number."""
    dump = trained(MODELS[name][0], (), 2).dump_model()
    with pytest.raises(UnsupportedTrees, match="bags: 1"):
        translate(dump, dump)


def test_one_input_seen_in_two_ways_has_two_columns() -> None:
    """As in a model that was trained on from another one, whose data had other things missing."""
    plain, sparse = (
        trained({"objective": "regression", "zero_as_missing": zero}, (), 20).dump_model() for zero in (False, True)
    )
    both = {**plain, "tree_info": [*plain["tree_info"], *sparse["tree_info"]]}
    rows = np.random.default_rng(7).choice(np.array([*SPECIAL, *thresholds(both)]), (5000, FEATURES))
    parts = [session(translate(one)).run(None, {"features": rows})[0] for one in (plain, sparse)]
    found = session(translate(both)).run(None, {"features": rows})[0]
    np.testing.assert_allclose(found, sum(parts), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"objective": "regression", "linear_tree": True}, "linear_tree"),
        ({"objective": "regression", "reg_sqrt": True}, "regression sqrt"),
        ({"objective": "cross_entropy_lambda"}, "cross_entropy_lambda"),
    ],
)
def test_what_has_no_translation_is_refused_by_name(params: dict[str, Any], words: str) -> None:
    chance = np.random.default_rng(8)
    x = chance.normal(size=(500, 3))
    booster = lightgbm.train({"verbosity": -1, **params}, lightgbm.Dataset(x, x[:, 0] > 0), 5)
    with pytest.raises(UnsupportedTrees, match=words):
        translate(booster.dump_model())


def test_a_split_of_an_unknown_kind_is_refused_by_name() -> None:
    dump = trained({"objective": "regression"}, (), 1).dump_model()
    dump["tree_info"][0]["tree_structure"]["decision_type"] = "!="
    with pytest.raises(UnsupportedTrees, match="'!='"):
        translate(dump)
