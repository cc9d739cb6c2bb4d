"""Sufficient? Whether what has landed is worth preparing: enough rows, and for a scheduled run something new."""

from collections.abc import Mapping
from dataclasses import dataclass

from ratchet.catalog import Pipeline
from ratchet.extraction import watermark
from ratchet.sources import Tables
from ratchet.store import Document, ObjectStore, decode


@dataclass(frozen=True)
class Sufficiency:
    """`sufficient`, `not_enough_data` or `no_new_rows`, and why."""

    status: str
    reason: str


def check_sufficiency(
    store: ObjectStore, pipeline: Pipeline, run_ts: str, month: str | None, *, scheduled: bool
) -> Sufficiency:
    """Judges by the documents of what has landed. A manual run goes on without new rows, never without enough.

    Raises ForeignDocument when a document is not ours, BadInput for the month.
    """
    if isinstance(pipeline.source, Tables):
        return _of_tables(store, pipeline, pipeline.source, scheduled)
    from ratchet.files.sufficiency import of_parts  # pyarrow, which tables come without

    return of_parts(store, pipeline, run_ts, month, scheduled)


def _of_tables(store: ObjectStore, pipeline: Pipeline, source: Tables, scheduled: bool) -> Sufficiency:
    marks = {name: watermark.read(store, pipeline.keys, name)[0] for name in source.tables}
    for name, mark in marks.items():
        if mark.rows < pipeline.data.min_rows:
            landed = f"{mark.rows} rows" if mark.rows else "no rows"
            aside = f" and {mark.rejected} rejected ones" if mark.rejected else ""
            needed = f"at least {pipeline.data.min_rows} are needed"
            return Sufficiency("not_enough_data", f"The table {name} has {landed}{aside}; {needed}.")
    if scheduled and (judged := judged_run(store, pipeline, {name: mark.changes for name, mark in marks.items()})):
        return Sufficiency("no_new_rows", f"No row has changed since the run {judged}, which has been judged.")
    rows = ", ".join(f"{mark.rows} of {name}" for name, mark in marks.items())
    return Sufficiency("sufficient", f"Rows landed: {rows}.")


def judged_run(store: ObjectStore, pipeline: Pipeline, changes: Mapping[str, int | str]) -> str | None:
    """The run that prepared exactly this landing area and has been evaluated, if there is one."""
    key = pipeline.keys.train_latest()
    stored = store.get(key)
    latest: Document = decode(stored, key) if stored else {}
    if not latest or latest.get("landing") != changes:
        return None
    run = str(latest.get("run_ts"))
    return run if store.head(pipeline.keys.evaluation(run)) else None
