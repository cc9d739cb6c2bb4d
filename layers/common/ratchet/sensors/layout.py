"""What sensor files look like and what is out of range: configuration, checked when it is read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ratchet.errors import BadConfiguration
from ratchet.sources import Sensor

IDENTIFIER = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,63}")
"""Of zones and machines: they become parts of keys."""
FAILURE = "failure"
"""The name, as a sensor, of failures that are reported."""


@dataclass(frozen=True)
class Layout:
    """Sensors by the one name that features have for them; records of another `category` are ignored.

    `time_zone` is that of times without an offset.
    """

    sensors: Mapping[str, Sensor]
    category: str
    time_zone: str

    def __post_init__(self) -> None:
        """Raises BadConfiguration for names that stand for two sensors, empty ranges and unknown zones."""
        names = [name for sensor in self.sensors.values() for name in sensor.names]
        twice = sorted({name for name in names if names.count(name) > 1})
        empty = [name for name, sensor in self.sensors.items() if not sensor.low < sensor.high]
        if twice or empty or not self.sensors:
            told = f"{', '.join(twice)} stands for two" if twice else f"the range of {', '.join(empty)} is empty"
            raise BadConfiguration(f"source.sensors: {told if self.sensors else 'there is none'}.")
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise BadConfiguration(f"source.time_zone: there is no time zone '{self.time_zone}'.") from error

    @property
    def numbers(self) -> dict[str, int]:
        """The number of a sensor, in the order of `sensors`, by each name that records have for it."""
        return {name: number for number, one in enumerate(self.sensors.values()) for name in one.names}
