"""The least that a model must reach by itself, whoever else is worse: `gate.floors`, or what the stack sets instead."""

from collections.abc import Collection, Mapping, Sequence

from ratchet.errors import BadConfiguration
from ratchet.gate import metrics, wording
from ratchet.gate.checks import Check
from ratchet.gate.delong import Area
from ratchet.gate.metrics import TargetMetrics

METRICS = {"r2": "R²", "auc": "AUC"}
"""Every metric that may have a floor, in plain words."""


def parse(text: str, pipelines: Collection[str]) -> dict[str, dict[str, float]]:
    """Floors by pipeline and metric of a text such as `adclick.auc=0.65`, several separated by commas.

    Raises BadConfiguration naming every part that cannot be used.
    """
    found: dict[str, dict[str, float]] = {}
    faults = []
    for part in filter(None, map(str.strip, text.split(","))):
        place, _, number = part.partition("=")
        pipeline, _, metric = place.strip().partition(".")
        limit = _share(number)
        if pipeline not in pipelines or metric not in METRICS or limit is None or metric in found.get(pipeline, {}):
            faults.append(f"'{part}'")
        else:
            found.setdefault(pipeline, {})[metric] = limit
    if faults:
        raise BadConfiguration(
            f"RATCHET_FLOORS cannot be used in {', '.join(faults)}: a part is PIPELINE.METRIC=NUMBER, given once, the "
            f"pipeline one of {', '.join(pipelines)}, the metric of {', '.join(METRICS)}, the number from 0 to 1."
        )
    return found


def measure(
    limits: Mapping[str, float], counted: Sequence[TargetMetrics], area: Area | None = None
) -> dict[str, float | None]:
    """Each metric in `limits`; `area` is there for a pipeline of classes.

    Raises BadConfiguration naming those that there are for another one.
    """
    known = {"r2": metrics.mean_r2(counted)} | ({"auc": area.estimate} if area else {})
    unknown = [name for name in limits if name not in known]
    if unknown:
        raise BadConfiguration(f"gate.floors: '{unknown[0]}' is unknown; there is {', '.join(known)}.")
    return {name: known[name] for name in limits}


def checks(measured: Mapping[str, float | None], limits: Mapping[str, float], area: Area | None = None) -> list[Check]:
    """Whether each metric is at least its limit; one that these rows cannot tell leaves it open."""
    return [
        _ranks(area, limit) if area and name == "auc" else _check(name, measured[name], limit)
        for name, limit in limits.items()
    ]


def _check(name: str, measured: float | None, limit: float) -> Check:
    word = METRICS[name]
    if measured is None:
        text = f"{word} cannot be told, since a target does not vary; at least {limit:g} is needed."
        return Check(f"floor_{name}", False, text, "insufficient")
    return Check(f"floor_{name}", measured >= limit, f"{word} is {measured:.3g}; at least {limit:g} is needed.")


def _ranks(area: Area, limit: float) -> Check:
    interval = f"{wording.level(area.alpha)} interval {area.low:.3f} to {area.high:.3f}"
    text = f"AUC is {area.estimate:.3f} ({interval}); at least {limit:g} is needed, and 0.5 is a coin."
    passed = area.estimate >= limit
    return Check("floor_auc", passed, text if passed else f"Below the floor: {text}")


def _share(text: str) -> float | None:
    """A number from 0 to 1, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number <= 1 else None
