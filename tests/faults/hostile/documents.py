"""The documents that decide who may write and what is prepared, with any of their values changed."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from ratchet import claim, lease, pointer
from ratchet.endpoint.stage import stage
from ratchet.errors import BadBundle, ForeignDocument, NotRegistered
from ratchet.extraction import watermark
from ratchet.extraction.sufficiency import check_sufficiency
from ratchet.extraction.watermark import Day, Watermark
from ratchet.files.land import land
from ratchet.files.part import Part
from ratchet.instants import iso, run_name
from ratchet.keys import Keys
from ratchet.registry.approval import Approval
from ratchet.registry.package import name_of as file_of
from ratchet.tabular.feature_group import Ledger, write
from ratchet.tabular.kind import part_name

from tests import filed, signed
from tests.fake_sagemaker import Group
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


def decide_on(store: MemoryStore) -> None:
    """Somebody is asked about what is registered, approves it, and it is staged."""
    world = signed.World()
    arn = world.register().package_arn
    world.bucket.objects |= store.objects
    world.ask(arn)
    for _, message in world.people.messages:
        message.encode()
    world.approve(arn)
    given = (world.bucket, world.packages, world.hosts, signed.PIPELINE, world.event())
    staged = stage(*given, stack=signed.STACK, folder=Path())
    assert staged.status in {"staged", "not_approved"}


def settle(store: MemoryStore) -> None:
    """The same run asks again, a decision comes, and the time is over; nobody hears two decisions."""
    world = signed.World()
    arn = world.register().package_arn
    world.bucket.objects |= store.objects
    answers = [world.ask(arn, "second")]
    world.approve(arn)
    answers += [world.hear(arn), world.close(arn)]
    assert len({decision for _, decision in world.waiting.decisions()}) <= 1
    assert world.approval(arn).state in {"approved", "rejected", "expired"}
    assert set(answers) <= {"asked", "approved", "rejected", "expired", "late", "repeated", "unheard", "unknown"}


def survey_records(store: MemoryStore) -> None:
    check_sufficiency(store, CLICKS, RUN, None, scheduled=True)


def write_on(store: MemoryStore) -> None:
    """The records that the ledger does not tell of are written, and then it tells of all."""
    store.objects |= LANDED.objects
    group = Group()
    given = (store, group, CLICKS, part_name(RECORDS), Clock(NOW))
    written = write(*given, writer="one", out_of_time=lambda: False)
    assert written.busy or (written.done, written.records) == (True, PEOPLE)
    assert len(group.records) <= PEOPLE


CLICKS, RECORDS, PEOPLE = filed.clicks(), "adclick/datasets/a.csv", 3


def _landed() -> MemoryStore:
    store, rows = MemoryStore(), ("1,Ann,20,Female,Mobile,Top,News,Night,0", "2,Ann,21,,,,,,1", "3,Ann,22,,,,,,0")
    store.put(RECORDS, filed.impressions(*rows))
    land(store, store, CLICKS, part_name(RECORDS))
    return store


LANDED = _landed()
PART_OF_RECORDS = CLICKS.keys.part_document("records", part_name(RECORDS))
LEDGER = Ledger(Group().name, json.loads(LANDED.objects[PART_OF_RECORDS].body)["sources"], 1, False, "one", WHEN)
REGISTERED = signed.World().register()
ASKED = Approval(REGISTERED.package_arn, signed.RUN, "waiting", ["first"], WHEN, iso(NOW + timedelta(hours=1)))
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
    (PART_OF_RECORDS, json.loads(LANDED.objects[PART_OF_RECORDS].body), survey_records),
    (signed.KEYS.package(signed.RUN), asdict(REGISTERED), decide_on),
    (signed.KEYS.approval(file_of(REGISTERED.package_arn)), asdict(ASKED), settle),
    (CLICKS.keys.features(part_name(RECORDS)), asdict(LEDGER), write_on),
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
    except (ForeignDocument, NotRegistered, BadBundle) as error:
        return name_of(error)
    return "document"


STORED = Target(made, check)
