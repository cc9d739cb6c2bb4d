"""The gate's rules one by one, and the whole policy under the null and under a real improvement by simulation."""

import numpy as np
import pytest
from ratchet.errors import BadConfiguration
from ratchet.gate import bootstrap, checks, floors, policy, skill, wording
from ratchet.gate.bootstrap import Effect
from ratchet.gate.metrics import TargetMetrics
from ratchet.gate.quantiles import Coverage

COVERED = Coverage(0.1, 0.9, 0.8, 0.8)


def effect(estimate, reach, alpha=0.025):
    return Effect(
        estimate=estimate,
        low=estimate - reach,
        high=estimate + reach,
        p_value=0.01,
        standard_error=reach / 2,
        detectable=1.4 * reach,
        alpha=alpha,
        blocks=20,
    )


def verdict_on(found, rule="superior", margin=0.01):
    return policy.decide([policy.beats_champion(found, rule, margin)]).verdict


@pytest.mark.parametrize(
    ("estimate", "reach", "rule", "verdict"),
    [
        pytest.param(0.05, 0.04, "superior", "promote", id="surely better is promoted"),
        pytest.param(0.05, 0.06, "superior", "insufficient", id="better, but perhaps not, is insufficient"),
        pytest.param(-0.01, 0.06, "superior", "insufficient", id="worse, but perhaps much better, is insufficient"),
        pytest.param(0.001, 0.005, "superior", "keep", id="a gain below the margin is surely none that matters"),
        pytest.param(-0.05, 0.04, "superior", "keep", id="surely worse keeps the champion"),
        pytest.param(-0.05, 0.055, "superior", "keep", id="worse with a gain that matters ruled out keeps it too"),
        pytest.param(
            0.001, 0.005, "non_inferior", "promote", id="non-inferior takes a small gain that costs no margin"
        ),
        pytest.param(-0.001, 0.005, "non_inferior", "keep", id="non-inferior still asks for a better point estimate"),
        pytest.param(0.02, 0.04, "non_inferior", "insufficient", id="non-inferior refuses a possible loss beyond it"),
    ],
)
def test_the_interval_against_the_champion_decides(estimate, reach, rule, verdict):
    assert verdict_on(effect(estimate, reach), rule) == verdict


def test_the_reason_names_the_estimate_its_interval_and_what_would_show():
    text = policy.beats_champion(effect(0.05, 0.06), "superior", 0.01).text
    for part in ("5.0 % less loss", "95 % interval 1.0 % more to 11.0 % less", "a gain of 8.4 %"):
        assert part in text


@pytest.mark.parametrize(
    ("estimate", "words"),
    [
        (0.05, "5.0 % less loss (95 % interval 4.0 % to 6.0 %)"),
        (-0.05, "5.0 % more loss (95 % interval 4.0 % to 6.0 %)"),
    ],
)
def test_a_sure_effect_is_said_without_signs(estimate, words):
    assert words in policy.beats_champion(effect(estimate, 0.01), "superior", 0.01).text


def test_the_level_of_a_late_interval_is_not_rounded_to_a_hundred_percent():
    late = effect(0.05, 0.06, alpha=policy.alpha_at(0.05, 24))
    assert "99.98 % interval" in policy.beats_champion(late, "superior", 0.01).text


@pytest.mark.parametrize(
    ("estimate", "reach", "words"),
    [
        (0.05, 0.04, "Better than the champion: 0.050 more AUC (95 % interval 0.010 to 0.090)"),
        (-0.05, 0.04, "Worse than the champion: 0.050 less AUC (95 % interval 0.010 to 0.090)"),
        (
            0.0,
            0.004,
            "No gain that matters (0.005) over the champion: 0.000 more AUC (95 % interval 0.004 less to 0.004",
        ),
        (0.01, 0.02, "only a gain of 0.028 would show"),
        (0.0, 0.0, "The challenger ranks the rows as the champion ranks them."),
    ],
)
def test_a_difference_of_areas_is_no_share(estimate, reach, words):
    assert words in policy.beats_champion(effect(estimate, reach), "superior", 0.005, wording.AUC).text


def test_an_unknown_policy_is_a_configuration_fault():
    with pytest.raises(BadConfiguration, match="sometimes"):
        policy.beats_champion(effect(0.1, 0.01), "sometimes", 0.01)


def test_an_unknown_baseline_is_a_configuration_fault():
    with pytest.raises(BadConfiguration, match=r"oracle.* zero, train_mean, yesterday"):
        skill.prediction("oracle", np.zeros(2), 3, {"yesterday": np.ones(3)})


def test_the_least_sure_baseline_decides_on_skill():
    found = policy.beats_baselines({"zero": effect(0.3, 0.1), "train_mean": effect(0.1, 0.2)})
    assert not found.passed
    assert found.otherwise == "insufficient"
    assert "the training mean" in found.text


