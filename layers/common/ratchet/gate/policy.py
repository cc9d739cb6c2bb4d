"""The verdict: what the interval must show, how much of alpha a test may spend, and the first reason against it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ratchet.errors import BadConfiguration
from ratchet.gate import skill
from ratchet.gate.bootstrap import Effect
from ratchet.gate.checks import Check


@dataclass(frozen=True)
class Verdict:
    """`promote`, `keep` or `insufficient`, and the sentence that decided it."""

    verdict: str
    reason: str


def alpha_at(alpha: float, test: int) -> float:
    """The part of `alpha` that the `test`-th test (from 1) since the last promotion may spend: alpha / (k (k + 1)).

    The parts sum to `alpha` over any number of tests, so a champion that is no worse is replaced by noise with at most
    that probability however often it is challenged. Of the series that sum to one this falls slower than 6 / (pi k)²
    from the second test on, and what it asks grows little: 1.96 standard errors at first, 3.8 after a day of hours.
    """
    return alpha / (test * (test + 1))


def beats_baselines(effects: Mapping[str, Effect]) -> Check:
    """Whether the model is better than every naive baseline, surely: the least sure one decides."""
    name, worst = min(effects.items(), key=lambda item: item[1].low)
    against = f"{skill.NAMES[name]}: {_measured(worst)}"
    if worst.low > 0:
        return Check("skill", True, f"Better than every naive baseline; the closest is {against}.")
    if worst.high <= 0:
        return Check("skill", False, f"Worse than {against}.")
    return Check("skill", False, f"Not surely better than {against}.", "insufficient")


def beats_champion(effect: Effect, policy: str, margin: float) -> Check:
    """Whether the challenger may replace the champion by the pipeline's policy.

    `superior`: its loss is surely lower. `non_inferior`: surely not higher by more than `margin` (a share of the
    champion's loss), and lower in the point estimate. Otherwise `keep` where a gain of `margin` is ruled out, and
    `insufficient` where the interval still allows one. Raises BadConfiguration for another policy.
    """
    if policy not in {"superior", "non_inferior"}:
        raise BadConfiguration(f"gate.policy: '{policy}' is unknown; it is superior or non_inferior.")
    measured = f"{_measured(effect)}, {_p(effect.p_value)}"
    if effect.low > 0:
        return Check("champion", True, f"Better than the champion: {measured}.")
    if policy == "non_inferior" and effect.low > -margin and effect.estimate > 0:
        return Check("champion", True, f"Not worse than the champion by more than {margin * 100:g} %: {measured}.")
    if effect.low == effect.high == 0:
        return Check("champion", False, "The challenger predicts what the champion predicts.")
    if effect.high < 0:
        return Check("champion", False, f"Worse than the champion: {measured}.")
    if effect.high < margin:
        return Check("champion", False, f"No gain that matters ({margin * 100:g} %) over the champion: {measured}.")
    undecided = (
        f"Not surely better than the champion: {measured}; only a gain of {effect.detectable * 100:.1f} % would show."
    )
    return Check("champion", False, undecided, "insufficient")


def decide(checks: Sequence[Check]) -> Verdict:
    """The verdict of the checks in their order: the first that failed decides, the last one speaks for a promotion."""
    for check in checks:
        if not check.passed:
            return Verdict(check.otherwise, check.text)
    return Verdict("promote", checks[-1].text)


def _measured(effect: Effect) -> str:
    """An effect in words: 8.3 % less loss (95 % interval 3.1 % to 13.4 %)."""
    if effect.low > 0 or effect.high < 0:
        near, far = sorted((abs(effect.low), abs(effect.high)))
        bounds = f"{_size(near)} to {_size(far)}"
    else:
        bounds = f"{_size(effect.low)} more to {_size(effect.high)} less"
    direction = "less" if effect.estimate >= 0 else "more"
    return f"{_size(effect.estimate)} {direction} loss ({_percent(1 - 2 * effect.alpha)} interval {bounds})"


def _size(share: float) -> str:
    return f"{abs(share) * 100:.1f} %"


def _percent(level: float) -> str:
    """A confidence level to as many digits as tell it from 100 %."""
    digits = next((d for d in range(6) if round(level * 100, d) < 100), 6)
    return f"{level * 100:.{digits}f} %"


def _p(value: float) -> str:
    return "p < 0.0001" if value < 0.0001 else f"p = {value:.2g}"
