"""The step Write the features: a landed part's records go into a feature group, once, whatever dies in between.

A ledger per part says how many of its records the group has. They are written in order and by stable keys, so that what
is written twice changes nothing. Training reads what has landed, never the group, whose offline store lags.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from ratchet.catalog import Pipeline, TabularFiles
from ratchet.errors import BadInput, Unavailable
from ratchet.files import part as parts
from ratchet.files.part import Part
from ratchet.records import record
from ratchet.store import ObjectStore, decode, encode
from ratchet.tabular.kind import Source
from ratchet.tabular.layout import AT, GROUP, RECORD

AT_ONCE = 1000
"""Records between two entries of the ledger: what a dead invocation leaves to be written again."""
Record = dict[str, str]


class FeatureGroup(Protocol):
    """A feature group of SageMaker's Feature Store. Raises Unavailable, BadConfiguration where it refuses a record."""

    name: str

    def put(self, records: list[Record]) -> None:
        """Writes them all; for a record that is there the later event time stands."""


@dataclass(frozen=True)
class Written:
    """How many records of a part the group `feature_group` has; `done` once that is all. Null: there is no group."""

    done: bool
    records: int
    feature_group: str | None


@dataclass(frozen=True)
class Ledger:
    """`features/<part>.json`: of the part made from `sources`, the group has the first `written` records."""

    feature_group: str
    sources: str
    written: int
    done: bool


def write(
    store: ObjectStore, group: FeatureGroup | None, pipeline: Pipeline, name: str, out_of_time: Callable[[], bool]
) -> Written:
    """Writes on where the ledger stands until it is done or out of time.

    Raises BadInput for a part that has not landed, Unavailable, ForeignDocument, BadConfiguration.
    """
    if group is None:
        return Written(True, 0, None)
    source, keys = Source(pipeline), pipeline.keys
    part = parts.read(store, keys.part_document(source.table, name))
    if part is None:
        raise BadInput(f"'{name}' has not landed; ingest its file first.")
    ledger = _ledger(store, keys.features(name), group.name, part)
    if ledger.done:
        return Written(True, ledger.written, group.name)
    with TemporaryDirectory() as folder:
        path = Path(folder, "part.parquet")
        if store.download(keys.part(source.table, name), path) != part.etag:
            raise Unavailable(f"'{name}' lands anew at this moment: again.")
        for written, batch in _batches(path, ledger.written):
            group.put(list(_records(batch, source)))
            ledger = Ledger(group.name, part.sources, written, written >= part.rows)
            store.put(keys.features(name), encode(asdict(ledger)))
            if out_of_time() and not ledger.done:
                return Written(False, ledger.written, group.name)
    if not ledger.done:
        # A part without a record.
        ledger = Ledger(group.name, part.sources, part.rows, True)
        store.put(keys.features(name), encode(asdict(ledger)))
    return Written(True, ledger.written, group.name)


def definitions(source: TabularFiles) -> dict[str, str]:
    """The features of a pipeline's group and their types, as SageMaker names them; no personal column is among them."""
    kinds = {RECORD: "String", AT: "String", source.group: "String"}
    kinds |= dict.fromkeys(source.numbers, "Fractional") | dict.fromkeys(source.categories, "String")
    return kinds | {source.label: "Integral"}


def _ledger(store: ObjectStore, key: str, group: str, part: Part) -> Ledger:
    """Where the group stands with that very part: nothing is known of another group, or of what landed before."""
    stored = store.get(key)
    found = record(Ledger, decode(stored, key), key) if stored else None
    if found is None or (found.feature_group, found.sources) != (group, part.sources):
        return Ledger(group, part.sources, 0, False)
    return found


def _batches(path: Path, first: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Batches of records from the row `first` on, each with how many rows there are up to its end."""
    reached = 0
    for batch in pq.ParquetFile(path).iter_batches(AT_ONCE):
        begun, reached = reached, reached + batch.num_rows
        if reached > first:
            yield reached, batch.slice(max(first - begun, 0))


def _records(batch: pa.RecordBatch, source: Source) -> Iterator[Record]:
    """As Feature Store takes them: texts, and nothing where nothing is known."""
    for row in batch.to_pylist():
        told: dict[str, Any] = {**row, AT: _event_time(row[AT])}
        named = {source.layout.group if name == GROUP else name: value for name, value in told.items()}
        yield {name: str(value) for name, value in named.items() if value is not None}


def _event_time(at: datetime) -> str:
    """An instant in UTC as Feature Store takes it: whole seconds, or with just three more digits."""
    return f"{at:%Y-%m-%dT%H:%M:%S}{f'.{at.microsecond // 1000:03}' if at.microsecond else ''}Z"
