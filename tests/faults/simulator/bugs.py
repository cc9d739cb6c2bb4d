"""Known bugs, planted one at a time into the product's own code: the simulator must find every one of them."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from dataclasses import replace as changed
from functools import partial
from typing import Any
from unittest import mock

from ratchet import claim, evaluate, lease, pointer, retention, training
from ratchet.evaluation import ledger
from ratchet.extraction import extract, landing, reconcile
from ratchet.extraction.progress import Progress
from ratchet.extraction.source import instant_of
from ratchet.instants import iso
from ratchet.serving import slots
from ratchet.serving.champion import Follower
from ratchet.store import Ambiguous, ObjectStore, PreconditionFailed, encode
from ratchet.tables import prepare

from tests.faults.simulator.functions import module
from tests.faults.simulator.signed_bugs import SIGNED_BUGS

Plant = Callable[[], AbstractContextManager[Any]]


def _overwrite(store: ObjectStore, key: str, body: bytes, *etag: str, **options: Any) -> str:
    """A write without its condition."""
    return store.put(key, body, tags=options.get("tags"))


def _believed(store: ObjectStore, key: str, body: bytes, etag: str, **options: Any) -> str | None:
    """A conditional write that takes a lost answer for a success."""
    try:
        return store.put(key, body, if_match=etag)
    except Ambiguous:
        return "unknown"
    except PreconditionFailed:
        return None


class _Careless:
    """`Versions` that overwrites whatever it finds."""

    def __init__(self, store: ObjectStore, *keys: str) -> None:
        self._store = store
        self.etags = {key: found.etag if (found := store.head(key)) else None for key in keys}

    def put(self, key: str, body: bytes, **options: Any) -> str:
        return self._store.put(key, body, **options)

    def upload(self, path: Any, key: str, **options: Any) -> str:
        return self._store.upload(path, key, **options)


def _history_last(store: Any, keys: Any, wish: Any, *, champion_etag: Any, token: Any, now: str) -> Any:
    found = pointer.read(store, keys)
    champion = found[0] if found else None
    standing = champion.token if champion else 0
    seq = (champion.seq if champion else 0) + 1
    entry = pointer._entry(wish, champion, seq, standing if token is None else token, now)
    body = encode(asdict(entry.pointer))
    create = pointer.create(store, keys.pointer(), body) if champion_etag is None else None
    if not (create or pointer.replace(store, keys.pointer(), body, champion_etag)):
        raise pointer.ChampionMoved("moved")
    pointer.create(store, keys.history(seq), encode({**asdict(entry.pointer), "who": entry.who, "why": entry.why}))
    return entry.pointer


@contextmanager
def _bundle_last() -> Iterator[None]:
    """The bundle is copied to the run's own key only once the pointer names it."""

    def confirm(store: Any, jobs: Any, pipeline: Any, run_ts: str, name: str, error: Any, folder: Any) -> Any:
        confirmed = real_confirm(store, jobs, pipeline, run_ts, name, error, folder)
        return {**confirmed, "bundle_uri": jobs.find(name).output_uri} if confirmed["bundle_uri"] else confirmed

    def promote(store: Any, keys: Any, clock: Any, wish: Any, *, execution: str, token: int, champion_etag: Any) -> Any:
        output = store.get(store.key_of(wish.model_uri))
        named = changed(wish, model_uri=store.uri(keys.model(wish.run_ts)))
        moved = pointer.move(store, keys, named, champion_etag=champion_etag, token=token, now=iso(clock()))
        store.put(keys.model(wish.run_ts), output.body, tags=retention.KEEPS)
        return moved

    real_confirm = training.confirm
    patched = [
        mock.patch.dict(vars(module("confirm_training")), confirm=confirm),
        mock.patch.dict(vars(module("promote")), promote=promote),
        mock.patch.object(training, "create", return_value=None),
        mock.patch.object(training, "_digest", return_value=""),
    ]
    with patched[0], patched[1], patched[2], patched[3]:
        yield


