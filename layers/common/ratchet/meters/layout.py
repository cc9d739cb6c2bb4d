"""What meter files look like: configuration, checked when it is read."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ratchet.errors import BadConfiguration

DIRECTIVES = {"d": 2, "m": 2, "Y": 4, "H": 2, "M": 2, "S": 2}
"""Of `strptime`, those that a layout may use, with the most digits that they take."""


@dataclass(frozen=True)
class Layout:
    """Names of columns, and how their texts are meant.

    The texts of the columns `time`, joined by a blank, are an instant in `time_format` (of `strptime`) on the clock of
    `time_zone`; `value` is the column of the readings; the texts in `missing` say that there was none.
    Readings times `factor` have the target's unit.
    """

    delimiter: str
    time: Sequence[str]
    time_format: str
    value: str
    missing: Sequence[str]
    time_zone: str
    factor: float = 1.0

    def __post_init__(self) -> None:
        """Raises BadConfiguration for what cannot be meant."""
        if len(self.delimiter) != 1 or self.delimiter in '\r\n"':
            raise BadConfiguration(f"source.delimiter is {self.delimiter!r}; name one character.")
        if not self.time or self.value in self.time:
            raise BadConfiguration("source.time names no column, or that of the values.")
        used = re.findall("%(.?)", self.time_format)
        if sorted(used) != sorted(set(used)) or not {"d", "m", "Y"} <= set(used) <= set(DIRECTIVES):
            raise BadConfiguration("source.time_format takes %d, %m and %Y, and may take %H, %M and %S, each once.")
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise BadConfiguration(f"source.time_zone: there is no time zone '{self.time_zone}'.") from error

    @property
    def pattern(self) -> str:
        """A regular expression of RE2 that texts of `time_format` match from end to end; the groups are directives."""
        parts = re.split("%(.)", self.time_format)
        groups = [f"(?P<{name}>[0-9]{{1,{DIRECTIVES[name]}}})" for name in parts[1::2]]
        plain = [re.escape(text) for text in parts[::2]]
        return "^" + "".join(text for pair in zip(plain, [*groups, ""], strict=True) for text in pair) + "$"
