"""What a pipeline reads, as its `pipeline.yaml` declares it under `source`: tables, or files of one kind."""

from dataclasses import dataclass
from math import inf
from typing import ClassVar, Literal, TypeVar

from ratchet.errors import BadConfiguration


@dataclass(frozen=True)
class Table:
    """A source table: its unique, ordered key and its columns' types (`timestamp`, `float64`, `float32[n]`, `text`)."""

    key: str
    columns: dict[str, str]


@dataclass(frozen=True)
class Tables:
    """Rows of tables, and how they are paged; `takes` is what an execution may ask for besides what all may."""

    takes: ClassVar = ("limit", "sinceTs")
    kind: Literal["tables"]
    canary: str
    page_rows: int
    overlap_minutes: int
    reconcile_hours: int
    tables: dict[str, Table]


@dataclass(frozen=True)
class Sensor:
    """A sensor's names in the records and its range in its own unit; without one it is never out of range."""

    names: list[str]
    low: float = -inf
    high: float = inf


@dataclass(frozen=True)
class Fault:
    """A sensor is at fault from the first of `hours` hours in a row of which it spends the share `begins` out of range,
    until an hour of which it spends less than `ends`.
    """

    begins: float
    ends: float
    hours: int

    def __post_init__(self) -> None:
        """Raises BadConfiguration for shares that make no fault, or one without an end."""
        if not 0 < self.ends <= self.begins <= 1 or self.hours < 1:
            raise BadConfiguration("source.fault takes 0 < ends <= begins <= 1, and 1 hour or more.")


@dataclass(frozen=True)
class Minimum:
    """What the days of a run must hold."""

    records: int
    days: int
    machines: int
    sensors: int


@dataclass(frozen=True)
class Windows:
    """Hours: that rolling statistics look back over, each its own included; of the beginning of a life, from which it
    drifts; and that a row knows at all, so that it is the same however much more there is to read.
    """

    rolling: list[int]
    reference: int
    history: int


@dataclass(frozen=True)
class SensorFiles:
    """JSON Lines of sensors below `prefix` and `date=YYYY-MM-DD/`, days of the pipeline's time zone.

    Records of another `category` are ignored, those of the types `failures` report a failure. A run learns from the
    `window_days` before its own; hours left are known up to `cap_hours`.
    """

    takes: ClassVar = ("month", "sample")
    kind: Literal["sensors"]
    prefix: str
    category: str
    window_days: int
    cap_hours: int
    sensors: dict[str, Sensor]
    failures: list[str]
    fault: Fault
    minimum: Minimum
    windows: Windows


@dataclass(frozen=True)
class MeterLayout:
    """How a CSV file is meant (ratchet/meters/layout.py); its readings times `factor` have the target's unit."""

    delimiter: str
    time: list[str]
    time_format: str
    value: str
    missing: list[str]
    factor: float


@dataclass(frozen=True)
class MeterFiles:
    """CSV files of a meter below `prefix`, each in one of the `layouts`, and what a forecast looks at, in minutes.

    The step is `step_minutes`, or that of the files where it is coarser. `holidays` is a country by its ISO code.
    """

    takes: ClassVar = ("sample",)
    kind: Literal["meters"]
    prefix: str
    layouts: dict[str, MeterLayout]
    step_minutes: int
    horizon_minutes: int
    origins_minutes: int
    windows_minutes: list[int]
    season_minutes: int
    seasons: int
    around_minutes: list[int]
    holidays: str | None
    minimum_days: int


@dataclass(frozen=True)
class TabularMinimum:
    """What the files of a run must hold."""

    records: int
    groups: int


@dataclass(frozen=True)
class TabularFiles:
    """CSV files of records below `prefix`, each of a `group` with a `label` of 0 or 1, which is the one target.

    Attributes are `numbers` within their range, both ends included, and `categories` of the named values; one that is
    left empty is missing. `personal` columns go no further than the file. `event_time` is the column that says when a
    record came to be, in ISO 8601; without one it is when its file was put there.
    """

    takes: ClassVar = ("sample",)
    kind: Literal["tabular"]
    prefix: str
    label: str
    group: str
    personal: list[str]
    numbers: dict[str, list[float]]
    categories: dict[str, list[str]]
    event_time: str | None
    max_bytes: int
    minimum: TabularMinimum


Source = Tables | SensorFiles | MeterFiles | TabularFiles
SourceKind = TypeVar("SourceKind", Tables, SensorFiles, MeterFiles, TabularFiles)
