"""Scores every slot since the last one scored: bounded catch-up, one object per slot, written once.

The newest inputs come through the source port. Nothing is written when they are stale.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ratchet.catalog import Pipeline
from ratchet.errors import BadInput, ForeignDocument, StaleInput
from ratchet.instants import Clock, iso, parse_instant, run_name
from ratchet.serving.champion import Champion
from ratchet.serving.score import Answer, shape
from ratchet.serving.session import Floats
from ratchet.sources import Tables
from ratchet.store import ObjectStore, create, decode, encode, replace

if TYPE_CHECKING:
    from ratchet.extraction.source import Source

INSTANT = timedelta(microseconds=1)
Feed = Callable[[datetime | None, datetime], "Inputs"]
"""What there is to score after an instant (None: nothing was scored before) at another."""


class PredictionTable(Protocol):
    """Where predictions go besides the bucket."""

    def upsert(self, table: str, rows: Sequence[Answer]) -> None:
        """Writes rows by their `base_ts`. Raises Unavailable, SourceRefused, SourceMismatch."""


@dataclass(frozen=True)
class Inputs:
    """Rows to score in order of their instants, which several may share, and what they are about the time until.

    `features` are float32 [N, width]; those set aside stand in `skipped`, with the reason.
    """

    instants: list[datetime]
    ends: list[datetime]
    features: Floats
    skipped: list[dict[str, str]]


def score_slots(
    pipeline: Pipeline,
    champion: Champion,
    store: ObjectStore,
    feed: Feed,
    clock: Clock,
    table: PredictionTable | None = None,
) -> dict[str, Any]:
    """Scores what `feed` has since the last scored slot: `{scored, skipped, model_run_ts}`; repeated, changes nothing.

    Before the first scored slot only the newest is taken: older ones would be no predictions. Raises StaleInput when
    the newest input is older than the pipeline's bound.
    """
    now = clock()
    last, etag = _state(pipeline, store)
    inputs = feed(last, now)
    _refuse_stale(pipeline, inputs, last, now)
    labels = [f"base_ts {iso(instant)}" for instant in inputs.instants]
    found = shape(champion, inputs.instants, inputs.ends, champion.model.predict(inputs.features), labels)
    slots = [list(answers) for _, answers in groupby(found, key=lambda answer: answer["base_ts"])]
    written = [_write(pipeline, store, answers) for answers in slots]
    if table and pipeline.serving.upsert_table and found:
        table.upsert(pipeline.serving.upsert_table, [answer for answers, _ in written for answer in answers])
    if found:
        state = {"base_ts": found[-1]["base_ts"], "updated_at": iso(now), "model_run_ts": champion.pointer.run_ts}
        _advance(store, pipeline.keys.scoring_state(), encode(state), etag)
    before = [_skip(answers[0]["base_ts"], "scored before") for answers, ours in written if not ours]
    scored = [answers[0]["base_ts"] for answers, ours in written if ours]
    return {"scored": scored, "skipped": inputs.skipped + before, "model_run_ts": champion.pointer.run_ts}


def _state(pipeline: Pipeline, store: ObjectStore) -> tuple[datetime | None, str | None]:
    """The last scored instant and the tag of the document that says so."""
    key = pipeline.keys.scoring_state()
    stored = store.get(key)
    if stored is None:
        return None, None
    try:
        return parse_instant(str(decode(stored, key).get("base_ts"))), stored.etag
    except BadInput as error:
        raise ForeignDocument(
            f"{key} names no base_ts; move it away, Ratchet keeps a document of its own there."
        ) from error


def table_inputs(pipeline: Pipeline, source: "Source", last: datetime | None, now: datetime) -> Inputs:
    """The rows after `last`, at most `catch_up_slots` steps back; only the newest where there is no `last`."""
    serving, features = pipeline.serving, pipeline.module("features")
    name = serving.table or ""
    table = pipeline.source_as(Tables).tables[name]
    bound = now - timedelta(minutes=pipeline.data.step_minutes) * serving.catch_up_slots
    after = iso(max(last, bound) if last else now - timedelta(minutes=serving.staleness_minutes) - INSTANT)
    instants: list[datetime] = []
    parts: list[Floats] = []
    skipped: list[dict[str, str]] = []
    # A row of the future would end all scoring until then.
    while (page := source.page(name, table, after=after, before=iso(now + INSTANT), limit=100)).read:
        instants += [_aware(value) for value in page.columns[table.key]]
        parts.append(features.arrays(**{field: page.columns[field] for field in features.FIELDS}))
        skipped += [_skip(rejected.key, rejected.reason) for _, rejected in page.rejected]
        if page.cursor is None:
            break
        after = page.cursor
    matrix = np.concatenate(parts) if parts else np.empty((0, sum(features.FIELDS.values())), np.float32)
    finite = np.isfinite(matrix).all(axis=1)
    skipped += [_skip(iso(instants[index]), "not finite") for index in np.flatnonzero(~finite)]
    chosen = np.flatnonzero(finite)[0 if last else -1 :]
    starts = [instants[index] for index in chosen]
    horizon = timedelta(minutes=pipeline.data.label_horizon_minutes)
    return Inputs(starts, [start + horizon for start in starts], matrix[chosen], skipped)


def _refuse_stale(pipeline: Pipeline, inputs: Inputs, last: datetime | None, now: datetime) -> None:
    newest = inputs.instants[-1] if inputs.instants else last
    bound = pipeline.serving.staleness_minutes
    if newest is None or now - newest > timedelta(minutes=bound):
        age = f"is of {iso(newest)}" if newest else f"is older than {bound} minutes or cannot be used"
        raise StaleInput(
            f"The newest row of {pipeline.serving.table or 'the source'} {age}; scoring takes rows of the last {bound} "
            "minutes: see what writes it."
        )


def _write(pipeline: Pipeline, store: ObjectStore, answers: list[Answer]) -> tuple[list[Answer], bool]:
    """Writes a slot once; returns what stands there and whether it is these answers."""
    instant = parse_instant(answers[0]["base_ts"])
    key = pipeline.keys.predictions(instant.date(), run_name(instant))
    body = "".join(json.dumps(answer, allow_nan=False) + "\n" for answer in answers).encode()
    if create(store, key, body):
        return answers, True
    standing = store.get(key)
    return ([json.loads(line) for line in standing.body.splitlines()] if standing else answers), False


def _advance(store: ObjectStore, key: str, body: bytes, etag: str | None) -> None:
    """Moves the state; where another scorer was first its state stands, and slots are written once in any case."""
    if etag is None:
        create(store, key, body)
    else:
        replace(store, key, body, etag)


def _aware(value: np.datetime64) -> datetime:
    return parse_instant(f"{value}Z")


def _skip(base_ts: str, reason: str) -> dict[str, str]:
    return {"base_ts": base_ts, "reason": reason}
