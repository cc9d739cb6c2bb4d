"""Promotion and rollback: the two ways the pointer moves, with everything that has to hold before and after."""

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from ratchet import lease, pointer, retention
from ratchet.errors import BadBundle, BadInput, ChampionMoved, ContractError, ForeignDocument, UnknownRun
from ratchet.instants import Clock, iso
from ratchet.keys import Keys
from ratchet.pointer import Entry, Move, Pointer
from ratchet.store import Document, ObjectStore, decode

STAYING = ("run_ts", "model_uri", "sha256", "job_name", "train_uri", "evaluation_uri")
"""What a rollback takes over from the move that first put the model into service."""
Verify = Callable[[Pointer], None]
"""Port: loads a bundle as a scorer would and runs its reference rows. Raises BadBundle."""


def wish_of(event: Mapping[str, Any]) -> Move:
    """The promotion that a step's event asks for (docs/contracts.md, `promote`)."""
    told = {name: event[name] for name in ("run_ts", "sha256", "job_name", "train_uri", "evaluation_uri")}
    return Move(model_uri=event["bundle_uri"], kind="promote", who=event["execution"], why=event["reason"], **told)


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
    """Puts a judged challenger into service.

    Raises BadBundle when bundle or evidence is missing, ContractError when the evidence does not say to promote these
    very bytes against that very champion, LeaseLost, ChampionMoved.
    """
    check_evidence(store, wish, champion_etag)
    lease.check(store, keys, execution=execution, token=token)
    # Before the pointer moves: a champion whose bundle could expire would break the pointer's promise.
    retention.retag(store, retention.needed(keys, wish.run_ts, wish.train_uri), retention.KEEPS)
    moved = pointer.move(store, keys, wish, champion_etag=champion_etag, token=token, now=iso(clock()))
    _expire_old_champions(store, keys)
    return moved


def rollback(
    store: ObjectStore,
    keys: Keys,
    clock: Clock,
    verify: Verify,
    *,
    to: str | None,
    who: str,
    why: str,
    of: str | None = None,
) -> tuple[Pointer, Pointer]:
    """Puts an earlier champion back into service, the one before the present model unless `to` names a run.

    `of` is the run that is to be taken back: with it, repeating a finished rollback changes nothing, where it would go
    back one model more without. Returns the pointer before and after. Raises BadInput without a reason, UnknownRun,
    ChampionMoved when another model than `of` is in service, BadBundle when the older bundle does not load any more;
    the pointer has not moved then.
    """
    if not why.strip():
        raise BadInput('A rollback needs a reason: --why "what went wrong".')
    found = pointer.read(store, keys)
    if found is None:
        raise UnknownRun("No model was ever promoted, so there is nothing to roll back to.")
    champion, etag = found
    moves = list(pointer.history(store, keys))
    if of and champion.run_ts != of:
        return _repeated(store, keys, moves, of=of, who=who, why=why.strip())
    target = _earlier(moves, champion) if to is None else _named(moves, to)
    if target.run_ts == champion.run_ts:
        raise BadInput(f"{champion.run_ts} is in service already.")
    verify(target)
    wish = Move(kind="rollback", who=who, why=why.strip(), **{name: getattr(target, name) for name in STAYING})
    retention.keep(store, keys, target)
    moved = pointer.move(store, keys, wish, champion_etag=etag, token=None, now=iso(clock()))
    # Again: the promotion before may have been expiring old champions meanwhile, this one among them.
    retention.keep(store, keys, moved)
    return champion, moved


def _repeated(
    store: ObjectStore, keys: Keys, moves: list[Entry], *, of: str, who: str, why: str
) -> tuple[Pointer, Pointer]:
    """The last move, if it is this very rollback, whose answer was lost."""
    last = moves[0]
    if (last.pointer.move, last.pointer.previous, last.who, last.why) != ("rollback", of, who, why):
        raise ChampionMoved(f"{last.pointer.run_ts} is in service, not {of}; see `ratchet history`, then decide again.")
    retention.keep(store, keys, last.pointer)
    return moves[1].pointer, last.pointer


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


def check_evidence(store: ObjectStore, wish: Move, champion_etag: str | None) -> Document:
    """The evaluation, which speaks for this promotion alone. Raises BadBundle, ContractError, ForeignDocument."""
    bundle, stored = store.head(store.key_of(wish.model_uri)), store.get(store.key_of(wish.evaluation_uri))
    if bundle is None or stored is None:
        uri = wish.evaluation_uri if bundle else wish.model_uri
        raise BadBundle(f"{uri} is missing; a model without its bundle and evidence is not promoted.")
    wanted = {
        **{"verdict": "promote", "run_ts": wish.run_ts, "bundle_uri": wish.model_uri, "etag": bundle.etag},
        **{"sha256": wish.sha256, "train_uri": wish.train_uri, "champion": champion_etag},
    }
    evaluation = decode(stored, wish.evaluation_uri)
    said = _said(evaluation, wish.evaluation_uri)
    if other := [name for name in wanted if said[name] != wanted[name]]:
        raise ContractError(f"{wish.evaluation_uri} does not speak for this promotion: its {', '.join(other)} differ.")
    return evaluation


def _said(evaluation: Document, uri: str) -> Document:
    try:
        challenger, champion = evaluation["challenger"], evaluation["champion"]
        facts = {name: challenger[name] for name in ("run_ts", "bundle_uri", "etag", "sha256")}
        judged = {"verdict": evaluation["verdict"], "champion": champion["etag"] if champion else None}
        return {**facts, **judged, "train_uri": evaluation["lineage"]["train_uri"]}
    except (KeyError, TypeError) as error:
        raise ForeignDocument(f"{uri} is not an evaluation of Ratchet's; evaluate again.") from error


def _expire_old_champions(store: ObjectStore, keys: Keys) -> None:
    """Lets go of what none of the last champions needs: several may have been trained on the same data."""
    needs: dict[str, set[str]] = {}
    for entry in islice(pointer.history(store, keys), 4 * pointer.KEPT_CHAMPIONS):
        champion = entry.pointer
        needs.setdefault(champion.run_ts, retention.needed(keys, champion.run_ts, champion.train_uri))
    last, older = list(needs.values())[: pointer.KEPT_CHAMPIONS], list(needs.values())[pointer.KEPT_CHAMPIONS :]
    retention.retag(store, set().union(*older) - set().union(*last), retention.EXPIRES)
    present = pointer.read(store, keys)
    if present and present[0].run_ts != next(iter(needs)):
        # A rollback came between, perhaps to the very model that was just let go.
        retention.keep(store, keys, present[0])
