"""Sufficient? Whether the parts of a run's span are worth preparing: enough of everything, and something new."""

from ratchet.catalog import Pipeline
from ratchet.extraction.sufficiency import Sufficiency, judged_run
from ratchet.files import kind as kinds
from ratchet.files import part as parts
from ratchet.files.prepare import about, of_span
from ratchet.store import ObjectStore


def of_parts(store: ObjectStore, pipeline: Pipeline, run_ts: str, month: str | None, scheduled: bool) -> Sufficiency:
    """Judges landed parts by their documents, as `check_sufficiency` does."""
    source = kinds.of(pipeline)
    span = source.span(run_ts, month)
    ours = of_span(store, pipeline, span)
    short = source.shortage(about(ours, span))
    if short:
        return Sufficiency("not_enough_data", short)
    if scheduled and (judged := judged_run(store, pipeline, {source.table: parts.fingerprint(ours)})):
        return Sufficiency("no_new_rows", f"Nothing has changed since the run {judged}, which has been judged.")
    records = sum(part.records for part in about(ours, span).values())
    return Sufficiency("sufficient", f"Landed: {records:,} records of the span, in {len(ours)} parts read.")
