"""The pipeline's targets, as the manifest found them in the data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """What the data says of one target; `variance` is that of the training rows."""

    name: str
    unit: str
    mean: float
    variance: float
    counted: bool
    why_not: str | None


def targets_of(manifest: Mapping[str, Any], units: Mapping[str, str]) -> list[Target]:
    """The pipeline's targets in order, as the manifest found them in the data."""
    found = manifest["targets"]
    return [
        Target(name, unit, *(found[name][field] for field in ("mean", "variance", "counted", "why_not")))
        for name, unit in units.items()
    ]
