"""The step Prepare: landed rows become a run's train and holdout data with a manifest; `train/latest.json` moves last.

A run sees the rows whose label had ended by its instant: a run of last week, made today, is last week's run, and a
resumed one does not change its data. A finished manifest is adopted, so the step may run again at any time.

Whether the data is synthetic is what the watermarks say of their source: one synthetic table makes all of it so,
and an unknown one leaves it unknown (null), which counts as real: on AWS a source that nobody marked is normal.
"""

from pathlib import Path
from typing import Any
from uuid import uuid4

from ratchet import lease
from ratchet.catalog import Pipeline
from ratchet.disk import named_when_full
from ratchet.errors import BadInput, ForeignDocument, TooManyBadRows, Unavailable
from ratchet.files import prepare as files
from ratchet.instants import Clock, iso
from ratchet.retention import EXPIRES
from ratchet.sources import Tables
from ratchet.store import Document, ObjectStore, Versions, create, decode, encode, replace
from ratchet.tables import contract, joined
from ratchet.tables.dataset import Dataset
from ratchet.tables.material import Material, Order
from ratchet.tables.split import PARTS, validate

ATTEMPTS = 5
LATEST = ("run_ts", "train_uri", "holdout_uri", "manifest_uri", "row_count", "synthetic")


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
    make = joined.make if isinstance(pipeline.source, Tables) else files.make
    material = make(store, pipeline, order, folder)
    if isinstance(material, str):
        return material
    made = material.dataset
    quarantine_uri = _quarantine(store, pipeline, order, material)
    if made.kept < pipeline.data.min_rows or any(not made.counts[part] for part in PARTS):
        return _too_few(made, pipeline)
    _reopen(pipeline, order, found)
    etags = {
        "holdout": found.upload(made.files["holdout"], pipeline.keys.holdout(order.run_ts), tags=EXPIRES),
        "train": found.upload(made.files["train"], pipeline.keys.train(order.run_ts), tags=EXPIRES),
    }
    facts = _manifest(pipeline, order, material, iso(clock()))
    manifest = {**facts, "quarantine_uri": quarantine_uri, "etags": etags}
    found.put(pipeline.keys.manifest(order.run_ts), encode(manifest), tags=EXPIRES)
    return manifest


def _reopen(pipeline: Pipeline, order: Order, found: Versions) -> None:
    """Takes the place of the manifest before the data changes, so that no call that began earlier finishes over it.

    Each call by a mark of its own: the same bytes would be taken for one's own. Raises Unavailable.
    """
    unfinished = {"pipeline": pipeline.name, "run_ts": order.run_ts, "unfinished": uuid4().hex}
    found.put(pipeline.keys.manifest(order.run_ts), encode(unfinished), tags=EXPIRES)


def _quarantine(store: ObjectStore, pipeline: Pipeline, order: Order, material: Material) -> str | None:
    """Stores the rows that break the contract, those that extraction set aside among them; the folder's URI.

    Raises TooManyBadRows, after they can be looked at.
    """
    made, keys = material.dataset, pipeline.keys
    rejected, broken = made.counts["rejected"], made.files.get("rejected")
    ours = broken is not None and any(": " not in reason for reason in rejected)
    if broken and ours:
        store.upload(broken, keys.quarantine(order.run_ts), tags=EXPIRES)
    if material.kept_aside:
        store.upload(material.aside, keys.set_aside(order.run_ts), tags=EXPIRES)
    folder = store.uri(keys.quarantine_root(order.run_ts)) if ours or material.kept_aside else None
    bad = contract.share(rejected, material.sound)
    if bad > pipeline.data.max_bad_share:
        listed = ", ".join(f"{reason} {count}" for reason, count in sorted(rejected.items(), key=lambda r: -r[1])[:5])
        look = f"Look at {folder}, correct" if folder else "Correct"
        raise TooManyBadRows(
            f"{bad:.1%} of the rows break the contract, {pipeline.data.max_bad_share:.1%} may: {listed}. "
            f"{look} the source or raise data.max_bad_share."
        )
    return folder


def _manifest(pipeline: Pipeline, order: Order, material: Material, generated_at: str) -> Document:
    made = material.dataset
    return {
        "pipeline": pipeline.name,
        "run_ts": order.run_ts,
        "generated_at": generated_at,
        "landing": material.landing,
        "counts": made.counts,
        "intervals": made.intervals,
        "targets": made.targets,
        "digests": made.digests(),
        "schema": made.schema,
        "feature_dim": sum(pipeline.data.features.values()),
        "synthetic": material.synthetic,
        "source": material.source,
        "limit": order.limit,
        "month": order.month,
        "sample": order.sample,
        "about": material.about,
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


def _too_few(made: Dataset, pipeline: Pipeline) -> str:
    parts = ", ".join(f"{made.counts[part]:,} of {part}" for part in PARTS)
    return (
        f"There are {made.kept:,} sound rows ({parts}); {pipeline.data.min_rows:,} are needed, some of each "
        "(data.min_rows in pipeline.yaml)."
    )
