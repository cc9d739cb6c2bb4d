"""The gate's rules one by one, and the whole policy under the null and under a real improvement by simulation."""

import numpy as np
import pytest
from ratchet.errors import BadConfiguration
from ratchet.gate import bootstrap, checks, policy, skill
from ratchet.gate.bootstrap import Effect


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


def test_an_unknown_policy_is_a_configuration_fault():
    with pytest.raises(BadConfiguration, match="sometimes"):
        policy.beats_champion(effect(0.1, 0.01), "sometimes", 0.01)


def test_an_unknown_baseline_is_a_configuration_fault():
    with pytest.raises(BadConfiguration, match="oracle"):
        skill.prediction("oracle", np.zeros(2), 3)


def test_the_least_sure_baseline_decides_on_skill():
    found = policy.beats_baselines({"zero": effect(0.3, 0.1), "train_mean": effect(0.1, 0.2)})
    assert not found.passed
    assert found.otherwise == "insufficient"
    assert "the training mean" in found.text


def test_a_model_surely_worse_than_a_baseline_is_kept_out_not_put_off():
    assert policy.beats_baselines({"zero": effect(-0.3, 0.1)}).otherwise == "keep"


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
        (checks.new_rows(5, 6), "insufficient", "new since the last test"),
        (checks.finite(np.array([[1.0, np.nan], [1.0, 2.0]])), "keep", "1 of 2 rows"),
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
        checks.new_rows(6, 6),
        checks.finite(np.ones((2, 2))),
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
