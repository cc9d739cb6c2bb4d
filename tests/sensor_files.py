"""Sensor files of machines for tests, as they stand in the bucket: an hour a file, most of the time."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from ratchet.files.land import land
from ratchet.sensors.kind import Source
from ratchet.store import ObjectStore

SEOUL = ZoneInfo("Asia/Seoul")
MIDDLE = {"temp": 71, "humid": 50, "pressure": 36, "vibration": 1.6, "active_power": 53e3, "reactive_power": 29e3}
"""Values well within the range of each sensor of `rul`."""
HOT = 140.0
"""A temperature that is not."""
START = datetime(2026, 11, 9, 15, tzinfo=UTC)
"""A midnight in Seoul."""


@dataclass(frozen=True)
class Machine:
    """A machine that writes; hours, counted from START, in which it is `hot`, has `failed` or is `away`."""

    zone: str
    equipment: str
    hot: Iterable[int] = ()
    failed: Iterable[int] = ()
    away: Iterable[int] = ()
    sensors: tuple[str, ...] = tuple(MIDDLE)
    seed: int = 1
    silent: Mapping[str, Iterable[int]] = field(default_factory=dict)
    """Hours in which a sensor says nothing."""

    @property
    def name(self) -> tuple[str, str]:
        return self.zone, self.equipment

    def records(self, hour: int) -> Iterator[dict[str, Any]]:
        """Three samples of each sensor."""
        chance = np.random.default_rng([self.seed, 10_000 + hour])
        begin = START + timedelta(hours=hour)
        for minute in (3, 24, 51):
            for sensor in self.sensors:
                if hour not in self.silent.get(sensor, ()):
                    hot = sensor == "temp" and hour in self.hot
                    value = HOT if hot else MIDDLE[sensor] * (1 + chance.normal() / 50)
                    yield self.record(sensor, begin + timedelta(minutes=minute), value)
        if hour in self.failed:
            yield self.record("failure", begin + timedelta(minutes=55), 1.0)

    def record(self, sensor: str, at: datetime, value: float) -> dict[str, Any]:
        local = at.astimezone(SEOUL).replace(tzinfo=None)
        about = {"category": "EQUIPMENT", "sensorId": f"UA10-{sensor}", "sensorType": sensor, "val": value}
        return {"zoneId": self.zone, "equipId": self.equipment, "time": local.isoformat(), "faulty": 0, **about}

    def key(self, hour: int, number: int = 0) -> str:
        day = (START + timedelta(hours=hour)).astimezone(SEOUL).date()
        folder = f"EQUIPMENT/date={day}/zone_id={self.zone}/equip_id={self.equipment}"
        return f"{folder}/equip-{hour:05}-{number}.json"

    def write(self, store: ObjectStore, hours: Iterable[int]) -> None:
        """Those hours; every fifth one in two files."""
        for hour in hours:
            if hour in self.away:
                continue
            records = list(self.records(hour))
            parts = [records[::2], records[1::2]] if hour % 5 == 0 else [records]
            for number, part in enumerate(parts):
                store.put(self.key(hour, number), lines(part))


def lines(records: Iterable[Mapping[str, Any]]) -> bytes:
    """A file's body; a blank line ends each window."""
    return "".join(json.dumps(record) + "\n" for record in records).encode() + b"\n"


def land_days(store: ObjectStore, source: Source, first: int, end: int) -> None:
    """Lands days, counted from START."""
    for number in range(first, end):
        day = (START + timedelta(days=number)).astimezone(SEOUL).date()
        land(store, store, source.pipeline, f"dt={day}")
