"""The split by time with an embargo between its parts. Pure functions over instants (numpy only)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ratchet.catalog import Data
from ratchet.errors import BadConfiguration

MICROS_PER_MINUTE = 60_000_000
PARTS = ("train", "validation", "holdout")


@dataclass(frozen=True)
class Split:
    """Where the parts begin and where, an embargo earlier, those before them end: microseconds since the epoch.

    train < `train_end`, `validation_start` <= validation < `validation_end`, `holdout_start` <= holdout.
    """

    train_end: int
    validation_start: int
    validation_end: int
    holdout_start: int

    def parts(self, instants: NDArray[np.int64]) -> NDArray[np.int8]:
        """The index in `PARTS` of each instant, -1 in an embargo."""
        edges = [self.train_end, self.validation_start, self.validation_end, self.holdout_start]
        codes = np.array([0, -1, 1, -1, 2], np.int8)
        return codes[np.searchsorted(edges, instants, "right")]


def validate(data: Data) -> None:
    """Raises BadConfiguration for shares that do not add up or an embargo that lets labels leak."""
    shares = data.split
    if set(shares) != set(PARTS) or abs(sum(shares.values()) - 1) > 1e-9 or min(shares.values()) <= 0:
        raise BadConfiguration(f"data.split must give {', '.join(PARTS)} positive shares that add up to 1.")
    if data.embargo_minutes < data.label_horizon_minutes:
        raise BadConfiguration(
            f"data.embargo_minutes is {data.embargo_minutes}; labels reach {data.label_horizon_minutes} minutes ahead, "
            "so it must be at least that."
        )


def split(instants: NDArray[np.int64], data: Data) -> Split:
    """The split of sorted unique instants (at least one a part) by the shares in `data`.

    Rows whose instant lies within the embargo before a later part belong to none. Raises BadConfiguration.
    """
    validate(data)
    count = len(instants)
    validation_start = int(instants[min(round(count * data.split["train"]), count - 1)])
    holdout_start = int(instants[min(round(count * (1 - data.split["holdout"])), count - 1)])
    embargo = data.embargo_minutes * MICROS_PER_MINUTE
    # With few rows an embargo may swallow a part whole; an earlier part never ends after a later one begins.
    validation_end = max(holdout_start - embargo, validation_start)
    return Split(validation_start - embargo, validation_start, validation_end, holdout_start)
