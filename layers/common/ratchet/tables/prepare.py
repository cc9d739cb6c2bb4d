"""The step Prepare: landed rows become a run's train and holdout data with a manifest; `train/latest.json` moves last.

A run sees the rows whose label had ended by its instant: a run of last week, made today, is last week's run, and a
resumed one does not change its data. A finished manifest is adopted, so the step may run again at any time.

Whether the data is synthetic is what the watermarks say of their source: one synthetic table makes all of it so,
and an unknown one leaves it unknown (null), which counts as real: on AWS a source that nobody marked is normal.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

from ratchet import lease
from ratchet.catalog import Pipeline
from ratchet.disk import named_when_full
from ratchet.errors import BadInput, ForeignDocument, TooManyBadRows, Unavailable
from ratchet.extraction import watermark
from ratchet.extraction.watermark import Watermark
from ratchet.instants import Clock, iso, parse_instant
from ratchet.retention import EXPIRES
from ratchet.store import Document, ObjectStore, Versions, create, decode, encode, replace
from ratchet.tables import contract, dataset, set_aside
from ratchet.tables.dataset import Dataset
from ratchet.tables.split import PARTS, validate

DOWNLOADS_AT_ONCE = 8
ATTEMPTS = 5
LATEST = ("run_ts", "train_uri", "holdout_uri", "manifest_uri", "row_count", "synthetic")


@dataclass(frozen=True)
class Order:
    """What a run asks for. `limit` above 0 takes the newest rows alone, `skip_data_prep` reuses the newest data."""

    run_ts: str
    execution: str
    token: int
    limit: int = 0
    skip_data_prep: bool = False


def prepare(store: ObjectStore, pipeline: Pipeline, order: Order, clock: Clock, folder: Path) -> dict[str, Any]:
    """Prepares a run's data, working in the empty `folder`; the step's result as in docs/contracts.md.

    Raises TooManyBadRows, ForeignDocument, BadConfiguration, BadInput (nothing to reuse), LeaseLost, Unavailable.
    """
    if order.skip_data_prep:
        return _reuse(store, pipeline)
    keys, run = pipeline.keys, order.run_ts
    found = Versions(store, keys.manifest(run), keys.train(run), keys.holdout(run))
    manifest = _finished(store, pipeline, run, found)
    if manifest is None:
        with named_when_full("PrepareFunction"):
            outcome = _make(store, pipeline, order, clock, folder, found)
        if isinstance(outcome, str):
            return _answer("not_enough_data", outcome, {})
        manifest = outcome
    latest = _latest(store, pipeline, manifest)
    _publish(store, pipeline, order, latest)
    return _answer("prepared", f"{latest['row_count']:,} rows to learn from.", latest)


def _finished(store: ObjectStore, pipeline: Pipeline, run: str, found: Versions) -> Document | None:
    """The run's manifest, if the very data that it describes lies there: two calls may have written one each."""
    keys = pipeline.keys
    stored = store.get(keys.manifest(run))
    manifest = decode(stored, keys.manifest(run)) if stored else {}
    described = {"train": found.etags[keys.train(run)], "holdout": found.etags[keys.holdout(run)]}
    return manifest if manifest.get("etags") == described else None


def _make(
    store: ObjectStore, pipeline: Pipeline, order: Order, clock: Clock, folder: Path, found: Versions
) -> Document | str:
    """Writes the run's data and returns its manifest, or why there is too little of it."""
    validate(pipeline.data)
    # Read before the rows: a change that lands meanwhile must look like one that this data has not seen.
    marks = {table: watermark.read(store, pipeline.keys, table)[0] for table in pipeline.source.tables}
    days = {table: _fetch(store, pipeline, mark, folder / table) for table, mark in marks.items()}
    instants = dataset.window(pipeline, days, order.limit, parse_instant(order.run_ts))
    if len(instants) < pipeline.data.min_rows:
        return _too_few(len(instants), "joined", pipeline)
    made = dataset.build(pipeline, days, instants, folder)
    first_day = iso(dataset.instant(int(instants[0])))[:10] if order.limit else ""
    span = (first_day, order.run_ts[:10])
    aside = folder / "set_aside.parquet"
    made.counts["rejected"] |= set_aside.gather(store, pipeline, marks, span, aside)
    quarantine_uri = _quarantine(store, pipeline, order, made, aside)
    if made.kept < pipeline.data.min_rows or any(not made.counts[part] for part in PARTS):
        return _too_few(made.kept, "sound", pipeline)
    _reopen(pipeline, order, found)
    etags = {
        "holdout": found.upload(made.files["holdout"], pipeline.keys.holdout(order.run_ts), tags=EXPIRES),
        "train": found.upload(made.files["train"], pipeline.keys.train(order.run_ts), tags=EXPIRES),
    }
    facts = _manifest(pipeline, order, made, marks, iso(clock()))
    manifest = {**facts, "quarantine_uri": quarantine_uri, "etags": etags}
    found.put(pipeline.keys.manifest(order.run_ts), encode(manifest), tags=EXPIRES)
    return manifest


