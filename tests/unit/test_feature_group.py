"""Every record of a part comes into the feature group once, whatever dies meanwhile, without what is personal."""

import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ratchet.catalog import Pipeline
from ratchet.errors import BadInput, ForeignDocument, Unavailable
from ratchet.files import land
from ratchet.sources import TabularFiles
from ratchet.tabular import feature_group
from ratchet.tabular.feature_group import Written, definitions, write
from ratchet.tabular.kind import part_name

from tests.fake_sagemaker import Group, Killed
from tests.fakes import NOW, Clock, MemoryStore
from tests.filed import clicks, impressions

KEY = "adclick/datasets/a.csv"
PART = part_name(KEY)
COUNT = 10
LINES = [
    f"{person},Planted Name{person},{20 + person},Female,Mobile,Top,News,Night,{person % 2}" for person in range(COUNT)
]
EVENT_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")
"""As Feature Store takes a text for an instant."""


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many batches as a large file has."""
    monkeypatch.setattr(feature_group, "AT_ONCE", 3)


@dataclass
class World:
    store: MemoryStore = field(default_factory=MemoryStore)
    group: Group = field(default_factory=Group)
    pipeline: Pipeline = field(default_factory=clicks)
    clock: Clock = field(default_factory=lambda: Clock(NOW))

    def land(self, *lines: str, key: str = KEY, **file: str) -> None:
        self.store.put(key, impressions(*lines, **file))
        land.land(self.store, self.store, self.pipeline, part_name(key))

    def write(self, out_of_time: Callable[[], bool] = lambda: False, part: str = PART, writer: str = "one") -> Written:
        given = (self.store, self.group, self.pipeline, part, self.clock)
        return write(*given, writer=writer, out_of_time=out_of_time)

    def until_done(self, out_of_time: Callable[[], bool] = lambda: True) -> Written:
        for _ in range(COUNT + 1):
            written = self.write(out_of_time)
            if written.done:
                return written
        raise AssertionError("It never comes to an end.")

    def ledger(self, part: str = PART) -> dict[str, object]:
        return dict(json.loads(self.store.objects[self.pipeline.keys.features(part)].body))

    def landed(self) -> list[str]:
        body = self.store.objects[self.pipeline.keys.part("records", PART)].body
        return list(pq.read_table(io.BytesIO(body))["record_id"].to_pylist())


@pytest.fixture
def world() -> World:
    made = World()
    made.land(*LINES)
    return made


def test_every_record_is_written_and_the_ledger_says_so(world: World) -> None:
    assert world.write() == Written(True, COUNT, world.group.name)
    assert sorted(world.group.records) == sorted(world.landed())
    assert world.group.puts == COUNT
    assert {name: world.ledger()[name] for name in ("done", "written")} == {"done": True, "written": COUNT}


def test_writing_again_changes_nothing(world: World) -> None:
    world.write()
    before = dict(world.store.objects)
    assert world.write() == Written(True, COUNT, world.group.name)
    assert (world.group.puts, world.store.objects) == (COUNT, before)


def test_the_same_file_again_changes_nothing(world: World) -> None:
    world.write()
    world.land(*LINES)
    assert world.write().done
    assert world.group.puts == COUNT


def test_a_record_is_texts_and_lacks_what_is_missing(world: World) -> None:
    world.land("7,Planted Name,,,Mobile,,,Night,1", key="adclick/datasets/b.csv")
    world.write(part=part_name("adclick/datasets/b.csv"))
    (record,) = world.group.records.values()
    assert len(record.pop("record_id")) == 32
    assert record == {
        "event_time": "2026-11-20T00:00:00Z", "id": "7", "device_type": "Mobile", "time_of_day": "Night", "click": "1",
    }  # fmt: skip


def test_no_personal_column_leaves_the_file(world: World) -> None:
    world.write()
    told = json.dumps(list(world.group.records.values()))
    assert "Planted" not in told
    assert "full_name" not in told
    assert "full_name" not in definitions(world.pipeline.source_as(TabularFiles))
    assert not any(b"Planted" in stored.body for key, stored in world.store.objects.items() if key != KEY)


def test_records_have_the_features_that_the_group_is_made_with(world: World) -> None:
    world.write()
    declared = definitions(world.pipeline.source_as(TabularFiles))
    for record in world.group.records.values():
        assert set(record) <= set(declared)
        for name, kind in declared.items():
            if name in record and kind != "String":
                assert (float if kind == "Fractional" else int)(record[name]) >= 0
    assert {"record_id", "event_time"} <= declared.keys()


@pytest.mark.parametrize("name", ["group", "person"])
def test_the_group_keeps_the_name_of_its_column(name: str) -> None:
    world = World(pipeline=clicks(group=name))
    world.land(
        "7,Ann,31,Female,Mobile,Top,News,Night,1",
        header=f"{name},full_name,age,gender,device_type,ad_position,browsing_history,time_of_day,click",
    )
    world.write()
    (record,) = world.group.records.values()
    assert record[name] == "7"
    assert set(record) <= set(definitions(world.pipeline.source_as(TabularFiles)))


@pytest.mark.parametrize(
    ("told", "written"),
    [
        ("2026-11-20T01:02:03Z", "2026-11-20T01:02:03Z"),
        ("2026-11-20T01:02:03.987654Z", "2026-11-20T01:02:03.987Z"),
        ("2026-11-20T01:02:03.000009Z", "2026-11-20T01:02:03.000Z"),
    ],
)
def test_an_instant_is_written_as_feature_store_takes_it(told: str, written: str) -> None:
    world = World(pipeline=clicks(event_time="at"))
    header = "id,full_name,age,gender,device_type,ad_position,browsing_history,time_of_day,click,at"
    world.land(f"7,Ann,31,Female,Mobile,Top,News,Night,1,{told}", header=header)
    world.write()
    (record,) = world.group.records.values()
    assert record["event_time"] == written
    assert EVENT_TIME.fullmatch(written)


@pytest.mark.parametrize("dies_after", range(COUNT))
def test_killed_at_any_record_and_run_again_each_is_there_once(world: World, dies_after: int) -> None:
    world.group.dies_after = dies_after
    with pytest.raises(Killed):
        world.write()
    standing = world.ledger()["written"] if world.store.head(world.pipeline.keys.features(PART)) else 0
    assert standing == dies_after // 3 * 3
    world.group.dies_after = None
    assert world.write() == Written(True, COUNT, world.group.name)
    assert sorted(world.group.records) == sorted(world.landed())
    # What was written since the ledger's last entry is written again, and nothing else.
    assert world.group.puts == COUNT + dies_after % 3


@pytest.mark.parametrize("number", range(4))
def test_a_death_before_an_entry_of_the_ledger_loses_no_record(world: World, number: int) -> None:
    class Dying(MemoryStore):
        def put(self, key: str, body: bytes, **conditions: object) -> str:
            if "/features/" in key and next(entries) == number:
                raise Killed
            return super().put(key, body, **conditions)  # type: ignore[arg-type]

    entries = iter(range(100))
    world.store.__class__ = Dying
    with pytest.raises(Killed):
        world.write()
    world.store.__class__ = MemoryStore
    assert world.write().done
    assert sorted(world.group.records) == sorted(world.landed())
    assert world.ledger()["written"] == COUNT


def test_out_of_time_it_goes_on_where_it_stood(world: World) -> None:
    steps = [world.write(lambda: True) for _ in range(4)]
    assert [(step.records, step.done) for step in steps] == [(3, False), (6, False), (9, False), (10, True)]
    assert world.group.puts == COUNT
    assert sorted(world.group.records) == sorted(world.landed())


@pytest.mark.parametrize("at_once", [1, 2, 4, COUNT, 100])
def test_it_goes_on_where_it_stood_in_steps_of_another_size(
    world: World, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a deployment of another version."""
    world.write(lambda: True)
    monkeypatch.setattr(feature_group, "AT_ONCE", at_once)
    assert world.write().records == COUNT
    assert world.group.puts == COUNT
    assert sorted(world.group.records) == sorted(world.landed())


