"""Promotion and rollback: the two ways the pointer moves, with everything that has to hold before and after."""

from collections.abc import Callable
from itertools import islice

from ratchet import lease, pointer, retention
from ratchet.errors import BadBundle, BadInput, UnknownRun
from ratchet.instants import Clock, iso
from ratchet.keys import Keys
from ratchet.pointer import Entry, Move, Pointer
from ratchet.store import ObjectStore

Verify = Callable[[Pointer], None]
"""Port: loads a bundle as a scorer would and runs its reference rows. Raises BadBundle."""


def promote(
    store: ObjectStore,
    keys: Keys,
    clock: Clock,
    wish: Move,
    *,
    execution: str,
    token: int,
    champion_etag: str | None,
) -> Pointer:
    """Puts a judged challenger into service. Raises LeaseLost, ChampionMoved, BadBundle when objects are missing."""
    for uri in (wish.model_uri, wish.evaluation_uri):
        if store.head(store.key_of(uri)) is None:
            raise BadBundle(f"{uri} is missing; a model without its bundle and evidence is not promoted.")
    lease.check(store, keys, execution=execution, token=token)
    # Before the pointer moves: a champion whose bundle could expire would break the pointer's promise.
    retention.retag(store, keys, wish.run_ts, retention.KEEPS)
    moved = pointer.move(store, keys, wish, champion_etag=champion_etag, token=token, now=iso(clock()))
    _expire_old_champions(store, keys)
    return moved


def rollback(
    store: ObjectStore, keys: Keys, clock: Clock, verify: Verify, *, to: str | None, who: str, why: str
) -> tuple[Pointer, Pointer]:
    """Puts an earlier champion back into service, the one before the present model unless `to` names a run.

    Returns the pointer before and after. Raises BadInput without a reason, UnknownRun, BadBundle when the older bundle
    does not load any more; the pointer has not moved then.
    """
    if not why.strip():
        raise BadInput('A rollback needs a reason: --why "what went wrong".')
    found = pointer.read(store, keys)
    if found is None:
        raise UnknownRun("No model was ever promoted, so there is nothing to roll back to.")
    champion, etag = found
    moves = list(pointer.history(store, keys))
    target = _earlier(moves, champion) if to is None else _named(moves, to)
    if target.run_ts == champion.run_ts:
        raise BadInput(f"{champion.run_ts} is in service already.")
    verify(target)
    wish = Move(
        run_ts=target.run_ts,
        model_uri=target.model_uri,
        sha256=target.sha256,
        job_name=target.job_name,
        train_uri=target.train_uri,
        evaluation_uri=target.evaluation_uri,
        kind="rollback",
        who=who,
        why=why.strip(),
    )
    retention.retag(store, keys, target.run_ts, retention.KEEPS)
    return champion, pointer.move(store, keys, wish, champion_etag=etag, token=None, now=iso(clock()))


def _earlier(moves: list[Entry], champion: Pointer) -> Pointer:
    """The champion that stood when the present model was first promoted, so that two rollbacks go back two models."""
    first = next(move for move in reversed(moves) if move.pointer.run_ts == champion.run_ts)
    if first.pointer.previous is None:
        raise UnknownRun(f"{champion.run_ts} is the first model; there is none before it.")
    return _named(moves, first.pointer.previous)


def _named(moves: list[Entry], run_ts: str) -> Pointer:
    for move in moves:
        if move.pointer.run_ts == run_ts:
            return move.pointer
    raise UnknownRun(f"{run_ts} was never in service; `ratchet history` names the runs that were.")


def _expire_old_champions(store: ObjectStore, keys: Keys) -> None:
    runs: dict[str, None] = {}
    for entry in islice(pointer.history(store, keys), 4 * pointer.KEPT_CHAMPIONS):
        runs.setdefault(entry.pointer.run_ts)
    for run_ts in list(runs)[pointer.KEPT_CHAMPIONS :]:
        retention.retag(store, keys, run_ts, retention.EXPIRES)
