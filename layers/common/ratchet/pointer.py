"""The pointer: the model in service, moved by compare-and-swap against the very champion that was judged.

Order of a move: bundle, evidence, history entry, pointer. A history entry is an intent until the pointer's chain
(`seq`, then `previous_seq` of each entry) names it, so an entry that a dead writer left behind needs no repair.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields

from ratchet.errors import ChampionMoved, ForeignDocument, LeaseLost
from ratchet.keys import Keys
from ratchet.records import record
from ratchet.store import Document, ObjectStore, Reader, create, decode, encode, replace

KEPT_CHAMPIONS = 5
"""How many champions, the present one included, keep their objects for a rollback."""


@dataclass(frozen=True)
class Pointer:
    """`model/latest.json`; `previous` and `previous_seq` are null in the first one, `job_name` for a forgotten job."""

    model_uri: str
    run_ts: str
    job_name: str | None
    train_uri: str
    updated_at: str
    sha256: str
    seq: int
    previous: str | None
    previous_seq: int | None
    evaluation_uri: str
    token: int
    move: str


@dataclass(frozen=True)
class Entry:
    """`model/history/<seq>.json`: the pointer it intends, who moves it and why."""

    pointer: Pointer
    who: str
    why: str


@dataclass(frozen=True)
class Move:
    """A wish to put a run's bundle into service."""

    run_ts: str
    model_uri: str
    sha256: str
    job_name: str | None
    train_uri: str
    evaluation_uri: str
    kind: str
    who: str
    why: str


def read(store: Reader, keys: Keys) -> tuple[Pointer, str] | None:
    """The pointer and its tag, or None before the first promotion. Raises ForeignDocument."""
    stored = store.get(keys.pointer())
    if stored is None:
        return None
    return _pointer(decode(stored, keys.pointer()), keys.pointer()), stored.etag


def move(
    store: ObjectStore, keys: Keys, wish: Move, *, champion_etag: str | None, token: int | None, now: str
) -> Pointer:
    """Moves the pointer if it still is the version `champion_etag` (None: there is none yet). Returns the new pointer.

    Repeating a finished move changes nothing. `token` is the lease's; a person's move has none and keeps the standing
    one. Raises ChampionMoved when the pointer is another version, LeaseLost when the token is behind the pointer's.
    """
    found = read(store, keys)
    champion = found[0] if found else None
    if champion and (champion.run_ts, champion.sha256, champion.move) == (wish.run_ts, wish.sha256, wish.kind):
        return champion
    if (found[1] if found else None) != champion_etag:
        raise ChampionMoved(f"{keys.pointer()} moved since {wish.run_ts} was judged; judge it again.")
    standing = champion.token if champion else 0
    if token is not None and token < standing:
        raise LeaseLost(f"The pointer carries token {standing}, this run has {token}; a later run moved it.")
    entry = _intend(store, keys, wish, champion, standing if token is None else token, now)
    body = encode(asdict(entry.pointer))
    if champion_etag is None:
        etag = create(store, keys.pointer(), body)
    else:
        etag = replace(store, keys.pointer(), body, champion_etag)
    if etag is None:
        raise ChampionMoved(f"{keys.pointer()} moved while {wish.run_ts} was being promoted; judge it again.")
    return entry.pointer


def history(store: ObjectStore, keys: Keys) -> Iterator[Entry]:
    """Every move that took effect, the newest first: the chain from the pointer back."""
    found = read(store, keys)
    seq = found[0].seq if found else None
    while seq is not None:
        entry = read_entry(store, keys, seq)
        if entry is None:
            raise ForeignDocument(f"{keys.history(seq)} is missing, though the pointer's chain names it.")
        yield entry
        seq = entry.pointer.previous_seq


def read_entry(store: ObjectStore, keys: Keys, seq: int) -> Entry | None:
    """One history entry, whether it took effect or not."""
    key = keys.history(seq)
    stored = store.get(key)
    if stored is None:
        return None
    document = decode(stored, key)
    entry = {name: document[name] for name in ("who", "why") if name in document}
    return record(Entry, {"pointer": _pointer(document, key), **entry}, key)


def _intend(store: ObjectStore, keys: Keys, wish: Move, champion: Pointer | None, token: int, now: str) -> Entry:
    """Writes the intent under the first free number, or finds the one that an earlier attempt of this move wrote."""
    seq = (champion.seq if champion else 0) + 1
    while True:
        entry = _entry(wish, champion, seq, token, now)
        if create(store, keys.history(seq), encode({**asdict(entry.pointer), "who": entry.who, "why": entry.why})):
            return entry
        standing = read_entry(store, keys, seq)
        if standing and _same(standing, entry):
            return standing
        seq += 1


def _entry(wish: Move, champion: Pointer | None, seq: int, token: int, now: str) -> Entry:
    pointer = Pointer(
        model_uri=wish.model_uri,
        run_ts=wish.run_ts,
        job_name=wish.job_name,
        train_uri=wish.train_uri,
        updated_at=now,
        sha256=wish.sha256,
        seq=seq,
        previous=champion.run_ts if champion else None,
        previous_seq=champion.seq if champion else None,
        evaluation_uri=wish.evaluation_uri,
        token=token,
        move=wish.kind,
    )
    return Entry(pointer, wish.who, wish.why)


def _same(standing: Entry, entry: Entry) -> bool:
    """Whether a standing intent is this very move, written by an earlier attempt: all but the time agrees."""
    ignored = {"updated_at": entry.pointer.updated_at}
    return {**asdict(standing.pointer), **ignored} == asdict(entry.pointer) and standing.who == entry.who


def _pointer(document: Document, key: str) -> Pointer:
    # Other fields beside these are for readers of their own.
    known = {field.name: document[field.name] for field in fields(Pointer) if field.name in document}
    return record(Pointer, known, key)