def test_a_model_surely_worse_than_a_baseline_is_kept_out_not_put_off():
    assert policy.beats_baselines({"zero": effect(-0.3, 0.1)}).otherwise == "keep"


@pytest.mark.parametrize(
    ("naive", "champion", "verdict", "words"),
    [
        ((0.3, 0.1), None, "promote", "The median is better than last week: 30.0 % less absolute error"),
        ((0.3, 0.1), (-0.01, 0.02), "promote", "better than last week"),
        ((0.3, 0.1), (-0.05, 0.04), "keep", "worse than the champion's: 5.0 % more absolute error"),
        ((0.1, 0.2), None, "insufficient", "not surely better than last week"),
        ((-0.3, 0.1), None, "keep", "The median is worse than last week"),
    ],
)
def test_the_median_must_beat_the_naive_forecasts_and_not_be_worse_than_the_champions(naive, champion, verdict, words):
    found = policy.median_error({"last_week": effect(*naive)}, effect(*champion) if champion else None)
    assert (policy.decide([found]).verdict, found.name) == (verdict, "mae")
    assert words in found.text


@pytest.mark.parametrize(("measured", "passed"), [(0.69, False), (0.7, True), (0.8, True), (0.9, True), (0.91, False)])
def test_coverage_may_be_off_by_the_tolerance_on_both_sides(measured, passed):
    found = policy.covers(Coverage(0.1, 0.9, 0.8, measured), 0.1)
    assert (found.passed, found.otherwise) == (passed, "keep")
    assert f"{measured * 100:.1f} % of the outcomes" in found.text
    assert "promise 80 %" in found.text


def metrics_of(*r2):
    return [TargetMetrics(1.0, 1.0, value, None) for value in r2]


@pytest.mark.parametrize(
    ("r2", "verdict", "words"),
    [
        ((0.3, 0.1), "promote", "R² is 0.2; at least 0.2"),
        ((0.3, 0.09), "keep", "R² is 0.195; at least 0.2"),
        ((0.3, None), "insufficient", "cannot be told"),
    ],
)
def test_a_floor_holds_for_the_mean_of_the_targets(r2, verdict, words):
    limits = {"r2": 0.2}
    (found,) = floors.checks(floors.measure(limits, metrics_of(*r2)), limits)
    assert (policy.decide([found]).verdict, found.name) == (verdict, "floor_r2")
    assert words in found.text


def test_an_unknown_floor_is_a_configuration_fault_that_names_the_known_ones():
    with pytest.raises(BadConfiguration, match="'auc' is unknown; there is r2"):
        floors.measure({"r2": 0.2, "auc": 0.7}, metrics_of(0.5))


def test_a_prepared_baselines_answer_is_that_of_every_target():
    answers = {"last_week": np.array([1.0, 2.0])}
    np.testing.assert_array_equal(skill.prediction("last_week", np.zeros(3), 2, answers), [[1.0] * 3, [2.0] * 3])
    assert skill.prepared(["zero", "last_week", "train_mean"]) == ["last_week"]


def test_a_comparison_speaks_for_a_promotion_whatever_is_checked_after_it():
    found = policy.decide([policy.beats_baselines({"zero": effect(0.3, 0.1)}), policy.covers(COVERED, 0.1)])
    assert found.reason.startswith("Better than always zero")


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (["a", "c", "b"], "input 2 is c, that of the prepared rows b"),
        (["a"], "input 2 is nothing, that of the prepared rows b"),
        (["a", "b", "c", "d"], "input 4 is d, that of the prepared rows nothing"),
    ],
)
def test_the_first_input_that_differs_is_named(inputs, words):
    (problem,) = checks.input_problems(inputs, ["a", "b", "c"])
    assert words in problem


@pytest.mark.parametrize(("inputs", "prepared"), [(None, ["a"]), (["a"], None), (["a", "b"], ["a", "b"])])
def test_inputs_that_nobody_names_or_that_are_the_same_are_no_problem(inputs, prepared):
    assert checks.input_problems(inputs, prepared) == []


def test_the_first_failed_check_gives_the_verdict_and_its_reason():
    found = policy.decide(
        [
            checks.origin(True, allowed=True),
            checks.rows(3, 50),
            checks.identity("a", "a"),
        ]
    )
    assert found.verdict == "insufficient"
    assert found.reason.startswith("3 holdout rows")


