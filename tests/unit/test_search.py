"""The search for parameters: which rows judge which, and that the search is repeatable, bounded and never a loss."""

import numpy as np
import pytest
from numpy.typing import NDArray
from ratchet.catalog import load
from ratchet.errors import BadInput
from ratchet.tables.training_data import TrainingData
from ratchet.trees import search
from ratchet.trees.search import RANGES, Values

START: Values = {
    "num_leaves": 15,
    "min_data_in_leaf": 100,
    "learning_rate": 0.03,
    "feature_fraction": 0.3,
    "lambda_l2": 5,
}


def data(starts: NDArray[np.int64], horizon: int = 0, groups: list[str] | None = None) -> TrainingData:
    """Training rows that have instants and groups alone."""
    told = None if groups is None else {"train": np.array(groups)}
    return TrainingData({}, {}, [], {}, [], {"train": starts}, {"train": starts + horizon}, told)


def test_a_group_is_judged_by_models_that_have_not_seen_it() -> None:
    groups = [f"machine {number % 7}" for number in range(100)]
    folds = search.by_group(data(np.arange(100), groups=groups))
    for learned, judged in folds:
        assert not {groups[row] for row in learned} & {groups[row] for row in judged}
        assert len(learned) + len(judged) == 100
    assert sorted(np.concatenate([judged for _, judged in folds])) == list(range(100))


def test_time_is_judged_by_what_was_known_before_it() -> None:
    starts = np.repeat(np.arange(40), 3)
    folds = search.forward(data(starts, horizon=2))
    assert len(folds) == search.FOLDS
    for learned, judged in folds:
        assert (starts[learned] + 2).max() <= starts[judged].min()
    assert [int(starts[judged].min()) for _, judged in folds] == [10, 20, 30]
    assert int(starts[folds[-1][1]].max()) == 39


@pytest.mark.parametrize("groups", [None, ["one", "two"]])
def test_too_few_groups_are_named_with_the_remedy(groups: list[str] | None) -> None:
    with pytest.raises(BadInput, match="set trials to 0"):
        search.by_group(data(np.arange(2), groups=groups))


@pytest.mark.parametrize(("starts", "horizon"), [([0, 0, 0, 0], 0), ([0, 1, 2, 3], 3)])
def test_too_short_a_time_is_named_with_the_remedy(starts: list[int], horizon: int) -> None:
    with pytest.raises(BadInput, match="set trials to 0"):
        search.forward(data(np.array(starts), horizon))


def loss(values: Values) -> float:
    """Least at 40 leaves and a rate of 0.05."""
    return abs(values["num_leaves"] - 40) + 100 * abs(values["learning_rate"] - 0.05)


def test_a_search_begins_where_it_stands_and_ends_with_the_best_of_its_trials() -> None:
    found = search.best(loss, START, trials=25, minutes=1, seed=1)
    assert [each["number"] for each in found.trials] == list(range(25))
    assert found.trials[0]["params"] == START
    best = min(found.trials, key=lambda each: each["value"])
    assert found.values == best["params"]
    assert best["value"] == loss(found.values) < loss(START)
    assert all(type(found.values[name]) is type(START[name]) for name in ("num_leaves", "min_data_in_leaf"))


def test_the_same_seed_finds_the_same() -> None:
    first, again, other = (search.best(loss, START, trials=12, minutes=1, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_after_its_time_no_trial_begins() -> None:
    assert len(search.best(loss, START, trials=1000, minutes=0, seed=1).trials) == 1


def test_a_start_beyond_the_ranges_widens_them() -> None:
    started = {**START, "num_leaves": 200, "learning_rate": 0.001}
    assert search.best(loss, started, trials=1, minutes=1, seed=1).values == started


@pytest.mark.parametrize("name", ["rul", "energy"])
def test_what_is_searched_are_knobs_whose_values_lie_within_its_ranges(name: str) -> None:
    knobs = load(name).training.hyperparameters
    assert all(low <= knobs[name] <= high for name, (low, high, _) in RANGES.items())
