"""A pipeline is a discovered folder: loads `pipelines/<name>/pipeline.yaml` and its modules by name.

The only module that knows where pipelines live; nothing here imports them before they are asked for.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import import_module, resources
from types import ModuleType
from typing import Any, get_type_hints

from ratchet.errors import BadConfiguration, UnknownPipeline
from ratchet.keys import Keys

NAME = re.compile(r"[a-z][a-z0-9]{0,19}")


@dataclass(frozen=True)
class Table:
    """A source table: its unique, ordered key and its columns' types (`timestamp`, `float64`, `float32[n]`, `text`)."""

    key: str
    columns: dict[str, str]


@dataclass(frozen=True)
class Source:
    """Where rows come from and how they are paged."""

    canary: str
    page_rows: int
    overlap_minutes: int
    reconcile_hours: int
    tables: dict[str, Table]


@dataclass(frozen=True)
class Data:
    """The row contract, the split and the targets (name to unit)."""

    step_minutes: int
    label_horizon_minutes: int
    embargo_minutes: int
    split: dict[str, float]
    features: dict[str, int]
    norm_tolerance: float
    targets: dict[str, str]
    min_rows: int
    max_bad_share: float


@dataclass(frozen=True)
class Training:
    """The training job's knobs."""

    max_runtime_seconds: int
    hyperparameters: dict[str, Any]


@dataclass(frozen=True)
class Gate:
    """What a challenger must show."""

    policy: str
    margin: float
    alpha: float
    resamples: int
    block_minutes: int
    baselines: list[str]
    min_holdout_rows: int
    min_new_holdout_rows: int
    budgets: dict[str, float]


@dataclass(frozen=True)
class Serving:
    """How the champion is used."""

    table: str
    staleness_minutes: int
    catch_up_slots: int
    upsert_table: str | None


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
        raise UnknownPipeline(f"There is no pipeline '{name}'; there are: {', '.join(names())}.")
    # Costs 10 ms of a cold start, which scoring does without.
    import yaml

    text = resources.files("pipelines").joinpath(name, "pipeline.yaml").read_text(encoding="utf-8")
    return parse(yaml.safe_load(text), f"pipelines/{name}/pipeline.yaml")


def parse(document: object, where: str) -> Pipeline:
    """A pipeline from its document. Raises BadConfiguration with every fault at once."""
    faults: list[str] = []
    pipeline: Pipeline = _parse(Pipeline, document, where, faults)
    if faults:
        raise BadConfiguration(" ".join(faults))
    return pipeline


def _parse(kind: type, document: Any, where: str, faults: list[str]) -> Any:
    """A dataclass from a mapping, with every missing, unknown and mistyped field in `faults`."""
    if not isinstance(document, Mapping):
        faults.append(f"{where} must be a mapping.")
        return None
    hints = get_type_hints(kind)
    known = {field.name for field in fields(kind)}
    faults += [f"{where}: '{name}' is unknown." for name in document if name not in known]
    faults += [f"{where}: '{name}' is missing." for name in known if name not in document]
    values = {name: _value(hints[name], document[name], f"{where}: {name}", faults) for name in known & set(document)}
    return None if faults else kind(**values)


def _value(hint: Any, value: Any, where: str, faults: list[str]) -> Any:
    if isinstance(hint, type) and hasattr(hint, "__dataclass_fields__"):
        return _parse(hint, value, where, faults)
    if hint == dict[str, Table]:
        return {name: _parse(Table, entry, f"{where}.{name}", faults) for name, entry in value.items()}
    accepted = _accepted(hint)
    if not isinstance(value, accepted) or (isinstance(value, bool) and bool not in accepted):
        faults.append(f"{where} is {value!r}, which is no {getattr(hint, '__name__', hint)}.")
    return value


def _accepted(hint: Any) -> tuple[type, ...]:
    if hint is float:
        return (int, float)
    if hint == str | None:
        return (str, type(None))
    return (getattr(hint, "__origin__", hint),)
