"""A feature group's records: their text as values of the declared types, as Feature Store checks them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local.emulator.sagemaker_calls import Refused

# yyyy-MM-dd'T'HH:mm:ssZ, with milliseconds or without.
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{3})?Z")
# Of all that Python takes for a number, what JSON does.
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_INTEGERS = range(-(2**63), 2**63)
RESERVED = ("is_deleted", "write_time", "api_invocation_time")

Value = int | float | str
_TYPES: dict[str, Callable[[str], Value]] = {"Integral": int, "Fractional": float, "String": str}


@dataclass(frozen=True)
class Schema:
    """What a feature group declares: its features in order, and which of them are the key and the event's time."""

    types: Mapping[str, str]
    """Integral, Fractional or String, by name."""
    identifier: str
    event_time: str

    @classmethod
    def of(cls, group: Mapping[str, Any]) -> Schema:
        """The schema in a request or a description of a feature group."""
        types = {each["FeatureName"]: each["FeatureType"] for each in group["FeatureDefinitions"]}
        return cls(types, group["RecordIdentifierFeatureName"], group["EventTimeFeatureName"])

    def problem(self) -> str:
        """What a new group's schema is refused for; empty when it is right."""
        for name in (self.identifier, self.event_time):
            if name not in self.types:
                return f"{name} is not among the feature definitions."
        if self.types[self.event_time] == "Integral":
            return f"The event time feature {self.event_time} must be String or Fractional, not Integral."
        taken = [name for name in self.types if name.lower() in RESERVED]
        return f"The feature names {', '.join(taken)} are reserved." if taken else ""

    def values(self, record: Iterable[Mapping[str, Any]]) -> dict[str, Value]:
        """A record's values by name; features that are left out are missing. Raises Refused."""
        found: dict[str, Value] = {}
        for each in record:
            name = each["FeatureName"]
            if name not in self.types:
                raise _wrong(f"{name} is no feature of the group.")
            if name in found:
                raise _wrong(f"{name} is there twice.")
            if "ValueAsString" not in each:
                raise _wrong(f"{name} has no ValueAsString; lists are not implemented here.")
            found[name] = self.value(name, each["ValueAsString"])
        for name in (self.identifier, self.event_time):
            if name not in found:
                raise _wrong(f"The record lacks {name}.")
        self.instant(found[self.event_time])
        return found

    def value(self, name: str, text: str) -> Value:
        """A feature's text as a value of its type. Raises Refused."""
        kind = self.types[name]
        try:
            if kind != "String" and not _NUMBER.fullmatch(text):
                raise ValueError
            value: Value = _TYPES[kind](text)
        except ValueError:
            raise _wrong(f"{name} must be {kind}, not {text!r}.") from None
        if (isinstance(value, int) and value not in _INTEGERS) or value == math.inf or value == -math.inf:
            raise _wrong(f"{name} is out of the range of {kind}: {text}.")
        return value

    def instant(self, value: Value) -> datetime:
        """The event time as an instant: seconds since 1970 where it is Fractional, else ISO 8601. Raises Refused."""
        try:
            if isinstance(value, str):
                if not _ISO.fullmatch(value):
                    raise ValueError
                return datetime.fromisoformat(value)
            return datetime.fromtimestamp(value, UTC)
        except (ValueError, OverflowError, OSError):
            said = "an ISO 8601 date like 2026-11-21T04:00:00Z or seconds since 1970"
            raise _wrong(f"The event time {value!r} must be {said}.") from None


def _wrong(message: str) -> Refused:
    return Refused("ValidationError", message)
