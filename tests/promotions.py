"""Promotions for tests: small real bundles, sound and corrupt, and a pointer that remembers when it moved to which."""

import hashlib
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ratchet import pointer
from ratchet.instants import iso, run_name, utc_now
from ratchet.pointer import Move
from ratchet.store import ObjectStore

from tests.bundles import graph, packed, returns

BASE = datetime(2001, 1, 1, tzinfo=UTC)
"""The instant of the first run, older than those of any other test; each next one is an hour later."""
Pack = Callable[..., bytes]
Corruption = Callable[[Pack], tuple[bytes | None, str]]


def named(archive: bytes) -> tuple[bytes, str]:
    """An archive that the pointer knows by its SHA-256."""
    return archive, hashlib.sha256(archive).hexdigest()


def truncated(pack: Pack) -> tuple[bytes, str]:
    """Half of an archive."""
    sound = pack()
    return named(sound[: len(sound) // 2])


def altered(pack: Pack) -> tuple[bytes, str]:
    """An archive with another byte than the one that was promoted."""
    sound, digest = named(pack())
    return sound[:-20] + bytes([sound[-20] ^ 1]) + sound[-19:], digest


def missing(pack: Pack) -> tuple[None, str]:
    """No archive where one was promoted."""
    return None, named(pack())[1]


def other(**change: Any) -> Corruption:
    """An archive that is whole, and of something else."""
    return lambda pack: named(pack(**change))


CORRUPTIONS: dict[str, tuple[Corruption, str]] = {
    "a truncated archive": (truncated, "cannot be read to its end"),
    "an altered byte": (altered, "SHA-256 differs"),
    "no graph": (other(model=b"no graph"), "does not load"),
    "weights that are no numbers": (other(model=graph(scale=math.nan)), "answers zeros with"),
    "another run's bundle": (other(run=run_name(BASE)), "holds the model of run"),
    "no object": (missing, "does not exist"),
}
"""What becomes of a bundle, its object (None: there is none) and the digest in the pointer; what a scorer says."""


@dataclass(frozen=True)
class Release:
    """A bundle to point at; its model multiplies the first inputs by `scale`, which no other model does."""

    wish: Move
    scale: int
    fault: str | None


@dataclass(frozen=True)
class Moved:
    """A move of the pointer, which took effect between two instants of the monotonic clock; `serving` is its release,
    or the last sound one where that is corrupt.
    """

    release: Release
    serving: Release
    began: float
    ended: float


@dataclass
class Promotions:
    """Moves the pointer of `returns` by the product's own compare-and-swap."""

    store: ObjectStore
    folder: Path
    moves: list[Moved] = field(default_factory=list)
    made: int = 0

    def new(self, fault: str | None = None) -> Moved:
        """To a new bundle, a corrupt one where a fault is named."""
        run, keys = run_name(BASE + self.made * timedelta(hours=1)), returns().keys
        self.made += 1
        scale, folder = self.made, self.folder / run

        def pack(**change: Any) -> bytes:
            return packed(folder, **{"run": run, "model": graph(scale=scale), **change})

        archive, digest = CORRUPTIONS[fault][0](pack) if fault else named(pack())
        if archive is not None:
            self.store.put(keys.model(run), archive)
        uris = {"model_uri": keys.model(run), "train_uri": keys.train(run), "evaluation_uri": keys.evaluation(run)}
        facts = {"run_ts": run, "sha256": digest, "job_name": None, "kind": "promote", "who": "gate", "why": "better"}
        return self._to(
            Release(Move(**facts, **{name: self.store.uri(key) for name, key in uris.items()}), scale, fault)
        )

    def back(self, rng: random.Random) -> Moved:
        """To one of the sound bundles of before."""
        known = {move.serving.scale: move.serving for move in self.moves}
        chosen = known[rng.choice([scale for scale in known if scale != self.moves[-1].release.scale])]
        return self._to(replace(chosen, wish=replace(chosen.wish, kind="rollback", who="a person", why="it was worse")))

    def _to(self, release: Release) -> Moved:
        found, began = pointer.read(self.store, returns().keys), time.monotonic()
        etag, now = found[1] if found else None, iso(utc_now())
        pointer.move(self.store, returns().keys, release.wish, champion_etag=etag, token=None, now=now)
        serving = self.moves[-1].serving if release.fault else release
        self.moves.append(Moved(release, serving, began, time.monotonic()))
        return self.moves[-1]
