"""How the records of a pipeline are meant: the columns of its files, and of what lands. Knows no file."""

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa

from ratchet.errors import BadConfiguration
from ratchet.sources import TabularFiles

RECORD, AT, GROUP = "record_id", "event_time", "group"
"""The columns of what lands besides the attributes and the label."""
MARKS = ("missing", "unknown")
"""What a category is where it is none of its values."""
TIMESTAMP = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class Layout:
    """What of a declaration says how a file is read; two that are equal read it alike."""

    label: str
    group: str
    event_time: str | None
    numbers: dict[str, tuple[float, float]]
    categories: dict[str, tuple[str, ...]]

    @property
    def fields(self) -> list[str]:
        """The attributes, in order."""
        return [*self.numbers, *self.categories]

    @property
    def columns(self) -> list[str]:
        """All that is read of a file."""
        return [self.group, *([self.event_time] if self.event_time else []), *self.fields, self.label]

    @property
    def schema(self) -> pa.Schema:
        """What lands: null where an attribute is missing."""
        kinds = {RECORD: pa.string(), AT: TIMESTAMP, GROUP: pa.string()}
        kinds |= dict.fromkeys(self.numbers, pa.float64()) | dict.fromkeys(self.categories, pa.string())
        return pa.schema([*kinds.items(), (self.label, pa.int8())])


def layout_of(source: TabularFiles) -> Layout:
    """The layout of a declaration. Raises BadConfiguration for names, ranges or values that make no sense."""
    numbers, categories = source.numbers, source.categories
    read = [source.group, source.label, *numbers, *categories, *([source.event_time] if source.event_time else [])]
    twice = [name for name, count in Counter([*read, *source.personal]).items() if count > 1]
    taken = [name for name in (source.label, *numbers, *categories) if name in (RECORD, AT, GROUP)]
    if twice or taken:
        raise BadConfiguration(f"source: a column cannot be named '{(twice + taken)[0]}' here; rename it in the files.")
    for name, bounds in numbers.items():
        if len(bounds) != 2 or not bounds[0] < bounds[1]:
            raise BadConfiguration(f"source.numbers.{name} takes the least and the greatest value: [0, 120].")
    for name, values in categories.items():
        if not values or len({*values, *MARKS, ""}) < len(values) + len(MARKS) + 1:
            raise BadConfiguration(f"source.categories.{name} takes values that differ, none of them {MARKS}.")
    ranges = {name: (float(low), float(high)) for name, (low, high) in numbers.items()}
    named = {name: tuple(values) for name, values in categories.items()}
    return Layout(source.label, source.group, source.event_time, ranges, named)
