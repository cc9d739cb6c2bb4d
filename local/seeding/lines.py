"""The lines of a meter's CSV file as bytes: the instant in each, and the same line some days later. Pure.

Only the digits of dates are understood and changed; quotes, blanks, other columns and ends of lines stay as they are.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from ratchet.errors import BadConfiguration, BadInput
from ratchet.meters.layout import DIRECTIVES
from ratchet.sources import MeterLayout

RUN = re.compile("(?P<date>%[dmY](?:[^%]*%[dmY])*)|(?P<time>%[HMS](?:[^%]*%[HMS])*)")
"""What belongs to a date, or to a time of day, in a format."""
LOST = 2100
"""From this year on an instant is that of a clock that was lost, and says nothing of where a file ends."""


def layout_of(header: bytes, layouts: Mapping[str, MeterLayout]) -> tuple[MeterLayout, list[str]]:
    """The layout whose columns a header has, and the header's names. Raises BadInput naming what there must be."""
    text = header.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="replace").strip()
    for layout in layouts.values():
        names = [name.strip('"') for name in text.split(layout.delimiter)]
        if {*layout.time, layout.value} <= set(names):
            return layout, names
    known = " or ".join(f"{each.delimiter.join([*each.time, each.value])} ({name})" for name, each in layouts.items())
    raise BadInput(f"The file begins with '{text[:80]}'; its header must have the columns {known}.")


class Lines:
    """Lines of one layout."""

    def __init__(self, layout: MeterLayout, header: list[str]) -> None:
        """`header` are the names of the file's columns. Raises BadConfiguration where a date is in several of them."""
        formats = layout.time_format.split(" ", len(layout.time) - 1)
        runs = [run for each in formats for run in RUN.finditer(each)]
        self._formats = {str(run.lastgroup): run[0] for run in runs}
        if len(formats) != len(layout.time) or len(runs) != len(self._formats) or "date" not in self._formats:
            raise BadConfiguration(
                f"{layout.time_format} in source.layouts of pipeline.yaml: put the date into one column, the time of "
                "day into one, and a blank between columns."
            )
        places = sorted((header.index(name), meant) for name, meant in zip(layout.time, formats, strict=True))
        self._match = re.compile(_pattern(places, layout.delimiter).encode()).match
        self._days: dict[bytes, datetime | None] = {}
        self._times: dict[bytes, timedelta | None] = {b"": timedelta()}
        self._moved: dict[tuple[int, bytes], bytes] = {}

    def read(self, line: bytes) -> tuple[re.Match[bytes], datetime] | None:
        """A line that is whole and has an instant, with it; None for any other."""
        found = self._match(line)
        if found is None or line[-1:] != b"\n":
            return None
        day, time = self._day(found["date"]), self._time(found["time"])
        return None if day is None or time is None else (found, day + time)

    def moved(self, line: re.Match[bytes], days: int) -> bytes:
        """The line so many days later."""
        text, whole = line["date"], line.string
        if (days, text) not in self._moved:
            later = (self._day(text) or datetime.min) + timedelta(days=days)
            self._moved[days, text] = later.strftime(self._formats["date"]).encode()
        return whole[: line.start("date")] + self._moved[days, text] + whole[line.end("date") :]

    def _day(self, text: bytes) -> datetime | None:
        if text not in self._days:
            found = _parsed(text, self._formats["date"])
            self._days[text] = found if found and found.year < LOST else None
        return self._days[text]

    def _time(self, text: bytes) -> timedelta | None:
        if text not in self._times:
            found = _parsed(text, self._formats["time"])
            self._times[text] = found - datetime(1900, 1, 1) if found else None
        return self._times[text]


def _parsed(text: bytes, meant: str) -> datetime | None:
    try:
        return datetime.strptime(text.decode(), meant)
    except ValueError:
        return None


def _pattern(places: list[tuple[int, str]], delimiter: str) -> str:
    """A regular expression for a line with the groups `date` and `time`; columns are what the delimiter parts."""
    told, at, comma = "", 0, re.escape(delimiter)
    for column, meant in places:
        told += f'(?:[^{comma}]*{comma}){{{column - at}}}"?{_column(meant)}"?(?:{comma}|\\r?$)'
        at = column + 1
    return told if "(?P<time>" in told else f"(?P<time>){told}"


def _column(meant: str) -> str:
    """A format as a regular expression."""
    told, at = "", 0
    for run in RUN.finditer(meant):
        told += f"{re.escape(meant[at : run.start()])}(?P<{run.lastgroup}>{_digits(run[0])})"
        at = run.end()
    return told + re.escape(meant[at:])


def _digits(run: str) -> str:
    parts = re.split("%(.)", run)
    return "".join(f"[0-9]{{1,{DIRECTIVES[part]}}}" if at % 2 else re.escape(part) for at, part in enumerate(parts))
