"""Rows that extraction set aside, gathered for a run: counted by reason, and copied into one file of its quarantine."""

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ratchet.catalog import Pipeline
from ratchet.extraction.source import Rejected
from ratchet.extraction.watermark import Watermark
from ratchet.store import ObjectStore
from ratchet.tables import landing_file

SCHEMA = pa.schema([("table", pa.string()), *landing_file.REJECTED])


def gather(
    store: ObjectStore, pipeline: Pipeline, marks: Mapping[str, Watermark], span: tuple[str, str], path: Path
) -> dict[str, int]:
    """Writes the rows of the days in `span`, and those of no known day, to `path`; how many there are by reason.

    Reasons begin with `<table>: `. A day's rows are held at a time. Raises ForeignDocument.
    """
    counts: dict[str, int] = {}
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for table, mark in marks.items():
            for rows in _days(store, pipeline, mark, span):
                for row in rows:
                    reason = f"{table}: {row.reason}"
                    counts[reason] = counts.get(reason, 0) + 1
                writer.write_table(pa.Table.from_pylist([{"table": table, **vars(row)} for row in rows], SCHEMA))
    return counts


def _days(store: ObjectStore, pipeline: Pipeline, mark: Watermark, span: tuple[str, str]) -> Iterator[list[Rejected]]:
    """The rows of each day of which the watermark says that it has any; of no known day it says nothing."""
    days = [date.fromisoformat(day) for day, landed in sorted(mark.days.items()) if landed.rejected]
    for day in [*(day for day in days if span[0] <= day.isoformat() <= span[1]), None]:
        key = pipeline.keys.rejected(mark.table, day)
        stored = store.get(key)
        if stored is not None:
            yield landing_file.read_rejected(stored.body, key)
