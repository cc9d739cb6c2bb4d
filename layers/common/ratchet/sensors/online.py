"""A machine as it is now, as one row of inputs: made as training makes its rows, so that it is one to the last bit.

Only hours that have ended count, since training knows whole hours alone.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ratchet.errors import StaleInput
from ratchet.extraction.source import EPOCH
from ratchet.instants import iso
from ratchet.sensors.hours import Hours
from ratchet.sensors.kind import Source
from ratchet.sensors.machines import Machine, machines

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Row:
    """The inputs of a machine's newest hour, float32 [1, inputs], and the `hours` of its present life that it knows.

    They lie between `start` and `end`; `told` are the sensors that said something within the longest rolling window.
    """

    features: NDArray[np.float32]
    start: datetime
    end: datetime
    hours: int
    told: list[str]


def row(source: Source, found: pa.Table, name: str, now: datetime) -> Row:
    """The row of one machine (`name`, for messages) from its hours as they land.

    Raises StaleInput without an hour that has ended, and where the newest is older than the pipeline's bound.
    """
    # An hour is named by its beginning.
    begun = (now - EPOCH) // HOUR * HOUR // timedelta(microseconds=1)
    # In one piece: over the pieces of each day the selection takes 20 ms.
    whole = found.combine_chunks()
    hours = Hours(source.layout)
    hours.take(whole.filter(pa.array(whole["hour"].cast(pa.int64()).to_numpy() < begun)))
    known = machines(hours, source.declared)
    if not known:
        raise StaleInput(f"No hour of {name} has ended yet: ask again once one has, or see what its sensors write.")
    (machine,) = known
    end = _instant(machine, -1) + HOUR
    _refuse_stale(name, end, now, source.pipeline.serving.staleness_minutes)
    *_, life = machine.lives()
    return Row(
        features=source.features(machine, life)[-1:],
        start=_instant(machine, life.start),
        end=end,
        hours=life.stop - life.start,
        told=machine.present(list(source.declared.sensors), _looked_at(source, machine, life)),
    )


def _refuse_stale(name: str, end: datetime, now: datetime, bound: int) -> None:
    if now - end > timedelta(minutes=bound):
        raise StaleInput(
            f"The newest hour of {name} ended at {iso(end)}, {(now - end) / HOUR:.1f} hours ago, which is longer than "
            f"{bound} minutes: see whether its sensors still write."
        )


def _looked_at(source: Source, machine: Machine, life: slice) -> slice:
    """The hours of the longest rolling window."""
    since = machine.hours[-1] - max(source.declared.windows.rolling)
    return slice(max(life.start, int(np.searchsorted(machine.hours, since, side="right"))), None)


def _instant(machine: Machine, index: int) -> datetime:
    return EPOCH + int(machine.hours[index]) * HOUR
