"""From landed day files to train, holdout and rejected rows as local Parquet files: join, contract, split, targets.

Local files in, local files out; `prepare` fetches and publishes them.
"""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ratchet import targets
from ratchet.catalog import Pipeline
from ratchet.errors import BadConfiguration
from ratchet.instants import iso
from ratchet.sources import Tables
from ratchet.tables import contract, training_file
from ratchet.tables.contract import MICROS_PER_MINUTE, Rows
from ratchet.tables.join import Instants, Side, common_instants, matches
from ratchet.tables.split import PARTS, Split, split

DayFiles = Mapping[str, Sequence[Path]]
"""The landed files of each table, in the order of their days."""


@dataclass
class Dataset:
    """What was written, and the facts for the manifest. Intervals end with the last label."""

    files: dict[str, Path]
    counts: dict[str, Any]
    intervals: dict[str, dict[str, str]] = field(default_factory=dict)
    targets: dict[str, dict[str, Any]] = field(default_factory=dict)
    schema: dict[str, str] = field(default_factory=dict)

    @property
    def kept(self) -> int:
        """Rows that keep the contract and belong to a part."""
        return sum(self.counts[part] for part in PARTS)

    def digests(self) -> dict[str, str]:
        """`sha256:…` of train and holdout."""
        return {name: f"sha256:{_sha256(self.files[name])}" for name in ("train", "holdout")}


def window(pipeline: Pipeline, days: DayFiles, limit: int, until: datetime) -> Instants:
    """The joined instants on the grid whose label had ended by `until`; the newest `limit` of them when above 0."""
    both = common_instants(*sides(pipeline, days))
    horizon = pipeline.data.label_horizon_minutes * MICROS_PER_MINUTE
    known = both[both + horizon <= int(until.timestamp()) * 1_000_000]
    instants: Instants = known[known % (pipeline.data.step_minutes * MICROS_PER_MINUTE) == 0]
    return instants[-limit:] if limit > 0 else instants


def build(pipeline: Pipeline, days: DayFiles, instants: Instants, folder: Path) -> Dataset:
    """Writes `train.parquet`, `holdout.parquet` and `rejected.parquet` into `folder` from the rows of a window.

    Memory does not grow with the rows, but for 8 bytes a row and target. Raises ForeignDocument, BadConfiguration.
    """
    features, labels = sides(pipeline, days)
    before: int | None = None
    with _Parts(pipeline, split(instants, pipeline.data), folder) as parts:
        for match in matches(features, labels):
            rows = contract.check(match, labels.key, pipeline.data, before)
            before = int(match.instants[-1])
            parts.add(_within(rows, int(instants[0]), int(instants[-1])))
    return parts.dataset()


def sides(pipeline: Pipeline, days: DayFiles) -> tuple[Side, Side]:
    """The table with the features and the one with the targets, whose key is the end of the label."""
    found_sides, tables = [], pipeline.source_as(Tables).tables
    horizon = pipeline.data.label_horizon_minutes * MICROS_PER_MINUTE
    for wanted, shift in ((pipeline.data.features, 0), (pipeline.data.targets, -horizon)):
        found = [name for name, table in tables.items() if set(wanted) <= set(table.columns)]
        if not found:
            raise BadConfiguration(f"No table in source.tables has the columns {', '.join(wanted)}.")
        key = tables[found[0]].key
        found_sides.append(Side(days[found[0]], key, [key, *wanted], shift))
    return found_sides[0], found_sides[1]


def _within(rows: Rows, first: int, last: int) -> Rows:
    start, end = np.searchsorted(rows.base_ts, first, "left"), np.searchsorted(rows.base_ts, last, "right")
    return rows if not start and end == len(rows.base_ts) else _take(rows, slice(int(start), int(end)))


def _take(rows: Rows, which: Any) -> Rows:
    features = {name: values[which] for name, values in rows.features.items()}
    return Rows(rows.base_ts[which], rows.ts[which], features, rows.targets[which], rows.reasons[which])


class _Parts:
    """Routes rows to the file of their part and counts them."""

    def __init__(self, pipeline: Pipeline, edges: Split, folder: Path) -> None:
        self.pipeline = pipeline
        self.edges = edges
        self.files = {name: folder / f"{name}.parquet" for name in ("train", "holdout", "rejected")}
        self.counts: dict[str, Any] = {"joined": 0, "rejected": {}, "embargoed": 0, **dict.fromkeys(PARTS, 0)}
        self.reach: dict[str, tuple[int, int]] = {}
        self.training_targets: list[NDArray[np.float64]] = []
        self.assemble = pipeline.module("features").arrays
        self.stack = ExitStack()

    def __enter__(self) -> "_Parts":
        extra: dict[str, list[str]] = {"train": ["part"], "holdout": [], "rejected": ["reason"]}
        width = sum(self.pipeline.data.features.values())
        names = list(self.pipeline.data.targets)
        self.schemas = {name: training_file.schema(names, width, *extra[name]) for name in self.files}
        self.writers = {
            name: self.stack.enter_context(training_file.RowGroups(path, self.schemas[name]))
            for name, path in self.files.items()
        }
        return self

    def __exit__(self, *raised: Any) -> None:
        self.stack.__exit__(*raised)

    def add(self, rows: Rows) -> None:
        """Counts and writes rows in the order of their instants."""
        self.counts["joined"] += len(rows.base_ts)
        contract.tally(rows.reasons, self.counts["rejected"])
        sound = rows.reasons == ""
        self._write("rejected", _take(rows, ~sound), "reason", rows.reasons[~sound])
        codes = self.edges.parts(rows.base_ts)
        self.counts["embargoed"] += int((sound & (codes == -1)).sum())
        for code, part in enumerate(PARTS):
            chosen = sound & (codes == code)
            if chosen.any():
                self._add_part(part, rows if chosen.all() else _take(rows, chosen))

    def dataset(self) -> Dataset:
        """The facts, once all rows are written."""
        horizon = self.pipeline.data.label_horizon_minutes * MICROS_PER_MINUTE
        intervals = {
            part: {"start": iso(instant(a)), "end": iso(instant(b + horizon))} for part, (a, b) in self.reach.items()
        }
        described = {}
        if self.training_targets:
            described = targets.describe(self.pipeline.data.targets, np.concatenate(self.training_targets))
        columns = {column.name: str(column.type) for column in self.schemas["train"]}
        return Dataset(self.files, self.counts, intervals, described, columns)

    def _add_part(self, part: str, rows: Rows) -> None:
        self.counts[part] += len(rows.base_ts)
        first = self.reach.get(part, (int(rows.base_ts[0]), 0))[0]
        self.reach[part] = (first, int(rows.base_ts[-1]))
        if part == "holdout":
            self._write("holdout", rows)
            return
        if part == "train":
            self.training_targets.append(rows.targets)
        self._write("train", rows, "part", np.full(len(rows.base_ts), part))

    def _write(self, name: str, rows: Rows, column: str | None = None, texts: NDArray[np.str_] | None = None) -> None:
        if not len(rows.base_ts):
            return
        features = self.assemble(*(rows.features[field] for field in self.pipeline.data.features))
        extra = {column: texts} if column is not None and texts is not None else {}
        declared = self.schemas[name]
        self.writers[name].write(training_file.batch(declared, rows.base_ts, rows.ts, rows.targets, features, extra))


def instant(micros: int) -> datetime:
    """Microseconds since the epoch as an aware instant."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
