"""From landed parts to a run's dataset: rows are made, split by time and by life, sampled where asked, and written."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ratchet.catalog import Pipeline
from ratchet.errors import ForeignDocument
from ratchet.extraction.source import Rejected
from ratchet.files import kind as kinds
from ratchet.files import part as parts
from ratchet.files import rows
from ratchet.files.dataset import write
from ratchet.files.part import Part
from ratchet.files.span import Span
from ratchet.instants import parse_instant
from ratchet.store import ObjectStore
from ratchet.tables import landing_file
from ratchet.tables.material import Material, Order
from ratchet.tables.set_aside import SCHEMA


def make(store: ObjectStore, pipeline: Pipeline, order: Order, folder: Path) -> Material | str:
    """A run's data, as local files in `folder`, or why there is too little. Raises ForeignDocument."""
    source = kinds.of(pipeline)
    span = source.span(order.run_ts, order.month)
    ours = of_span(store, pipeline, span)
    short = source.shortage(about(ours, span))
    if short:
        return short
    examples = source.examples(_tables(store, pipeline, ours, folder), span, parse_instant(order.run_ts))
    made = write(pipeline, examples, folder, sample=order.sample, seed=order.run_ts)
    aside = folder / "set_aside.parquet"
    rejected = _set_aside(store, pipeline, ours, aside)
    known = [part.synthetic for part in ours.values()]
    return Material(
        dataset=replace(made, counts={**made.counts, "rejected": rejected}),
        aside=aside,
        kept_aside=pq.read_metadata(aside).num_rows,
        sound=sum(part.records for part in ours.values()),
        landing={source.table: parts.fingerprint(ours)},
        synthetic=True if True in known else None if None in known else False,
        source=next((part.source for part in ours.values() if part.source), None),
        about=examples.about,
    )


def of_span(store: ObjectStore, pipeline: Pipeline, span: Span) -> dict[str, Part]:
    """The parts that a run reads. Raises ForeignDocument."""
    found = parts.landed(store, pipeline.keys, kinds.of(pipeline).table)
    return {name: found[name] for name in span.of(found)}


def about(found: Mapping[str, Part], span: Span) -> dict[str, Part]:
    """Those of them that its rows are made of, and not only looked back at."""
    return {name: found[name] for name in span.without_before().of(found)}


def _tables(store: ObjectStore, pipeline: Pipeline, ours: Mapping[str, Part], folder: Path) -> Iterator[pa.Table]:
    """The parts' rows, one part in memory at a time. Raises ForeignDocument."""
    source, path = kinds.of(pipeline), folder / "part.parquet"
    for name, part in ours.items():
        key = pipeline.keys.part(source.table, name)
        if store.download(key, path) != part.etag:
            raise ForeignDocument(f"{key} is gone or not what {part.name}.json says: run again, it will land anew.")
        yield rows.read(source, path, key)


def _set_aside(store: ObjectStore, pipeline: Pipeline, ours: Mapping[str, Part], path: Path) -> dict[str, int]:
    """Writes the lines that are kept of those rejected to `path`; all of them by reason, after the table's name."""
    table, counts = kinds.of(pipeline).table, dict[str, int]()
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for name, part in ours.items():
            for reason, count in part.rejected.items():
                told = f"{table}: {reason}"
                counts[told] = counts.get(told, 0) + count
            for row in _kept(store, pipeline.keys.part_rejected(table, name)) if part.rejected else []:
                writer.write_table(pa.Table.from_pylist([{"table": table, **vars(row)}], SCHEMA))
    return counts


def _kept(store: ObjectStore, key: str) -> list[Rejected]:
    stored = store.get(key)
    return landing_file.read_rejected(stored.body, key) if stored else []
