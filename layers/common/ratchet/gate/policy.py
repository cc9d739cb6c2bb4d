"""The verdict: what the interval must show, how much of alpha a test may spend, and the first reason against it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ratchet.errors import BadConfiguration
from ratchet.gate import skill, wording
from ratchet.gate.bootstrap import Effect
from ratchet.gate.checks import Check
from ratchet.gate.quantiles import Coverage
from ratchet.gate.wording import ABSOLUTE_ERROR, LOSS, Scale

_COMPARISONS = {"skill", "champion"}


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


def beats_baselines(effects: Mapping[str, Effect], scale: Scale = LOSS) -> Check:
    """Whether the model is better than every naive baseline, surely: the least sure one decides."""
    name, worst = _least_sure(effects)
    against = f"{skill.plain(name)}: {wording.measured(worst, scale)}"
    if worst.low > 0:
        return Check("skill", True, f"Better than {_every(effects)}{against}.")
    if worst.high <= 0:
        return Check("skill", False, f"Worse than {against}.")
    return Check("skill", False, f"Not surely better than {against}.", "insufficient")


def median_error(effects: Mapping[str, Effect], champion: Effect | None) -> Check:
    """Whether the median's absolute error is surely lower than every naive baseline's, and not surely the champion's.

    `effects` are over the baselines.
    """
    name, worst = _least_sure(effects)
    against = f"{skill.plain(name)}: {wording.measured(worst, ABSOLUTE_ERROR)}"
    if champion and champion.high < 0:
        measured = wording.measured(champion, ABSOLUTE_ERROR)
        return Check("mae", False, f"The median is worse than the champion's: {measured}.")
    if worst.low > 0:
        return Check("mae", True, f"The median is better than {_every(effects)}{against}.")
    if worst.high <= 0:
        return Check("mae", False, f"The median is worse than {against}.")
    return Check("mae", False, f"The median is not surely better than {against}.", "insufficient")


def covers(found: Coverage, tolerance: float) -> Check:
    """Whether the share of outcomes between the outer quantiles is what they promise."""
    text = (
        f"{found.measured * 100:.1f} % of the outcomes lie between the {found.low * 100:g} % and the "
        f"{found.high * 100:g} % quantile, which promise {found.promised * 100:g} %; "
        f"{tolerance * 100:g} points more or less are allowed."
    )
    # What is at the limit in decimals may be beyond it in binary.
    return Check("coverage", abs(found.measured - found.promised) <= tolerance + 1e-9, text)


def beats_champion(effect: Effect, policy: str, margin: float, scale: Scale = LOSS) -> Check:
    """Whether the challenger may replace the champion by the pipeline's policy.

    `superior`: it is surely better. `non_inferior`: surely not worse by more than `margin` (a share of the champion's
    loss, or a difference of areas: what the effect is of), and better in the point estimate. Otherwise `keep` where a
    gain of `margin` is ruled out, and `insufficient` where the interval still allows one. Raises BadConfiguration for
    another policy.
    """
    if policy not in {"superior", "non_inferior"}:
        raise BadConfiguration(f"gate.policy: '{policy}' is unknown; it is superior or non_inferior.")
    allowed = scale.limit(margin)
    measured = f"{wording.measured(effect, scale)}, {wording.p_value(effect.p_value)}"
    if effect.low > 0:
        return Check("champion", True, f"Better than the champion: {measured}.")
    if policy == "non_inferior" and effect.low > -margin and effect.estimate > 0:
        return Check("champion", True, f"Not worse than the champion by more than {allowed}: {measured}.")
    if effect.low == effect.high == 0:
        return Check("champion", False, scale.same)
    if effect.high < 0:
        return Check("champion", False, f"Worse than the champion: {measured}.")
    if effect.high < margin:
        return Check("champion", False, f"No gain that matters ({allowed}) over the champion: {measured}.")
    shows = f"only a gain of {scale.size(effect.detectable)} would show"
    undecided = f"Not surely better than the champion: {measured}; {shows}."
    return Check("champion", False, undecided, "insufficient")


def decide(checks: Sequence[Check]) -> Verdict:
    """The verdict of the checks in their order: the first that failed decides.

    For a promotion speaks the last comparison, or the last check where there is none.
    """
    for check in checks:
        if not check.passed:
            return Verdict(check.otherwise, check.text)
    comparisons = [check for check in checks if check.name in _COMPARISONS]
    return Verdict("promote", (comparisons or checks)[-1].text)


def _every(baselines: Mapping[str, Effect]) -> str:
    return "every naive baseline; the closest is " if len(baselines) > 1 else ""


def _least_sure(effects: Mapping[str, Effect]) -> tuple[str, Effect]:
    return min(effects.items(), key=lambda item: item[1].low)
