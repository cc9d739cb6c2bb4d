"""Seeded sensor files: the field's layout to the letter, readable by the product, faults where they were planned."""

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from ratchet import catalog
from ratchet.errors import BadConfiguration, Unavailable
from ratchet.sensors import faults, samples
from ratchet.sensors.hours import Hours
from ratchet.sensors.machines import Machine, layout_of, machines
from ratchet.sources import SensorFiles

from local.seeding import wear
from local.seeding.recordings import Channel, Recording, files
from local.seeding.sensors import micros, seed_machines
from local.seeding.uploads import marker_key, upload
from tests.fakes import MemoryStore

RUL = catalog.load("rul")
SOURCE = RUL.source_as(SensorFiles)
NOW = datetime(2026, 11, 21, 4, 7, 33, tzinfo=UTC)
RANGES = {
    name: (sensor.low, sensor.high)
    for sensor in SOURCE.sensors.values()
    for name in sensor.names
    if sensor.low is not None and sensor.high is not None
}
KEY = re.compile(
    r"EQUIPMENT/date=(\d{4}-\d\d-\d\d)/zone_id=([\w.-]+)/equip_id=([\w.-]+)/equip-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-0\.json"
)


def nothing() -> None:
    """There was nothing before."""


def seeded(store: MemoryStore | None = None, **options: Any) -> MemoryStore:
    store = store or MemoryStore()
    seed_machines(store, RUL, nothing, **{"clock": lambda: NOW, "machines": 2, "days": 2, **options})
    return store


def compacted(store: MemoryStore) -> Hours:
    found = Hours(layout_of(SOURCE, RUL.time_zone))
    for listed in store.list("EQUIPMENT/date="):
        found.add(samples.read(store.objects[listed.key].body, found.layout))
    return found


def records(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in body.decode().splitlines() if line]


def test_a_file_holds_a_day_of_the_site_of_one_machine() -> None:
    store = seeded()
    keys = [KEY.fullmatch(listed.key) for listed in store.list("EQUIPMENT/date=")]
    assert len(keys) == 2 * 3
    for matched in keys:
        assert matched
        told = records(store.objects[matched[0]].body)
        machine = [record for record in told if record["category"] == "EQUIPMENT"]
        assert {(each["time"][:10], each["zoneId"], each["equipId"]) for each in machine} == {matched.groups()[:3]}


def test_the_day_of_a_key_is_the_sites_and_times_are_its_clock() -> None:
    midnight = datetime(2026, 11, 20, 15, tzinfo=UTC)
    at = np.array([micros(midnight - timedelta(milliseconds=995)), micros(midnight)])
    recording = Recording("z", "e", (Channel("temp", "s", (61, 81)),), at, np.array([[71.0], [81.0]]))
    (before, after) = files(recording, "EQUIPMENT/", "Asia/Seoul", 1)
    assert "/date=2026-11-20/" in before[0]
    assert "/date=2026-11-21/" in after[0]
    assert records(before[1]) == [
        {
            "zoneId": "z",
            "equipId": "e",
            "sensorId": "s",
            "sensorType": "temp",
            "category": "EQUIPMENT",
            "val": 71.0,
            "time": "2026-11-20T23:59:59.005000",
            "faulty": 0,
            "msgId": records(before[1])[0]["msgId"],
        }
    ]
    assert records(after[1])[0]["faulty"] == 1


def test_each_hour_is_a_window_with_a_blank_line_after_it() -> None:
    store = seeded()
    for listed in store.list("EQUIPMENT/date="):
        windows = store.objects[listed.key].body.decode().split("\n\n")
        assert windows.pop() == ""
        hours = [{record["time"][:13] for record in records(window.encode())} for window in windows]
        assert all(len(hour) == 1 for hour in hours)
        assert len(set.union(*hours)) == len(hours)


def test_the_product_reads_every_record_and_ignores_those_of_other_categories() -> None:
    store = MemoryStore()
    report = seed_machines(store, RUL, nothing, machines=2, days=2, clock=lambda: NOW)
    found = compacted(store)
    assert (found.samples, found.rejected) == (report.records, {})
    assert found.ignored == {"another category": report.others}
    assert report.others > 0
    assert report.files == len(store.objects) - 1
    told = [record for one in store.list("EQUIPMENT/date=") for record in records(store.objects[one.key].body)]
    assert {record["category"] for record in told} == {"EQUIPMENT", "ENVIRONMENT", "WEARABLE"}
    assert all((each["zoneId"] == each["equipId"]) == (each["category"] == "ENVIRONMENT") for each in told)
    assert len({record["msgId"] for record in told}) == len(told)


def test_the_defaults_make_more_than_a_run_needs() -> None:
    report = seed_machines(MemoryStore(), RUL, nothing, clock=lambda: NOW)
    assert report.last - report.first >= timedelta(days=SOURCE.window_days + 1)
    assert report.records * SOURCE.window_days / 24 > SOURCE.minimum.records
    assert report.machines > SOURCE.minimum.machines


