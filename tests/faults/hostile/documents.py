"""The documents that decide who may write and what is prepared, with any of their values changed."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from ratchet import claim, lease, pointer
from ratchet.errors import ForeignDocument
from ratchet.extraction import watermark
from ratchet.extraction.sufficiency import check_sufficiency
from ratchet.extraction.watermark import Day, Watermark
from ratchet.files.part import Part
from ratchet.instants import iso, run_name
from ratchet.keys import Keys

from tests import filed
from tests.fakes import Clock, Executions, MemoryStore
from tests.faults.hostile import changes
from tests.faults.hostile.target import Target, name_of

KEYS = Keys("")
NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)
WHEN, RUN = iso(NOW), run_name(NOW)
MOVE = dict.fromkeys(
    ("model_uri", "run_ts", "job_name", "train_uri", "sha256", "previous", "evaluation_uri", "move"), "x"
)


def take_lease(store: MemoryStore) -> None:
    lease.take(store, KEYS, Executions(), Clock(NOW), execution="b", run_ts=RUN, ttl=timedelta(hours=4))


def resume(store: MemoryStore) -> None:
    asked = claim.Request(instant=NOW, resume=True)
    claim.take(store, KEYS, Executions(), Clock(NOW), request=asked, execution="b", started=NOW)


def read_mark(store: MemoryStore) -> None:
    mark, _ = watermark.read(store, KEYS, "t")
    assert mark.instant is None or mark.instant.tzinfo
    mark.summary()


SENSORS, METERS = filed.sensors(), filed.meters()
DAY, FILE = "dt=2026-11-20", "file=0123456789abcdef"


def survey_days(store: MemoryStore) -> None:
    check_sufficiency(store, SENSORS, RUN, None, scheduled=True)


def survey_files(store: MemoryStore) -> None:
    check_sufficiency(store, METERS, RUN, None, scheduled=True)


def part_of(name: str, about: dict[str, Any]) -> dict[str, Any]:
    return asdict(Part(name, '"e"', "s", 24, 48, {"another sensor": 1}, {"time is no instant": 1}, about))


USES: list[tuple[str, dict[str, Any], Callable[[MemoryStore], object]]] = [
    (KEYS.lease(), asdict(lease.Lease("held", "a", "r", 1, WHEN, WHEN)), take_lease),
    (KEYS.claim(RUN), asdict(claim.Claim(RUN, "a", 1, "running", None, WHEN, None, True)), resume),
    (KEYS.watermark("t"), asdict(Watermark("t", WHEN, 1, 1, {"2026-11-21": Day(1, 0, "e")})), read_mark),
    (
        KEYS.pointer(),
        {**MOVE, "updated_at": WHEN, "seq": 1, "previous_seq": None, "token": 1},
        lambda store: list(pointer.history(store, KEYS)),
    ),
    (
        SENSORS.keys.part_document("hours", DAY),
        part_of(DAY, {"machines": ["z1/m1"], "sensors": ["temperature"]}),
        survey_days,
    ),
    (
        METERS.keys.part_document("readings", FILE),
        part_of(FILE, {"file": "energy/incoming/a.csv", "step_minutes": 60, "days": 30}),
        survey_files,
    ),
]
"""Where a document lies, what it is, and a use of it that looks at all it says."""


def made(rng: Random) -> bytes:
    """A document, after a byte that says which of them it is."""
    which = rng.randrange(len(USES))
    return bytes([which]) + changes.dumps(changes.of_json(rng, USES[which][1]))


def check(data: bytes) -> str:
    """Makes use of it."""
    key, _, use = USES[data[0]]
    store = MemoryStore()
    store.put(key, data[1:])
    try:
        use(store)
    except ForeignDocument as error:
        return name_of(error)
    return "document"


STORED = Target(made, check)
