"""Gathers what a verdict rests on: candidates, scores on rows that neither has seen, the test's number, the checks."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from ratchet.catalog import Pipeline
from ratchet.errors import BadBundle, ContractError
from ratchet.evaluation import candidates, classes, judge, ledger, scores
from ratchet.evaluation.candidates import Candidate
from ratchet.evaluation.health import Health, examine, schema_problems
from ratchet.evaluation.judge import Judgement
from ratchet.evaluation.ledger import Entry
from ratchet.evaluation.measure import Measure
from ratchet.evaluation.scores import Scores
from ratchet.evaluation.target import Target, targets_of
from ratchet.gate import bootstrap, checks, policy
from ratchet.gate.checks import Check
from ratchet.pointer import Pointer
from ratchet.store import Document, ObjectStore, decode


@dataclass(frozen=True)
class Sources:
    """What is judged, where it lies, for whom, and whether synthetic data may lead to a promotion."""

    run_ts: str
    bundle_uri: str
    holdout_uri: str
    manifest_uri: str
    execution: str
    token: int
    allow_synthetic: bool


@dataclass(frozen=True)
class Found:
    """Everything that an evaluation found out."""

    challenger: Candidate
    champion: Pointer | None
    champion_etag: str | None
    manifest: Document
    targets: list[Target]
    health: Health
    scores: Scores
    test: Entry
    new_rows: int
    alpha: float
    judgement: Judgement | None
    checks: list[Check]


def gather(
    store: ObjectStore,
    pipeline: Pipeline,
    sources: Sources,
    present: tuple[Pointer, str] | None,
    folder: Path,
    measure: Measure,
) -> Found:
    """All of it, with `folder` for what has to be on disk; `present` is the pointer and its tag.

    Raises BadBundle for a bundle that is missing, damaged or not the one promoted, GraphDiffers, ContractError for a
    holdout that is not the manifest's, LeaseLost.
    """
    champion, etag = present or (None, None)
    manifest = _manifest(store, sources.manifest_uri)
    targets = targets_of(manifest, pipeline.data.targets)
    challenger = candidates.fetch(store, sources.bundle_uri, folder / "challenger", pipeline.name)
    health = examine(challenger, pipeline, manifest, measure)
    rival = _rival(store, champion, pipeline, manifest, folder)
    scored = _score(store, sources, manifest, pipeline, folder, challenger, rival)
    test = ledger.plan(store, pipeline.keys, sources.run_ts, champion.seq if champion else 0, _last(scored))
    new = int(np.count_nonzero(scored.minutes > test.since)) if test.since is not None else len(scored.minutes)
    synthetic = bool(manifest["synthetic"] or challenger.document["synthetic"])
    preconditions = [
        *health.checks,
        checks.finite(scored.challenger),
        checks.origin(synthetic, sources.allow_synthetic),
        checks.identity(challenger.sha256, champion.sha256 if champion else None),
        checks.targets(*_split(targets)),
        *_enough(scored, pipeline),
        checks.new_rows(new, pipeline.gate.min_new_holdout_rows),
    ]
    alpha = policy.alpha_at(pipeline.gate.alpha, test.number)
    judgement = _judge(preconditions, scored, targets, pipeline, alpha)
    if all(check.passed for check in preconditions):
        # A look at rows that could have promoted spends alpha, whatever comes of it.
        ledger.record(store, pipeline.keys, test, execution=sources.execution, token=sources.token)
    found = [*preconditions, *(judge.checks(judgement, pipeline) if judgement else [])]
    if champion and judgement and not judgement.comparison:
        found.append(checks.incomparable())
    return Found(challenger, champion, etag, manifest, targets, health, scored, test, new, alpha, judgement, found)


def _judge(
    preconditions: list[Check], scored: Scores, targets: list[Target], pipeline: Pipeline, alpha: float
) -> Judgement | None:
    """The comparison, also where another check already decided (a reader wants to see it), but not on nothing."""
    impossible = {"schema", "finite", "targets", "rows", "instants", "probabilities", "outcomes", "groups"}
    if any(check.name in impossible and not check.passed for check in preconditions):
        return None
    return judge.judge(scored, targets, pipeline, alpha)


def _manifest(store: ObjectStore, uri: str) -> Document:
    key = store.key_of(uri)
    stored = store.get(key)
    if stored is None:
        raise ContractError(f"{uri} is missing; prepare the data again.")
    manifest = decode(stored, key)
    if "digests" not in manifest:
        raise ContractError(f"{uri} is not finished; prepare the data again.")
    return manifest


def _enough(scored: Scores, pipeline: Pipeline) -> list[Check]:
    """Whether there are rows to judge by, and of classes groups of either or, where groups share instants, instants."""
    found = [checks.rows(len(scored.minutes), max(pipeline.gate.min_holdout_rows, bootstrap.MIN_BLOCKS))]
    if pipeline.gate.metric == "auc":
        return [*found, *classes.preconditions(scored, pipeline)]
    if pipeline.data.group:
        found.append(checks.instants(len(bootstrap.instants(scored.minutes)), bootstrap.MIN_BLOCKS))
    return found


def _rival(
    store: ObjectStore, champion: Pointer | None, pipeline: Pipeline, manifest: Document, folder: Path
) -> Candidate | None:
    """The champion, where there is one that still answers the pipeline's question: no other can be compared."""
    if champion is None:
        return None
    rival = candidates.fetch(store, champion.model_uri, folder / "champion", pipeline.name)
    if rival.sha256 != champion.sha256:
        raise BadBundle(f"{champion.model_uri} is not the bundle that was promoted (SHA-256 differs); roll back.")
    return None if schema_problems(rival, pipeline, manifest) else rival


def _score(
    store: ObjectStore,
    sources: Sources,
    manifest: dict[str, Any],
    pipeline: Pipeline,
    folder: Path,
    challenger: Candidate,
    rival: Candidate | None,
) -> Scores:
    """Scores the holdout rows that neither model has seen."""
    if schema_problems(challenger, pipeline, manifest):
        return scores.none(len(pipeline.data.targets))
    path = folder / "holdout.parquet"
    if store.download(store.key_of(sources.holdout_uri), path) is None:
        raise ContractError(f"{sources.holdout_uri} is missing; prepare the data again.")
    if f"sha256:{candidates.digest(path)}" != manifest["digests"]["holdout"]:
        raise ContractError(f"{sources.holdout_uri} is not the manifest's (digest differs); prepare the data again.")
    start = _unseen_from(pipeline, [challenger, *([rival] if rival else [])])
    return scores.score(path, pipeline, challenger.model, rival.model if rival else None, start)


def _unseen_from(pipeline: Pipeline, models: list[Candidate]) -> datetime:
    """From when on no model has seen a row of the holdout: later than anything that they have seen, and the embargo."""
    if pipeline.data.salt is not None:
        # A group stays in its part for ever, and both are of this very split: `schema_problems`.
        return datetime.min.replace(tzinfo=UTC)
    return max(model.seen_until for model in models) + timedelta(minutes=pipeline.data.embargo_minutes)


def _last(scored: Scores) -> int:
    return int(scored.minutes[-1]) if len(scored.minutes) else 0


def _split(targets: list[Target]) -> tuple[list[str], list[str]]:
    return [t.name for t in targets if t.counted], [t.name for t in targets if not t.counted]
