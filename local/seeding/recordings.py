"""Sensor files as the field writes them: JSON Lines, one file per machine and day of the site. Pure.

A file holds the windows of its day, each an hour of records with a blank line after it.
"""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = 3_600_000_000
"""In microseconds."""


@dataclass(frozen=True)
class Channel:
    """One sensor: its type, its name, and the range strictly inside of which the field says `faulty: 0`.

    `equipment` replaces the machine's: an environment sensor bears its zone's name.
    """

    kind: str
    sensor: str
    usual: tuple[float, float] = (-np.inf, np.inf)
    category: str = "EQUIPMENT"
    equipment: str | None = None


@dataclass(frozen=True)
class Recording:
    """A machine at T growing instants `at`, microseconds since the epoch; `values` [T, channels], NaN where none is."""

    zone: str
    equipment: str
    channels: tuple[Channel, ...]
    at: NDArray[np.int64]
    values: NDArray[np.float64]

    def records(self, category: str | None = None) -> int:
        """How many records there are, or those of a category."""
        ours = [category in (None, channel.category) for channel in self.channels]
        return int(np.isfinite(self.values[:, ours]).sum())


def files(recording: Recording, prefix: str, time_zone: str, seed: int) -> Iterator[tuple[str, bytes]]:
    """Keys and bodies; the same seed makes the same names."""
    zone = ZoneInfo(time_zone)
    moments = [(EPOCH + timedelta(microseconds=at)).astimezone(zone) for at in recording.at.tolist()]
    lines = _Lines(recording, moments)
    for day, rows in groupby(range(len(moments)), key=lambda row: moments[row].date()):
        name = _name(recording, day, seed)
        windows = groupby(rows, key=lambda row: moments[row].hour)
        body = "".join(lines.of(list(window), name) + "\n" for _, window in windows)
        place = f"date={day.isoformat()}/zone_id={recording.zone}/equip_id={recording.equipment}"
        yield f"{prefix}{place}/equip-{name}-0.json", body.encode()


def _name(recording: Recording, day: date, seed: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{seed}/{recording.zone}/{recording.equipment}/{day}"))


class _Lines:
    """The records of a recording as text."""

    def __init__(self, recording: Recording, moments: list[datetime]) -> None:
        self.times = [moment.replace(tzinfo=None).isoformat(timespec="microseconds") for moment in moments]
        self.templates = [_template(recording, channel) for channel in recording.channels]
        low, high = np.array([channel.usual for channel in recording.channels]).T
        self.values = np.round(recording.values, 4).tolist()
        self.faulty = (~((recording.values > low) & (recording.values < high))).astype(np.int64).tolist()

    def of(self, rows: list[int], name: str) -> str:
        """Those of some instants, each with its end of line; `name` begins their `msgId`."""
        return "".join(
            template % (value, self.times[row], faulty, name, row * len(self.templates) + number)
            for row in rows
            for number, (template, value, faulty) in enumerate(
                zip(self.templates, self.values[row], self.faulty[row], strict=True)
            )
            if value == value
        )


def _template(recording: Recording, channel: Channel) -> str:
    """A record with places for its value, time, flag and number."""
    names = {"zoneId": recording.zone, "equipId": channel.equipment or recording.equipment}
    told = json.dumps({**names, "sensorId": channel.sensor, "sensorType": channel.kind, "category": channel.category})
    return told[:-1] + ', "val": %s, "time": "%s", "faulty": %d, "msgId": "%.8s-%d"}\n'
