"""The documents that decide who may write, with any of their values changed."""

from collections.abc import Callable
from dataclasses import asdict
from random import Random
from typing import Any

from ratchet import claim, lease, pointer
from ratchet.errors import ForeignDocument
from ratchet.extraction import watermark
from ratchet.keys import Keys

from tests.fakes import MemoryStore
from tests.faults.hostile import changes
from tests.faults.hostile.target import Target, name_of

KEYS = Keys("")
NOW = "2026-11-21T04:00:00Z"
MOVE = dict.fromkeys(
    ("model_uri", "run_ts", "job_name", "train_uri", "sha256", "previous", "evaluation_uri", "move"), "x"
)
READERS: list[tuple[str, dict[str, Any], Callable[[MemoryStore], object]]] = [
    (KEYS.lease(), asdict(lease.Lease("held", "a", "r", 1, NOW, NOW)), lambda store: lease.read(store, KEYS)),
    (
        KEYS.claim("r"),
        asdict(claim.Claim("r", "a", 1, "running", None, NOW, None, True)),
        lambda store: claim.read(store, KEYS, "r"),
    ),
    (
        KEYS.watermark("t"),
        asdict(watermark.Watermark("t", NOW, 1, 1, {"2026-11-21": watermark.Day(1, 0, "e")})),
        lambda store: watermark.read(store, KEYS, "t"),
    ),
    (
        KEYS.pointer(),
        {**MOVE, "updated_at": NOW, "seq": 1, "previous_seq": None, "token": 1},
        lambda store: pointer.read(store, KEYS),
    ),
]


def made(rng: Random) -> bytes:
    """A document, after a byte that says which of them it is."""
    which = rng.randrange(len(READERS))
    return bytes([which]) + changes.dumps(changes.of_json(rng, READERS[which][1]))


def check(data: bytes) -> str:
    """Reads it."""
    key, _, read = READERS[data[0]]
    store = MemoryStore()
    store.put(key, data[1:])
    try:
        read(store)
    except ForeignDocument as error:
        return name_of(error)
    return "document"


STORED = Target(made, check)