def test_it_stops_at_the_end_of_its_time(world: World) -> None:
    def times() -> Iterator[bool]:
        yield from (False, True)

    left = times()
    assert world.write(lambda: next(left)).records == 6
    assert world.until_done().records == COUNT


def test_another_group_starts_anew(world: World) -> None:
    world.write()
    world.group = Group("another")
    assert world.write() == Written(True, COUNT, "another")
    assert len(world.group.records) == COUNT
    assert world.ledger()["feature_group"] == "another"


def test_what_landed_anew_starts_anew_and_the_later_event_time_stands(world: World) -> None:
    world.write(lambda: True)
    world.store.now = NOW + timedelta(hours=1)
    world.land(*LINES, "77,Planted Name,31,Female,Mobile,Top,News,Night,1")
    assert world.write() == Written(True, COUNT + 1, world.group.name)
    assert world.group.puts == 3 + COUNT + 1
    assert {record["event_time"] for record in world.group.records.values()} == {"2026-11-20T01:00:00Z"}


def test_a_part_that_lands_anew_meanwhile_is_tried_again(world: World) -> None:
    key = world.pipeline.keys.part("records", PART)
    sink = io.BytesIO()
    pq.write_table(pa.table({"other": [1]}), sink)
    sound = world.store.objects[key]
    world.store.put(key, sink.getvalue())
    with pytest.raises(Unavailable, match="lands anew"):
        world.write()
    assert world.group.puts == 0
    world.store.objects[key] = sound
    assert world.write().done


