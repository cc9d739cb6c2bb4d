"""What a kind of source that is files can do: landing, sufficiency and preparation are written against this port."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ratchet.catalog import Pipeline
from ratchet.errors import BadConfiguration
from ratchet.extraction.source import Rejected
from ratchet.files.part import Part
from ratchet.files.span import Span
from ratchet.store import Listed, ObjectStore

Instants = NDArray[np.int64]
"""Microseconds since the epoch, UTC."""
MODULES = {
    "sensors": "ratchet.sensors.kind",
    "meters": "ratchet.meters.kind",
    "tabular": "ratchet.tabular.kind",
}


@dataclass(frozen=True)
class Content:
    """What the files of a part come to; see `Part`. `aside` are lines that are no records, as many as are kept."""

    rows: pa.Table
    records: int
    ignored: Mapping[str, int]
    rejected: Mapping[str, int]
    about: dict[str, Any]
    aside: list[Rejected]


@dataclass(frozen=True)
class Examples:
    """N rows to learn from or to judge by, in the order of `base_ts`.

    `ends` are the instants at which the labels are known, `lives` numbers of what must not be in two parts of the split
    (-1: nothing keeps the row together with others). `features` are float32 [N, inputs], `targets` float64 [N,
    targets], `baselines` float64 [N] each; `left_out` counts rows that could not be made, by the reason; `about` is
    what a model must know.
    """

    base_ts: Instants
    ends: Instants
    lives: NDArray[np.int64]
    features: NDArray[np.float32]
    targets: NDArray[np.float64]
    groups: NDArray[np.str_]
    baselines: dict[str, NDArray[np.float64]]
    left_out: dict[str, int]
    about: dict[str, Any]


class Kind(Protocol):
    """One pipeline's source."""

    @property
    def table(self) -> str:
        """The name of what lands."""

    @property
    def prefix(self) -> str:
        """Below it lie the files."""

    @property
    def reads(self) -> str:
        """What of `pipeline.yaml` a part depends on, besides its files."""

    @property
    def schema(self) -> pa.Schema:
        """The columns of its rows."""

    def span(self, run_ts: str, month: str | None) -> Span:
        """What a run looks at."""

    def plan(self, files: ObjectStore, span: Span) -> dict[str, list[Listed]]:
        """The files of every part in the span, by its name."""

    def name_of(self, asked: str) -> str:
        """The part that is meant by its name, or by the key of a file that is one by itself."""

    def files_of(self, files: ObjectStore, name: str) -> list[Listed]:
        """The files of one part. Raises BadInput for a name that is no part's."""

    def read(self, files: ObjectStore, listed: list[Listed]) -> Content:
        """What they come to, in bounded memory. Raises SourceMismatch."""

    def fault(self, rows: pa.Table) -> str | None:
        """Why rows of the right columns are none that have landed; None where they may have."""

    def shortage(self, parts: Mapping[str, Part]) -> str | None:
        """Which numbers of these parts are too small, in a sentence; None where all suffice. Raises ForeignDocument."""

    def examples(self, parts: Iterator[pa.Table], span: Span, until: datetime) -> Examples:
        """Rows in the span whose label is known at `until`."""


def of(pipeline: Pipeline) -> Kind:
    """The kind of that pipeline's source. Raises BadConfiguration where it is no files."""
    if pipeline.source.kind not in MODULES:
        raise BadConfiguration(f"The source of {pipeline.name} is of the kind {pipeline.source.kind}: no files.")
    kind: Kind = import_module(MODULES[pipeline.source.kind]).Source(pipeline)
    return kind
