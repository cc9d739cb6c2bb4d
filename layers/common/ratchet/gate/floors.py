"""The least that a model must reach by itself, whoever else is worse: `gate.floors`."""

from collections.abc import Callable, Mapping, Sequence

from ratchet.errors import BadConfiguration
from ratchet.gate import metrics
from ratchet.gate.checks import Check
from ratchet.gate.metrics import TargetMetrics

Metric = Callable[[Sequence[TargetMetrics]], float | None]
METRICS: dict[str, tuple[str, Metric]] = {"r2": ("R²", metrics.mean_r2)}
"""Every metric that may have a floor, in plain words, and how it is taken over the counted targets."""


def measure(limits: Mapping[str, float], counted: Sequence[TargetMetrics]) -> dict[str, float | None]:
    """Each metric in `limits`. Raises BadConfiguration naming those that there are for another one."""
    unknown = [name for name in limits if name not in METRICS]
    if unknown:
        raise BadConfiguration(f"gate.floors: '{unknown[0]}' is unknown; there is {', '.join(METRICS)}.")
    return {name: METRICS[name][1](counted) for name in limits}


def checks(measured: Mapping[str, float | None], limits: Mapping[str, float]) -> list[Check]:
    """Whether each metric is at least its limit; one that these rows cannot tell leaves it open."""
    return [_check(name, measured[name], limit) for name, limit in limits.items()]


def _check(name: str, measured: float | None, limit: float) -> Check:
    word = METRICS[name][0]
    if measured is None:
        text = f"{word} cannot be told, since a target does not vary; at least {limit:g} is needed."
        return Check(f"floor_{name}", False, text, "insufficient")
    return Check(f"floor_{name}", measured >= limit, f"{word} is {measured:.3g}; at least {limit:g} is needed.")