def test_a_part_that_has_not_landed_is_named(world: World) -> None:
    with pytest.raises(BadInput, match="ingest its file first"):
        world.write(part="file=0000")
    assert world.group.puts == 0


def test_a_part_without_records_is_done(world: World) -> None:
    """As when its file is gone."""
    world.write()
    world.store.delete(KEY)
    land.land(world.store, world.store, world.pipeline, PART)
    assert world.write() == Written(True, 0, world.group.name)
    assert world.write().done
    assert world.group.puts == COUNT


def test_without_a_group_there_is_nothing_to_do(world: World) -> None:
    assert write(
        world.store, None, world.pipeline, PART, world.clock, writer="one", out_of_time=lambda: False
    ) == Written(True, 0, None)
    assert world.store.head(world.pipeline.keys.features(PART)) is None


@pytest.mark.parametrize("body", [b"", b"[]", b'{"written": 3}'])
def test_what_is_no_ledger_is_named(world: World, body: bytes) -> None:
    world.store.put(world.pipeline.keys.features(PART), body)
    with pytest.raises(ForeignDocument):
        world.write()
    assert world.group.puts == 0


def test_two_writers_at_once_leave_every_record_once(world: World) -> None:
    """The slower one's entry in the ledger is behind: records are written again, and none is left out."""

    class Racing(MemoryStore):
        def put(self, key: str, body: bytes, **conditions: object) -> str:
            if "/features/" in key and not raced:
                raced.append(key)
                world.write()
            return super().put(key, body, **conditions)  # type: ignore[arg-type]

    raced: list[str] = []
    world.store.__class__ = Racing
    assert world.until_done().records == COUNT
    assert sorted(world.group.records) == sorted(world.landed())
    assert world.ledger()["done"]


def test_an_older_file_takes_nothing_back(world: World) -> None:
    older, key = datetime(2020, 1, 1, tzinfo=UTC), "adclick/datasets/older.csv"
    world.write()
    world.store.now = older
    world.land(*LINES, key=key)
    world.write(part=part_name(key))
    assert {record["event_time"] for record in world.group.records.values()} == {"2026-11-20T00:00:00Z"}


def test_of_two_writers_one_waits_until_the_other_is_done(world: World) -> None:
    world.write(lambda: True, writer="one")
    put = world.group.puts
    assert world.write(writer="two") == Written(False, put, world.group.name, busy=True)
    assert world.group.puts == put
    assert world.write(writer="one").done
    assert world.write(writer="two") == Written(True, COUNT, world.group.name)
    assert world.group.puts == COUNT


def test_a_writer_that_is_gone_is_followed_by_the_next_once_its_time_is_over(world: World) -> None:
    world.write(lambda: True, writer="one")
    world.clock.now += feature_group.HELD
    assert world.write(writer="two").done
    with pytest.raises(Unavailable, match="Another execution"):
        _late(world)


def _late(world: World) -> None:
    """The writer before writes on although its time is over, as one that was suspended does."""
    world.land(*LINES, "99,Planted,30,Female,Mobile,Top,News,Night,1")
    taken = [lambda: world.write(writer="two")]

    def meanwhile() -> bool:
        if taken:
            world.clock.now += feature_group.HELD
            taken.pop()()
        return False

    world.write(meanwhile, writer="one")
