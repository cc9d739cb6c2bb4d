"""Landed records as rows to learn from: as of an instant, each record as it was told last, encoded as when serving."""

from collections.abc import Iterable
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ratchet.catalog import Pipeline
from ratchet.errors import SourceMismatch
from ratchet.files.kind import Examples
from ratchet.sources import TabularFiles
from ratchet.tabular.layout import AT, GROUP, RECORD, TIMESTAMP, Layout
from ratchet.tabular.records import codes

MOST_BYTES = 320 << 20
"""Of a run's records: with the longest groups that there may be, their inputs and copies then take 2.7 GB."""


def of_records(pipeline: Pipeline, layout: Layout, parts: Iterable[pa.Table], until: datetime) -> Examples:
    """A row per record known at `until`, in the order of their instants, those of one instant by their keys.

    Where two files tell the same record, the later instant stands; of one instant, the file of the later name. Raises
    SourceMismatch where they are more than a run can hold.
    """
    known, size = [layout.schema.empty_table()], 0
    for part in parts:
        known.append(part.filter(pc.less_equal(part[AT], pa.scalar(until, TIMESTAMP))).replace_schema_metadata())
        size += known[-1].nbytes
        if size > MOST_BYTES:
            raise SourceMismatch(
                f"The records make more than {MOST_BYTES:,} bytes of rows, which is what a run can hold: remove old "
                f"files from {pipeline.source_as(TabularFiles).prefix}."
            )
    table = pa.concat_tables(known)
    rows = table.take(pa.array(_last(table))).sort_by([(AT, "ascending"), (RECORD, "ascending")])
    at = rows[AT].cast(pa.int64()).to_numpy()
    label = rows[layout.label].to_numpy().astype(np.float64)
    return Examples(
        base_ts=at,
        ends=at,
        lives=np.full(len(at), -1, np.int64),
        features=encoded(pipeline, layout, rows),
        targets=label[:, None],
        groups=np.array(rows[GROUP].to_pylist(), np.str_),
        baselines={},
        left_out={"told again later": table.num_rows - rows.num_rows} if table.num_rows > rows.num_rows else {},
        about=about(pipeline, layout),
    )


def encoded(pipeline: Pipeline, layout: Layout, rows: pa.Table) -> NDArray[np.float32]:
    """The inputs of landed records, float32 [N, inputs]."""
    numbers = {name: rows[name].fill_null(np.nan).to_numpy() for name in layout.numbers}
    places = {name: _places(rows[name], values) for name, values in layout.categories.items()}
    features: NDArray[np.float32] = pipeline.module("features").columns(numbers, places, layout.categories)
    return features


def about(pipeline: Pipeline, layout: Layout) -> dict[str, object]:
    """What serving must know to make the same inputs of a record, and judging to know which records were held out."""
    numbers = {name: list(bounds) for name, bounds in layout.numbers.items()}
    categories = {name: list(values) for name, values in layout.categories.items()}
    inputs = pipeline.module("features").inputs(numbers, categories)
    split = {"salt": pipeline.data.salt, "shares": dict(pipeline.data.split)}
    told = {"inputs": inputs, "numbers": numbers, "categories": categories, "fields": layout.fields}
    return {**told, "split": split}


def _last(table: pa.Table) -> NDArray[np.int64]:
    """The row of each record's latest instant."""
    which, at = codes(table[RECORD]), table[AT].cast(pa.int64()).to_numpy()
    order = np.lexsort((np.arange(len(at)), at))
    ours = which[order]
    # The last of each record in that order is the first of it backwards.
    _, backwards = np.unique(ours[::-1], return_index=True)
    found: NDArray[np.int64] = order[len(order) - 1 - backwards]
    return found


def _places(column: pa.ChunkedArray, values: tuple[str, ...]) -> NDArray[np.int64]:
    """The place of each text among the values, after them where it is missing: all others have been set aside."""
    found = pc.index_in(column, pa.array(values)).fill_null(len(values))
    places: NDArray[np.int64] = found.to_numpy().astype(np.int64)
    return places
