"""From landed tables to a run's dataset: fetches the days, joins, checks and splits (`ratchet.tables.dataset`)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

from ratchet.catalog import Pipeline
from ratchet.errors import ForeignDocument
from ratchet.extraction import watermark
from ratchet.extraction.watermark import Watermark
from ratchet.instants import iso, parse_instant
from ratchet.sources import Tables
from ratchet.store import ObjectStore
from ratchet.tables import dataset, set_aside
from ratchet.tables.material import Material, Order

DOWNLOADS_AT_ONCE = 8


def make(store: ObjectStore, pipeline: Pipeline, order: Order, folder: Path) -> Material | str:
    """A run's data, as local files in `folder`, or why there is too little of it. Raises ForeignDocument."""
    # Read before the rows: a change that lands meanwhile must look like one that this data has not seen.
    marks = {table: watermark.read(store, pipeline.keys, table)[0] for table in pipeline.source_as(Tables).tables}
    days = {table: _fetch(store, pipeline, mark, folder / table) for table, mark in marks.items()}
    instants = dataset.window(pipeline, days, order.limit, parse_instant(order.run_ts))
    if len(instants) < pipeline.data.min_rows:
        return (
            f"There are {len(instants):,} joined rows; {pipeline.data.min_rows:,} are needed "
            "(data.min_rows in pipeline.yaml)."
        )
    made = dataset.build(pipeline, days, instants, folder)
    first_day = iso(dataset.instant(int(instants[0])))[:10] if order.limit else ""
    aside = folder / "set_aside.parquet"
    theirs = set_aside.gather(store, pipeline, marks, (first_day, order.run_ts[:10]), aside)
    made.counts["rejected"] |= theirs
    known = [mark.synthetic for mark in marks.values()]
    return Material(
        dataset=made,
        aside=aside,
        kept_aside=sum(theirs.values()),
        sound=made.kept + made.counts["embargoed"],
        landing={table: mark.changes for table, mark in marks.items()},
        synthetic=True if True in known else None if None in known else False,
        source=next((mark.source for mark in marks.values() if mark.source), None),
    )


def _fetch(store: ObjectStore, pipeline: Pipeline, mark: Watermark, folder: Path) -> list[Path]:
    """Downloads the day files that the watermark names, in the order of their days. Raises ForeignDocument."""
    folder.mkdir()
    keys = [pipeline.keys.landing(mark.table, date.fromisoformat(day)) for day in sorted(mark.days)]
    paths = [folder / key.rpartition("/")[2] for key in keys]
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        tags = list(pool.map(store.download, keys, paths))
    if None in tags:
        gone = keys[tags.index(None)]
        raise ForeignDocument(
            f"{gone} is gone, though the watermark of {mark.table} names it: move landing/{mark.table}/ away, the "
            "table will be read anew."
        )
    return paths
