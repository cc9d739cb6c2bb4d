"""Instants and run names: UTC everywhere, one spelling in keys. Pure functions and the clock port."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ratchet.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Clock = Callable[[], datetime]
"""Port: the current instant, aware, in UTC."""


def utc_now() -> datetime:
    """The system's clock, in UTC."""
    return datetime.now(UTC)


def parse_instant(text: str) -> datetime:
    """An aware UTC instant from ISO 8601, also with `-` for `:` as in run names and a blank for `T`.

    Raises BadInput when the text is no instant or names no offset.
    """
    candidate = text.strip().replace(" ", "T", 1)
    day, marker, clock = candidate.partition("T")
    if marker and len(clock) >= 8 and clock[2] == clock[5] == "-":
        clock = f"{clock[:2]}:{clock[3:5]}:{clock[6:8]}{clock[8:]}"
    try:
        instant = datetime.fromisoformat(f"{day}{marker}{clock}")
    except ValueError as error:
        raise BadInput(f"'{text}' is not an instant; write it as 2026-11-21T04:00:00Z.") from error
    if instant.tzinfo is None:
        raise BadInput(f"'{text}' names no time zone; write it as 2026-11-21T04:00:00Z.")
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise BadInput(f"'{text}' lies outside the years 1 to 9999 in UTC.") from error


def run_name(instant: datetime) -> str:
    """A run's name in keys: its scheduled instant to the second, `2026-11-21T04-00-00Z`."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")


def iso(instant: datetime) -> str:
    """An instant in documents: `2026-11-21T04:00:00Z`, with a fraction only where there is one."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def plausible(at: "NDArray[np.int64]") -> "NDArray[np.bool_]":
    """Which microseconds since the epoch lie in the years 2000 to 2099, unlike those of a clock that was lost."""
    first, end = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000 for year in (2000, 2100))
    return (at >= first) & (at < end)