@pytest.mark.parametrize("every", [7, 10, 45, 60])
def test_the_history_ends_in_the_current_hour_and_nothing_lies_after_now(every: int) -> None:
    report = seed_machines(MemoryStore(), RUL, nothing, machines=1, days=1, every_minutes=every, clock=lambda: NOW)
    assert NOW.replace(minute=0, second=0) <= report.last <= NOW
    assert timedelta(hours=23) <= report.last - report.first <= timedelta(hours=25)


def test_the_same_seed_makes_the_same_files_and_another_one_others() -> None:
    first, again, other = (seeded(seed=seed).objects for seed in (1, 1, 2))
    assert first == again
    assert not set(first) & set(other) - {marker_key("EQUIPMENT/")}


@pytest.mark.parametrize("every", [1, 10, 20, 30, 45, 60])
def test_outliers_alone_make_no_fault_however_often_sensors_are_sampled(every: int) -> None:
    low, high = np.array([RANGES[name] for name in wear.SENSORS]).T
    for seed in range(5):
        chance = np.random.default_rng(seed)
        minutes = np.arange(0, 24 * 24 * 60, every)
        values = wear.samples(wear.plan(24 * 24, True, chance), minutes / 60, RANGES, chance)
        outside = (values < low) | (values > high)
        assert 0.03 < outside[:, 0].mean() < 0.07
        hours, which = np.unique(minutes // 60, return_inverse=True)
        shares = np.stack([np.bincount(which, column) / np.bincount(which) for column in outside.T], axis=1)
        rule = SOURCE.fault
        assert not faults.faults(hours, shares, np.empty(0, np.int64), rule).any()


def found_machines(store: MemoryStore) -> list[Machine]:
    return machines(compacted(store), SOURCE)


def test_machines_fail_as_planned_and_some_never_do() -> None:
    store = MemoryStore()
    report = seed_machines(store, RUL, nothing, machines=6, days=16, every_minutes=15, clock=lambda: NOW)
    found = found_machines(store)
    counted = [int((np.diff(machine.faulty.astype(int)) == 1).sum()) for machine in found]
    assert counted[5] == 0
    assert min(counted[:5]) >= 1
    assert report.faults <= sum(counted) <= report.faults + 2


def test_before_a_fault_sensors_drift_slowly_and_then_faster() -> None:
    chance = np.random.default_rng(3)
    life = wear.Life(0, 200, 203, 40.0, np.zeros(6), np.array([1.0, 0.6, 0, 0, 0, 0]))
    values = wear.samples([life], np.arange(0, 203, 1 / 60), RANGES, chance)
    drift = [np.median(values[60 * hour : 60 * hour + 600, 0]) for hour in (0, 95, 190)]
    assert drift[1] - drift[0] < 0.3 * (drift[2] - drift[1])
    assert values[200 * 60 :, 0].min() > RANGES["temp"][1]


def test_the_marker_comes_last_and_says_what_the_data_is() -> None:
    store = seeded()
    assert store.writes[-1] == "EQUIPMENT/ratchet_seed.json"
    marker = json.loads(store.objects["EQUIPMENT/ratchet_seed.json"].body)
    assert marker == {"synthetic": True, "source": "simulated machines (seed 42)"}


def test_what_was_there_is_deleted_once_before_the_first_file() -> None:
    store = MemoryStore()
    cleared: list[int] = []
    seed_machines(store, RUL, lambda: cleared.append(len(store.writes)), machines=1, days=1, clock=lambda: NOW)
    assert cleared == [0]


def test_nothing_is_deleted_where_a_sensor_has_no_range() -> None:
    sensors = {name: sensor for name, sensor in SOURCE.sensors.items() if name != "humidity"}
    blind = replace(RUL, source=replace(SOURCE, sensors=sensors))
    with pytest.raises(BadConfiguration, match="is named humid and has a range"):
        seed_machines(MemoryStore(), blind, lambda: pytest.fail("deleted"), clock=lambda: NOW)


class Full(MemoryStore):
    """A store that takes a few objects and then none."""

    def put(self, key: str, body: bytes, **options: Any) -> str:
        if len(self.writes) >= 3:
            raise Unavailable("The disk is full.")
        return super().put(key, body, **options)


def test_half_a_seed_carries_no_marker() -> None:
    store = Full()
    with pytest.raises(Unavailable, match="full"):
        seeded(store)
    assert marker_key("EQUIPMENT/") not in store.objects


def interrupted() -> Iterator[tuple[str, bytes]]:
    for number in range(30):
        yield f"key-{number}", b""
    raise KeyboardInterrupt


@pytest.mark.parametrize(("store", "error"), [(MemoryStore(), KeyboardInterrupt), (Full(), Unavailable)])
def test_no_thread_is_left_behind(store: MemoryStore, error: type[BaseException]) -> None:
    before = threading.active_count()
    with pytest.raises(error):
        upload(store, interrupted(), lambda line: None)
    assert threading.active_count() == before


def test_files_that_are_written_are_counted_out_loud() -> None:
    told: list[str] = []
    assert upload(MemoryStore(), ((f"key-{number}", b"") for number in range(120)), told.append) == 120
    assert told == ["50 files written", "100 files written"]
