"""The model in service, as a scorer holds it: follows the pointer, switches between invocations only and as a whole.

A new champion that does not load never replaces one that works: the old one serves on and says so. Loading is all
there is here; what a model is asked, and where its answers go, is `score`'s business.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ratchet import pointer
from ratchet.catalog import Pipeline, load
from ratchet.disk import named_when_full
from ratchet.errors import BadBundle, ContractError, NoChampion, RatchetError
from ratchet.instants import parse_instant
from ratchet.keys import Keys
from ratchet.pointer import Pointer
from ratchet.serving import session
from ratchet.serving.bundle import read_bundle
from ratchet.serving.session import Model
from ratchet.store import Reader

BLOCK = 1 << 20
RETRY_SECONDS = 60
"""How long a refused version is not fetched again; its repair, say an object restored, need not move the pointer."""


@dataclass(frozen=True)
class Champion:
    """A loaded model with the version of the pointer that named it; `fault` says why a newer one does not serve."""

    model: Model
    pointer: Pointer
    etag: str
    fault: str | None = None


@dataclass(frozen=True)
class Refusal:
    """Why a version of the pointer does not serve; not the exception itself, whose traceback keeps the model alive."""

    etag: str
    error: type[ContractError]
    reason: str
    until: float


class Follower:
    """One pipeline's champion in this process. Ask `current` once per invocation and use that answer throughout."""

    def __init__(
        self,
        pipeline: Pipeline,
        clock: Callable[[], float] = time.monotonic,
        fits: Callable[[Model], None] = lambda model: None,
    ) -> None:
        """Loads nothing yet. `clock` counts seconds; `fits` raises BadBundle for a model that cannot be asked here."""
        self.pipeline = pipeline
        self._fits = fits
        self._clock = clock
        self._loaded: Champion | None = None
        self._named: Pointer | None = None
        self._refusal: Refusal | None = None

    def current(self, store: Reader) -> Champion:
        """The champion, loaded anew when the pointer's tag changed.

        While a newer one does not load, the one before it, with the `fault`. Raises NoChampion where no pointer is.
        Without the one before: raises ForeignDocument for a pointer that is not Ratchet's, BadBundle for a bundle that
        is missing, altered or does not load, BadConfiguration for a full disk, Unavailable.
        """
        try:
            self._loaded = self._follow(store)
        except NoChampion:
            # The pointer was taken away: nothing is in service any more, whatever this process still holds.
            self._loaded = None
            raise
        except RatchetError as error:
            if self._loaded is None:
                raise
            return replace(self._loaded, fault=f"{type(error).__name__}: {error}")
        return self._loaded

    def _follow(self, store: Reader) -> Champion:
        named, etag = _read(store, self.pipeline.keys)
        before, self._named = self._named, named
        if self._loaded and self._loaded.etag == etag:
            return self._loaded
        if before and before.seq not in (named.seq, named.previous_seq):
            # Idle while the pointer moved more than once: what it holds is not the one before, and perhaps a model that
            # was taken out of service.
            self._loaded = None
        if self._refusal and self._refusal.etag == etag and self._clock() < self._refusal.until:
            raise self._refusal.error(self._refusal.reason)
        try:
            model = _load(store, self.pipeline, named)
            self._fits(model)
            return Champion(model, named, etag)
        except ContractError as error:
            self._refusal = Refusal(etag, type(error), str(error), self._clock() + RETRY_SECONDS)
            raise


@cache
def follower(pipeline: str) -> Follower:
    """This process's hold on the champion of the pipeline of that name. Raises UnknownPipeline."""
    return Follower(load(pipeline))


def age_hours(champion: Champion, now: datetime) -> float:
    """Hours since the instant of the run that trained the champion."""
    return (now - parse_instant(champion.pointer.run_ts)) / timedelta(hours=1)


def _read(store: Reader, keys: Keys) -> tuple[Pointer, str]:
    found = pointer.read(store, keys)
    if found is None:
        raise NoChampion(f"{keys.pointer()} does not exist: no model was promoted yet; run the pipeline first.")
    return found


def _load(store: Reader, pipeline: Pipeline, named: Pointer) -> Model:
    """The pointer's bundle: fetched, its digest compared, unpacked into a folder of its own, tried once."""
    with named_when_full("ScoreFunction"), TemporaryDirectory() as folder:
        archive = Path(folder, "model.tar.gz")
        if store.download(store.key_of(named.model_uri), archive) is None:
            raise BadBundle(f"{named.model_uri}, which the pointer names, does not exist; roll back.")
        if _digest(archive) != named.sha256:
            raise BadBundle(f"{named.model_uri} is not what was promoted: its SHA-256 differs; roll back.")
        # The session keeps all it needs in memory, so the folder goes at once.
        model = session.load(read_bundle(archive, Path(folder, "bundle"), pipeline.name))
    _check(model, pipeline, named)
    return model


def _check(model: Model, pipeline: Pipeline, named: Pointer) -> None:
    """Whether the model is the pointer's and answers as the pipeline declares; its first run is also its slowest."""
    if model.run_ts != named.run_ts:
        raise BadBundle(f"{named.model_uri} holds the model of run {model.run_ts}, not {named.run_ts}; roll back.")
    declared = sum(pipeline.data.features.values()), set(pipeline.data.targets)
    if (model.width, set(model.targets)) != declared:
        told = f"{model.width} inputs into {', '.join(model.targets)}"
        raise BadBundle(f"{named.model_uri} makes {told}, which is not what pipeline.yaml declares; roll back.")
    answer: Any = model.predict(np.zeros((1, model.width), np.float32))
    if not np.isfinite(answer).all():
        raise BadBundle(f"{named.model_uri} answers zeros with {answer[0].tolist()}; roll back.")


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