def _reopen(pipeline: Pipeline, order: Order, found: Versions) -> None:
    """Takes the place of the manifest before the data changes, so that no call that began earlier finishes over it.

    Each call by a mark of its own: the same bytes would be taken for one's own. Raises Unavailable.
    """
    unfinished = {"pipeline": pipeline.name, "run_ts": order.run_ts, "unfinished": uuid4().hex}
    found.put(pipeline.keys.manifest(order.run_ts), encode(unfinished), tags=EXPIRES)


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


def _quarantine(store: ObjectStore, pipeline: Pipeline, order: Order, made: Dataset, aside: Path) -> str | None:
    """Stores the rows that break the contract, those in `aside` that extraction found among them; the folder's URI.

    Raises TooManyBadRows, after they can be looked at.
    """
    rejected, keys = made.counts["rejected"], pipeline.keys
    theirs = sum(count for reason, count in rejected.items() if ": " in reason)
    if sum(rejected.values()) > theirs:
        store.upload(made.files["rejected"], keys.quarantine(order.run_ts), tags=EXPIRES)
    if theirs:
        store.upload(aside, keys.set_aside(order.run_ts), tags=EXPIRES)
    folder = store.uri(keys.quarantine_root(order.run_ts))
    bad = contract.share(rejected, made.kept + made.counts["embargoed"])
    if bad > pipeline.data.max_bad_share:
        listed = ", ".join(f"{reason} {count}" for reason, count in sorted(rejected.items(), key=lambda r: -r[1])[:5])
        raise TooManyBadRows(
            f"{bad:.1%} of the rows break the contract, {pipeline.data.max_bad_share:.1%} may: {listed}. "
            f"Look at {folder}, correct the source or raise data.max_bad_share."
        )
    return folder if rejected else None


def _manifest(
    pipeline: Pipeline, order: Order, made: Dataset, marks: dict[str, Watermark], generated_at: str
) -> Document:
    known = [mark.synthetic for mark in marks.values()]
    return {
        "pipeline": pipeline.name,
        "run_ts": order.run_ts,
        "generated_at": generated_at,
        "landing": {table: mark.changes for table, mark in marks.items()},
        "counts": made.counts,
        "intervals": made.intervals,
        "targets": made.targets,
        "digests": made.digests(),
        "schema": made.schema,
        "feature_dim": sum(pipeline.data.features.values()),
        "synthetic": True if True in known else None if None in known else False,
        "source": next((mark.source for mark in marks.values() if mark.source), None),
        "limit": order.limit,
    }


def _latest(store: ObjectStore, pipeline: Pipeline, manifest: Document) -> Document:
    run, keys = manifest["run_ts"], pipeline.keys
    copied = {name: manifest[name] for name in ("run_ts", "feature_dim", "generated_at", "synthetic", "landing")}
    uris = {"train_uri": keys.train(run), "holdout_uri": keys.holdout(run), "manifest_uri": keys.manifest(run)}
    rows = manifest["counts"]["train"] + manifest["counts"]["validation"]
    return {**copied, **{name: store.uri(key) for name, key in uris.items()}, "row_count": rows}


def _publish(store: ObjectStore, pipeline: Pipeline, order: Order, latest: Document) -> None:
    """Moves `train/latest.json` to this run unless it names this or a newer one already."""
    key = pipeline.keys.train_latest()
    for _ in range(ATTEMPTS):
        found = store.get(key)
        # The first 19 characters are the instant to the second, in every spelling of a run's name so far.
        if found and _run_of(decode(found, key), key)[:19] >= order.run_ts[:19]:
            return
        lease.check(store, pipeline.keys, execution=order.execution, token=order.token)
        body = encode(latest)
        if (create(store, key, body) if found is None else replace(store, key, body, found.etag)) is not None:
            return
    raise Unavailable(f"Other runs moved {key} {ATTEMPTS} times in a row.")


def _run_of(document: Document, key: str) -> str:
    if not isinstance(document.get("run_ts"), str):
        raise ForeignDocument(f"{key} names no run_ts; move it away, Ratchet keeps a document of its own there.")
    return str(document["run_ts"])


def _reuse(store: ObjectStore, pipeline: Pipeline) -> dict[str, Any]:
    """The newest prepared data, whoever prepared it."""
    key = pipeline.keys.train_latest()
    stored = store.get(key)
    if stored is None:
        raise BadInput(f"There is no {key} to reuse; run once without skipDataPrep.")
    latest = decode(stored, key)
    if any(name not in latest for name in LATEST):
        raise ForeignDocument(f"{key} was not written by Ratchet; run once without skipDataPrep.")
    for uri in (latest["train_uri"], latest["holdout_uri"], latest["manifest_uri"]):
        if store.head(store.key_of(uri)) is None:
            raise BadInput(f"{uri} is gone (it expires); run once without skipDataPrep.")
    return _answer("prepared", f"Reuses the data of run {latest['run_ts']}.", latest)


def _answer(status: str, reason: str, latest: Document) -> dict[str, Any]:
    fields = ("train_uri", "holdout_uri", "manifest_uri", "row_count", "synthetic")
    facts = {name: latest.get(name) for name in fields}
    return {"status": status, "reason": reason, "data_run_ts": latest.get("run_ts"), **facts}


def _too_few(rows: int, kind: str, pipeline: Pipeline) -> str:
    return f"There are {rows:,} {kind} rows; {pipeline.data.min_rows:,} are needed (data.min_rows in pipeline.yaml)."
