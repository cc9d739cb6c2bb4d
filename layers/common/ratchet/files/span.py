"""The stretch of a source that a run looks at. Pure functions."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from ratchet.errors import BadInput
from ratchet.instants import parse_instant


@dataclass(frozen=True)
class Span:
    """Days of the site, both ends included, None without an end; and how many `before` them are read as well."""

    first: date | None = None
    last: date | None = None
    before: int = 0

    def begins(self, zone: str) -> datetime:
        """Where its first day begins; without an end at the beginning of all time."""
        first = self.first or date.min + timedelta(days=1)
        return datetime.combine(first, time(), ZoneInfo(zone))

    def of(self, parts: Iterable[str]) -> list[str]:
        """The names of parts that lie in it; without an end all do."""
        days = {f"dt={day.isoformat()}" for day in self.days()}
        return [name for name in parts if self.first is None or name in days]

    def without_before(self) -> "Span":
        """The days alone that it is about."""
        return replace(self, before=0)

    def days(self) -> list[date]:
        """Every day that is read."""
        if self.first is None or self.last is None:
            return []
        read = range(-self.before, (self.last - self.first).days + 1)
        return [self.first + timedelta(days=number) for number in read]


def before(run_ts: str, zone: str, days: int) -> Span:
    """So many whole days before the one of a run."""
    today = parse_instant(run_ts).astimezone(ZoneInfo(zone)).date()
    return Span(today - timedelta(days=days), today - timedelta(days=1))


def of_month(month: str) -> Span:
    """A calendar month, written 2025-06. Raises BadInput."""
    try:
        first = date.fromisoformat(f"{month}-01")
        following = (first + timedelta(days=31)).replace(day=1)
    except (ValueError, OverflowError) as error:
        raise BadInput(f"month is {month!r}; write it as 2025-06.") from error
    return Span(first, following - timedelta(days=1))
