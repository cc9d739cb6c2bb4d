"""The step "evaluate": judges a run's bundle against the champion of this moment and leaves the evidence.

Writes `card.html`, then `evaluation.json`; moves no pointer. Repeating it adopts an evaluation that still holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ratchet import card, pointer, retention
from ratchet.catalog import Pipeline
from ratchet.errors import BadInput
from ratchet.evaluation import document
from ratchet.evaluation.evidence import Found, Sources, gather
from ratchet.evaluation.measure import Measure, cost
from ratchet.instants import Clock, iso
from ratchet.pointer import Pointer
from ratchet.retention import EXPIRES
from ratchet.store import Document, ObjectStore, Versions, decode, encode


@dataclass(frozen=True)
class Request:
    """The event of the function `evaluate` (docs/contracts.md)."""

    pipeline: str
    run_ts: str
    execution: str
    holdout_uri: str
    manifest_uri: str
    bundle_uri: str
    token: int
    job_name: str | None

    @classmethod
    def of(cls, event: dict[str, Any]) -> "Request":
        """The request in an event. Raises BadInput naming every field that is missing or cannot be used."""
        texts = [name for name, kind in cls.__annotations__.items() if kind is str]
        faulty = [name for name in texts if not isinstance(event.get(name), str) or not event[name]]
        if not isinstance(event.get("token"), int):
            faulty.append("token")
        if faulty:
            raise BadInput(f"evaluate cannot use what it got in: {', '.join(faulty)}.")
        used: dict[str, Any] = {name: event.get(name) for name in cls.__annotations__}
        return cls(**used)


def evaluate(
    store: ObjectStore,
    clock: Clock,
    pipeline: Pipeline,
    request: Request,
    *,
    allow_synthetic: bool,
    floors: Mapping[str, float] | None = None,
    measure: Measure = cost,
) -> Document:
    """The function's result (docs/contracts.md, `evaluate`); `floors` by metric stand instead of the pipeline's own.

    Raises BadBundle when a bundle is missing, damaged, not the one promoted or, as GraphDiffers, not what was trained,
    ContractError for a damaged holdout,
    LeaseLost when this run may not write any more, Unavailable when another call of the step wrote meanwhile.
    """
    gate = pipeline.gate
    pipeline = replace(pipeline, gate=replace(gate, floors={**gate.floors, **(floors or {})}))
    keys = pipeline.keys
    found_before = Versions(store, keys.evaluation(request.run_ts), keys.card(request.run_ts))
    champion = pointer.read(store, keys)
    if champion:
        # Whatever tagged it otherwise since its promotion has the time until the next evaluation, far below 30 days.
        retention.keep(store, keys, champion[0])
    finished = _finished(store, pipeline, request, champion)
    if finished:
        return _result(store, pipeline, finished)
    named = ("run_ts", "bundle_uri", "holdout_uri", "manifest_uri", "execution", "token")
    sources = Sources(**{name: getattr(request, name) for name in named}, allow_synthetic=allow_synthetic)
    with TemporaryDirectory() as folder:
        found = gather(store, pipeline, sources, champion, Path(folder), measure)
    evaluation = document.build(found, sources, pipeline, job_name=request.job_name, now=iso(clock()))
    _publish(found_before, pipeline, evaluation, card.render(evaluation, _series(found)))
    return _result(store, pipeline, evaluation)


def _publish(before: Versions, pipeline: Pipeline, evaluation: Document, page: bytes) -> None:
    keys, run_ts = pipeline.keys, evaluation["run_ts"]
    before.put(keys.card(run_ts), page, tags=EXPIRES, content_type="text/html; charset=utf-8")
    # Last: it is what a repeated step adopts.
    before.put(keys.evaluation(run_ts), encode(evaluation), tags=EXPIRES)


def _series(found: Found) -> card.Series:
    advantage = found.judgement.advantage if found.judgement else None
    scores = found.scores
    return card.Series(scores.minutes, scores.ends, scores.realised, scores.challenger, advantage)


def _finished(
    store: ObjectStore, pipeline: Pipeline, request: Request, champion: tuple[Pointer, str] | None
) -> Document | None:
    """This run's evaluation, if it led to its own promotion or judged this bundle by what holds at present.

    That is the champion, and the floors.
    """
    key = pipeline.keys.evaluation(request.run_ts)
    stored = store.get(key)
    if stored is None:
        return None
    evaluation = decode(stored, key)
    judged = evaluation["champion"]
    against_present = (judged["etag"] if judged else None) == (champion[1] if champion else None)
    promoted = champion is not None and champion[0].sha256 == evaluation["challenger"]["sha256"]
    bundle = store.head(store.key_of(request.bundle_uri))
    same_bundle = bundle is not None and bundle.etag == evaluation["challenger"]["etag"]
    limits = {name: found["limit"] for name, found in evaluation["floors"].items()}
    same_floors = evaluation["comparison"] is None or limits == pipeline.gate.floors
    return evaluation if same_bundle and (promoted or (against_present and same_floors)) else None


def _result(store: ObjectStore, pipeline: Pipeline, evaluation: Document) -> Document:
    champion = evaluation["champion"] or {}
    return {
        "verdict": evaluation["verdict"],
        "reason": evaluation["reason"],
        "reasons": evaluation["reasons"],
        "champion_etag": champion.get("etag"),
        "champion_run_ts": champion.get("run_ts"),
        "evaluation_uri": store.uri(pipeline.keys.evaluation(evaluation["run_ts"])),
        "card_uri": store.uri(pipeline.keys.card(evaluation["run_ts"])),
        "sha256": evaluation["challenger"]["sha256"],
        "train_uri": evaluation["lineage"]["train_uri"],
    }
