"""The step Write the features: a landed part's records go into a feature group, once, whatever dies in between.

A ledger per part says how many of its records the group has. They are written in order and by stable keys, so that what
is written twice changes nothing. Training reads what has landed, never the group, whose offline store lags.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from ratchet.catalog import Pipeline
from ratchet.errors import BadInput, ForeignDocument, Unavailable
from ratchet.files import part as parts
from ratchet.files.part import Part
from ratchet.instants import Clock, iso, parse_instant
from ratchet.records import record
from ratchet.sources import TabularFiles
from ratchet.store import ObjectStore, create, decode, encode
from ratchet.store import replace as swap
from ratchet.tabular.kind import Source
from ratchet.tabular.layout import AT, GROUP, RECORD

AT_ONCE = 1000
"""Records between two entries of the ledger: what a dead invocation leaves to be written again."""
HELD = timedelta(minutes=15)
"""How long a writer keeps others off, from its last entry on: no invocation lives longer."""
Record = dict[str, str]


class FeatureGroup(Protocol):
    """A feature group of SageMaker's Feature Store. Raises Unavailable, BadConfiguration where it refuses a record."""

    name: str

    def put(self, records: list[Record]) -> None:
        """Writes them all; for a record that is there the later event time stands."""


@dataclass(frozen=True)
class Written:
    """How many records of a part the group `feature_group` has; `done` once that is all. Null: there is no group.

    `busy`: another execution writes them at this moment.
    """

    done: bool
    records: int
    feature_group: str | None
    busy: bool = False


@dataclass(frozen=True)
class Ledger:
    """`features/<part>.json`: of the part made from `sources`, the group has the first `written` records.

    `writer` alone writes on until the instant `until`: a store that only grows would keep what two write side by side.
    """

    feature_group: str
    sources: str
    written: int
    done: bool
    writer: str
    until: str


def write(
    store: ObjectStore,
    group: FeatureGroup | None,
    pipeline: Pipeline,
    name: str,
    clock: Clock,
    *,
    writer: str,
    out_of_time: Callable[[], bool],
) -> Written:
    """Writes on where the ledger stands until it is done or out of time; not while another `writer` does.

    Raises BadInput for a part that has not landed, Unavailable, ForeignDocument, BadConfiguration.
    """
    if group is None:
        return Written(True, 0, None)
    source, keys = Source(pipeline), pipeline.keys
    part = parts.read(store, keys.part_document(source.table, name))
    if part is None:
        raise BadInput(f"'{name}' has not landed; ingest its file first.")
    book = _Book(store, keys.features(name), group.name, part, clock, writer)
    if book.ledger.done or not book.ours():
        return Written(book.ledger.done, book.ledger.written, group.name, busy=not book.ledger.done)
    with TemporaryDirectory() as folder:
        path = Path(folder, "part.parquet")
        if store.download(keys.part(source.table, name), path) != part.etag:
            raise Unavailable(f"'{name}' lands anew at this moment: again.")
        for written, batch in _batches(path, book.ledger.written):
            group.put(list(_records(batch, source)))
            book.move(written)
            if out_of_time() and not book.ledger.done:
                return Written(False, written, group.name)
    return Written(True, book.ledger.written, group.name)


class _Book:
    """The ledger of a part, moved by compare-and-swap. Raises ForeignDocument, Unavailable where another moved it."""

    def __init__(self, store: ObjectStore, key: str, group: str, part: Part, clock: Clock, writer: str) -> None:
        self._store, self._key, self._part, self._clock, self._writer = store, key, part, clock, writer
        stored = store.get(key)
        self._etag = stored.etag if stored else None
        found = record(Ledger, decode(stored, key), key, instants=("until",)) if stored else None
        nothing = Ledger(group, part.sources, 0, False, writer, iso(clock()))
        # Nothing is known of another group, or of what landed before.
        ours = found is not None and (found.feature_group, found.sources) == (group, part.sources)
        self.ledger = found if found and ours else nothing
        if ours and not (
            0 <= self.ledger.written <= part.rows and self.ledger.done == (self.ledger.written == part.rows)
        ):
            raise ForeignDocument(f"{key} does not count its part's {part.rows:,} records; move it away.")

    def ours(self) -> bool:
        """Whether this writer writes on, which the ledger says from now on."""
        free = self.ledger.writer == self._writer or self._clock() >= parse_instant(self.ledger.until)
        return free and self._swap(self.ledger.written)

    def move(self, written: int) -> None:
        """The group has so many records."""
        if not self._swap(written):
            raise Unavailable(f"Another execution writes what {self._key} tells of: again, where that stands.")

    def _swap(self, written: int) -> bool:
        until, done = iso(self._clock() + HELD), written >= self._part.rows
        ledger = replace(self.ledger, written=written, done=done, writer=self._writer, until=until)
        body = encode(asdict(ledger))
        store, key = self._store, self._key
        etag = create(store, key, body) if self._etag is None else swap(store, key, body, self._etag)
        if etag is not None:
            self.ledger, self._etag = ledger, etag
        return etag is not None


def definitions(source: TabularFiles) -> dict[str, str]:
    """The features of a pipeline's group and their types, as SageMaker names them; no personal column is among them."""
    kinds = {RECORD: "String", AT: "String", source.group: "String"}
    kinds |= dict.fromkeys(source.numbers, "Fractional") | dict.fromkeys(source.categories, "String")
    return kinds | {source.label: "Integral"}


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
