"""A pipeline is a discovered folder: loads `pipelines/<name>/pipeline.yaml` and its modules by name.

The only module that knows where pipelines live; nothing here imports them before they are asked for.
"""

import re
from dataclasses import dataclass, field
from importlib import import_module, resources
from types import ModuleType
from typing import Any, Literal

from ratchet.declared import declared
from ratchet.errors import BadConfiguration, UnknownPipeline
from ratchet.keys import Keys
from ratchet.sources import Source, SourceKind

NAME = re.compile(r"[a-z][a-z0-9]{0,19}")


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
