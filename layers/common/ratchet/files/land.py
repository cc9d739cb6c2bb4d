"""Landing files: a part's Parquet first, then the document that says what it was made from.

A repeated call finds the document and writes nothing. Of two calls at once over other files either may write last; the
tag in the document tells, and the part lands again.
"""

import io
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from ratchet.catalog import Pipeline
from ratchet.errors import BadInput
from ratchet.extraction.source import Marker
from ratchet.files import kind as kinds
from ratchet.files import part as parts
from ratchet.files.part import Part
from ratchet.records import record
from ratchet.store import ObjectStore, decode
from ratchet.tables import landing_file

SEED = "ratchet_seed.json"
"""Below a source's prefix: `{synthetic, source}` of files that a seed made."""


@dataclass(frozen=True)
class Extraction:
    """What an invocation did; `parts` are those that still want to be landed, each by a call of its own."""

    done: bool
    rows_read: int
    rows_changed: int
    parts: list[str]
    tables: dict[str, Any]


def survey(store: ObjectStore, files: ObjectStore, pipeline: Pipeline, run_ts: str, month: str | None) -> Extraction:
    """Which parts of a run's span are not what their files say. Raises ForeignDocument, BadInput for the month."""
    source, keys = kinds.of(pipeline), pipeline.keys
    span = source.span(run_ts, month)
    planned, landed = source.plan(files, span), parts.landed(store, keys, source.table)
    # What has landed of files that are gone lands anew, with nothing in it.
    planned = {**{name: [] for name in span.of(landed)}, **planned}
    pending = [
        name
        for name, listed in planned.items()
        if not parts.is_current(store, keys, source.table, landed.get(name), parts.digest(listed, source.reads))
    ]
    ours = [part for name, part in landed.items() if name in planned]
    told = {
        "parts": len(planned),
        "rows": sum(part.rows for part in ours),
        "rejected": sum(sum(part.rejected.values()) for part in ours),
    }
    return Extraction(not pending, 0, 0, pending, {source.table: told})


def land(store: ObjectStore, files: ObjectStore, pipeline: Pipeline, name: str) -> Extraction:
    """Lands one part, unless it lies there as its files are. Raises BadInput, SourceMismatch, ForeignDocument."""
    source, keys = kinds.of(pipeline), pipeline.keys
    name = source.name_of(name)
    listed = source.files_of(files, name)
    sources = parts.digest(listed, source.reads)
    found = parts.read(store, keys.part_document(source.table, name))
    if not listed and found is None:
        raise BadInput(f"There are no files of '{name}' below {source.prefix}.")
    if found is not None and parts.is_current(store, keys, source.table, found, sources):
        return Extraction(True, 0, 0, [], {source.table: _told(found)})
    content, seed = source.read(files, listed), marker(files, source.prefix)
    sink = io.BytesIO()
    pq.write_table(content.rows, sink, compression="zstd")
    etag, aside = store.put(keys.part(source.table, name), sink.getvalue()), None
    if content.aside:
        aside = store.put(keys.part_rejected(source.table, name), landing_file.write_rejected(content.aside))
    rejected, ignored = dict(content.rejected), dict(content.ignored)
    counts = (content.rows.num_rows, content.records, ignored, rejected)
    made = Part(name, etag, sources, *counts, content.about, aside, seed.synthetic, seed.source)
    parts.write(store, keys, source.table, made)
    return Extraction(True, content.records, content.rows.num_rows, [], {source.table: _told(made)})


def _told(part: Part) -> dict[str, Any]:
    return {"part": part.name, "rows": part.rows, "records": part.records, "rejected": sum(part.rejected.values())}


def marker(files: ObjectStore, prefix: str) -> Marker:
    """What a seed says of the files; nothing where nobody seeded them. Raises ForeignDocument for what says neither."""
    key = f"{prefix}{SEED}"
    stored = files.get(key)
    return record(Marker, decode(stored, key), key) if stored else Marker()
