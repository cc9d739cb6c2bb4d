"""Rows that extraction set aside, gathered for a run: counted by reason, and copied into one file of its quarantine."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ratchet.catalog import Pipeline
from ratchet.extraction.source import Rejected
from ratchet.store import ObjectStore
from ratchet.tables import landing_file

SCHEMA = pa.schema([("table", pa.string()), *landing_file.REJECTED])


def gather(store: ObjectStore, pipeline: Pipeline, span: tuple[str, str], path: Path) -> dict[str, int]:
    """Writes the rows of the days in `span`, and those of no known day, to `path`; how many there are by reason.

    Reasons begin with `<table>: `. A day's rows are held at a time. Raises ForeignDocument.
    """
    counts: dict[str, int] = {}
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for table in pipeline.source.tables:
            for rows in _days(store, pipeline, table, span):
                for row in rows:
                    reason = f"{table}: {row.reason}"
                    counts[reason] = counts.get(reason, 0) + 1
                writer.write_table(pa.Table.from_pylist([{"table": table, **vars(row)} for row in rows], SCHEMA))
    return counts


def _days(store: ObjectStore, pipeline: Pipeline, table: str, span: tuple[str, str]) -> Iterator[list[Rejected]]:
    root = pipeline.keys.rejected_root(table)
    for key in [listed.key for listed in store.list(root)]:
        day = key.removeprefix(f"{root}dt=").removesuffix(".parquet")
        if span[0] <= day <= span[1] or not day[0].isdigit():
            stored = store.get(key)
            if stored is not None:
                yield landing_file.read_rejected(stored.body, key)
