"""A pipeline is a discovered folder: loads `pipelines/<name>/pipeline.yaml` and its modules by name.

The only module that knows where pipelines live; nothing here imports them before they are asked for.
"""

import re
from dataclasses import dataclass, field
from importlib import import_module, resources
from math import inf
from types import ModuleType
from typing import Any, ClassVar, Literal, TypeVar

from ratchet.declared import declared
from ratchet.errors import BadConfiguration, UnknownPipeline
from ratchet.keys import Keys

NAME = re.compile(r"[a-z][a-z0-9]{0,19}")


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


@dataclass(frozen=True)
class Data:
    """The row contract, the split and the targets (name to unit).

    Where `label_horizon_minutes` is 0, each row's label has an end of its own. `group` says what a row's column
    `group` names, such as a machine. With a `salt`, rows are split by a hash of their group instead of by time, so that
    the part of a group stays the same however much data comes.
    """

    step_minutes: int
    label_horizon_minutes: int
    embargo_minutes: int
    split: dict[str, float]
    features: dict[str, int]
    targets: dict[str, str]
    min_rows: int
    max_bad_share: float
    norm_tolerance: float | None = None
    group: str | None = None
    salt: str | None = None


@dataclass(frozen=True)
class Training:
    """The training job's knobs; `instance` is `gpu` or `cpu`, of whose types the template names one each."""

    max_runtime_seconds: int
    hyperparameters: dict[str, Any]
    instance: str = "gpu"


@dataclass(frozen=True)
class Gate:
    """What a challenger must show.

    It is compared by the `metric`: its loss or, where it answers with the probability of a class, the area under its
    ROC curve (`auc`). `quantiles` are the shares of outcomes below each target's answers: the loss is then the pinball
    loss. `floors` are least values of metrics over the targets (`r2`, `auc`), `coverage_tolerance` is how far the share
    of outcomes between the outer quantiles may be from what they promise.
    """

    policy: str
    margin: float
    alpha: float
    resamples: int
    block_minutes: int
    baselines: list[str]
    min_holdout_rows: int
    min_new_holdout_rows: int
    budgets: dict[str, float]
    quantiles: dict[str, float] = field(default_factory=dict)
    floors: dict[str, float] = field(default_factory=dict)
    coverage_tolerance: float | None = None
    metric: Literal["loss", "auc"] = "loss"


@dataclass(frozen=True)
class Serving:
    """How the champion is used: for slots of a schedule, `catch_up_slots` at once (0: none), and on request.

    With an `endpoint` a person approves a model before it is served, by an endpoint of its own.
    """

    table: str | None
    staleness_minutes: int
    catch_up_slots: int
    upsert_table: str | None
    endpoint: bool = False


@dataclass(frozen=True)
class Pipeline:
    """One pipeline's `pipeline.yaml`."""

    name: str
    title: str
    prefix: str
    time_zone: str
    source: Source
    data: Data
    training: Training
    gate: Gate
    serving: Serving

    @property
    def keys(self) -> Keys:
        """Where this pipeline's objects lie."""
        return Keys(self.prefix)

    def source_as(self, kind: type[SourceKind]) -> SourceKind:
        """The source of that kind. Raises BadConfiguration where it is of another."""
        if not isinstance(self.source, kind):
            raise BadConfiguration(
                f"The source of {self.name} is of the kind {self.source.kind}, which has no such part."
            )
        return self.source

    def module(self, name: str) -> ModuleType:
        """A module of the pipeline's folder: `features` (pure) or `train` (needs the training environment)."""
        return import_module(f"pipelines.{self.name}.{name}")


def names() -> list[str]:
    """The names of all pipelines, sorted."""
    root = resources.files("pipelines")
    return sorted(entry.name for entry in root.iterdir() if entry.joinpath("pipeline.yaml").is_file())


def load(name: str) -> Pipeline:
    """The pipeline of that name.

    Raises UnknownPipeline when there is none, BadConfiguration with every fault of its `pipeline.yaml` at once.
    """
    if not NAME.fullmatch(name) or name not in names():
        raise UnknownPipeline(f"There is no pipeline {name!r:.80}; there are: {', '.join(names())}.")
    # Costs 10 ms of a cold start, which scoring does without.
    import yaml

    text = resources.files("pipelines").joinpath(name, "pipeline.yaml").read_text(encoding="utf-8")
    return parse(yaml.safe_load(text), f"pipelines/{name}/pipeline.yaml")


def parse(document: object, where: str) -> Pipeline:
    """A pipeline from its document. Raises BadConfiguration with every fault at once."""
    faults: list[str] = []
    pipeline: Pipeline = declared(Pipeline, document, where, faults)
    if faults:
        raise BadConfiguration(" ".join(faults))
    return pipeline