@pytest.mark.parametrize(
    ("check", "verdict", "word"),
    [
        (checks.origin(True, allowed=False), "keep", "synthetic"),
        (checks.identity("a", "a"), "keep", "is the champion"),
        (checks.targets([], ["x"]), "insufficient", "No target"),
        (checks.rows(49, 50), "insufficient", "49"),
        (checks.instants(7, 8), "insufficient", "7 instants"),
        (checks.new_rows(5, 6), "insufficient", "new since the last test"),
        (checks.finite(np.array([[1.0, np.nan], [1.0, 2.0]])), "keep", "1 of 2 rows"),
        (checks.probabilities(np.array([[1.0], [1.1], [-0.1], [np.nan]])), "keep", "2 of 4 answers"),
        (checks.distinct(np.array([[0.2], [0.2], [np.nan]])), "keep", "the same probability, 0.2:"),
        (checks.distinct(np.array([[np.nan], [np.nan]])), "keep", "0 different"),
        (checks.outcomes(0, 9), "insufficient", "0 of 9"),
        (checks.outcomes(9, 9), "insufficient", "9 of 9"),
        (checks.groups(7, 9, 8), "insufficient", "in 7 groups of holdout rows, and failed to in 9; at least 8"),
        (checks.groups(9, 7, 8), "insufficient", "failed to in 7"),
        (checks.schema(checks.split_problems([{"salt": "a"}, {"salt": "b"}], {"salt": "a"})), "keep", "another split"),
        (checks.schema(checks.schema_problems(4, [("a", "%")], 5, {"a": "%"})), "keep", "5"),
        (checks.schema(checks.schema_problems(5, [("b", "%"), ("a", "%")], 5, {"a": "%", "b": "%"})), "keep", "b in %"),
        (checks.parity(checks.parity_of(np.ones((3, 2)), np.ones((3, 2)) + 0.01)), "keep", "differs"),
        (checks.parity(checks.parity_of(np.ones((3, 2)), np.ones((2, 2)))), "keep", "differs"),
        (checks.parity(checks.parity_of(np.full((3, 2), np.nan), np.ones((3, 2)))), "keep", "differs"),
        (checks.budgets({"p95_ms": 60.0}, {"p95_ms": 50})[0], "keep", "60 ms"),
    ],
)
def test_each_precondition_that_fails_says_so(check, verdict, word):
    assert not check.passed
    assert policy.decide([check]).verdict == verdict
    assert word in check.text


@pytest.mark.parametrize(
    "check",
    [
        checks.origin(True, allowed=True),
        checks.origin(False, allowed=False),
        checks.identity("a", None),
        checks.targets(["x"], ["y"]),
        checks.rows(50, 50),
        checks.instants(8, 8),
        checks.new_rows(6, 6),
        checks.finite(np.ones((2, 2))),
        checks.probabilities(np.array([[0.0], [1.0]])),
        checks.distinct(np.array([[0.0], [1.0]])),
        checks.outcomes(1, 9),
        checks.groups(8, 8, 8),
        checks.schema(checks.split_problems([{"salt": "a"}] * 2, {"salt": "a"})),
        checks.schema(checks.schema_problems(5, [("a", "%")], 5, {"a": "%"})),
        checks.parity(checks.parity_of(np.ones((3, 2)), np.ones((3, 2)) + 1e-6)),
        checks.budgets({"p95_ms": 50.0}, {"p95_ms": 50})[0],
    ],
)
def test_each_precondition_that_holds_lets_pass(check):
    assert check.passed


def test_what_all_tests_may_spend_together_stays_within_alpha():
    spent = [policy.alpha_at(0.05, test) for test in range(1, 10_000)]
    assert spent == sorted(spent, reverse=True)
    assert 0.0499 < sum(spent) < 0.05


def challenge(rng, gain, test, rows=240):
    """One test of a challenger whose true loss is `gain` lower, on autocorrelated market noise."""
    market = np.repeat(rng.exponential(size=rows // 6), 6) * 4
    losses = 1 + market[:, None] + rng.normal(scale=0.5, size=(rows, 2))
    losses[:, 0] *= 1 - gain
    minutes = np.arange(rows) * 10
    blocks = bootstrap.blocks(minutes, bootstrap.block_minutes(rows, 10, 180), 10)
    alpha = policy.alpha_at(0.05, test)
    found = bootstrap.effects(losses[:, :1], losses[:, 1:], blocks, alpha, 300, 1)[0]
    return verdict_on(found) == "promote"


def test_a_champion_challenged_forty_times_by_its_equals_falls_about_as_rarely_as_alpha_says():
    rng = np.random.default_rng(7)
    fallen = sum(any(challenge(rng, 0.0, test) for test in range(1, 41)) for _ in range(60))
    # 5 % of 60 are 3; eight or more happen once in a hundred.
    assert fallen <= 7


def test_without_spending_alpha_the_same_champions_would_fall_to_noise():
    rng = np.random.default_rng(7)
    fallen = sum(any(challenge(rng, 0.0, 1) for _ in range(40)) for _ in range(20))
    assert fallen >= 7


def test_a_challenger_that_is_a_tenth_better_is_found_even_after_a_day_of_hourly_tests():
    rng = np.random.default_rng(7)
    assert sum(challenge(rng, 0.1, 24) for _ in range(50)) >= 40