def _any_verdict(store: Any, pipeline: Any, request: Any, champion: Any) -> Any:
    """An evaluation is adopted whatever stands now, and speaks as if it had been made against that."""
    key = pipeline.keys.evaluation(request.run_ts)
    stored = store.get(key)
    if stored is None or champion is None:
        return None
    evaluation = json.loads(stored.body)
    evaluation["champion"] = {"etag": champion[1], "run_ts": champion[0].run_ts}
    store.put(key, encode(evaluation))
    return evaluation


def _watermark_first(self: Progress, batches: Any, **moved: Any) -> None:
    keys = [batch.columns[self.table.key] for batch in batches.values() if len(batch.columns[self.table.key])]
    if keys:
        self.move(watermark=iso(max(instant_of(values.max()) for values in keys)), **moved)
    return _land(self, batches, **moved)


_land = Progress.land


def _half_way(self: Follower, store: Any) -> Any:
    """The new pointer is taken over before the new model is there."""
    found = pointer.read(store, self.pipeline.keys)
    if found and self._loaded and self._loaded.etag != found[1]:
        loaded, self._loaded = self._loaded, changed(self._loaded, pointer=found[0], etag=found[1])
        self._loaded = changed(self._loaded, model=_follow(changed_follower(self, loaded), store).model)
        return self._loaded
    return _follow(self, store)


_follow = Follower._follow


def changed_follower(follower: Follower, loaded: Any) -> Follower:
    """A follower that still holds what was loaded before."""
    other = Follower(follower.pipeline)
    other._loaded = loaded
    return other


def _first_empty_page(source: Any, name: str, table: Any, **options: Any) -> Any:
    options.pop("filled", None)
    while True:
        page = source.page(name, table, **options)
        yield page
        if page.cursor is None:
            return
        options["after"] = page.cursor


def _give_back(store: Any, keys: Any, *, execution: str) -> bool:
    found = lease.read(store, keys)
    if found is None or found[0].state == "free":
        return False
    return lease._write(store, keys, changed(found[0], state="free"), found[1])


def _object(owner: Any, name: str, bug: Any) -> Plant:
    return partial(mock.patch.object, owner, name, bug)


BUGS: dict[str, Plant] = {
    "promotes without If-Match": _object(pointer, "replace", _overwrite),
    "takes a lost answer for a success": _object(pointer, "replace", _believed),
    "a lease without a fencing token": _object(lease, "check", lambda *arguments, **options: None),
    "the history after the pointer": _object(pointer, "move", _history_last),
    "the pointer before the bundle": _bundle_last,
    "a verdict used again after the champion moved": _object(evaluate, "_finished", _any_verdict),
    "the watermark before the data": _object(Progress, "land", _watermark_first),
    "a scorer that reloads half-way": _object(Follower, "_follow", _half_way),
    "landing without If-Match": _object(landing, "replace", _overwrite),
    "a slot written twice": _object(slots, "create", _overwrite),
    "a held lease taken": _object(lease, "_expired", lambda *arguments: True),
    "another's lease given back": _object(lease, "give_back", _give_back),
    "a claim without If-None-Match": _object(claim, "create", _overwrite),
    "prepared data overwritten": _object(prepare, "Versions", _Careless),
    "evidence overwritten": _object(evaluate, "Versions", _Careless),
    "a champion that expires": _object(retention, "retag", lambda *arguments: None),
    "the ledger of tests without If-Match": _object(ledger, "replace", _overwrite),
    "a job without a bundle adopted for ever": _object(training, "_usable", lambda *arguments: True),
    "an empty page taken for the end": lambda: _both(extract, reconcile, "pages", _first_empty_page),
    **SIGNED_BUGS,
    "no bug": nullcontext,
}


@contextmanager
def _both(one: Any, other: Any, name: str, bug: Any) -> Iterator[None]:
    with mock.patch.object(one, name, bug), mock.patch.object(other, name, bug):
        yield
