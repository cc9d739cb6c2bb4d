"""Sensor files: whatever is in them ends as a sample or in a count, and an hour is what its samples come to."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ratchet.errors import BadConfiguration
from ratchet.sensors import samples
from ratchet.sensors.hours import Hours
from ratchet.sensors.layout import Layout
from ratchet.sensors.samples import read
from ratchet.sources import Sensor

LAYOUT = Layout(
    {"temperature": Sensor(("temp", "temperature"), 41, 101), "humidity": Sensor(("humid", "humidity"), 14.5, 85.5)},
    category="EQUIPMENT",
    time_zone="Asia/Seoul",
)
NOON = datetime(2025, 5, 7, 3, tzinfo=UTC)
"""In Seoul."""
RECORD = {"zoneId": "zone-1", "equipId": "20250507171316-389", "sensorId": "UA10T-TEM-1", "sensorType": "temp"}
RECORD |= {"val": 71.5, "category": "EQUIPMENT", "time": "2025-05-07T12:00:00.250000", "faulty": 0, "msgId": "m"}  # type: ignore[dict-item]


def record(**changed: Any) -> dict[str, Any]:
    return {name: value for name, value in {**RECORD, **changed}.items() if value is not ...}


def lines(*records: Any) -> bytes:
    """JSON Lines, with the blank line that stands after each window."""
    return b"".join(json.dumps(each).encode() + b"\n" for each in records) + b"\n"


def instant(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def test_a_record_is_a_sample_of_its_machine_in_utc() -> None:
    found = read(lines(record()), LAYOUT)
    assert (found.machines, found.machine.tolist()) == ([("zone-1", "20250507171316-389")], [0])
    assert [instant(at) for at in found.at.tolist()] == [NOON + timedelta(milliseconds=250)]
    assert (found.sensor.tolist(), found.value.tolist()) == ([0], [71.5])
    assert (found.ignored, found.rejected) == ({}, {})


@pytest.mark.parametrize("name", ["temp", "temperature"])
def test_a_sensor_is_known_by_each_of_its_names(name: str) -> None:
    assert read(lines(record(sensorType=name)), LAYOUT).sensor.tolist() == [0]


@pytest.mark.parametrize(
    ("time", "found"),
    [
        ("2025-05-07T12:00:00", NOON),
        ("2025-05-07 12:00:00.5", NOON + timedelta(seconds=0.5)),
        ("2025-05-07T12:00:00.123456789", NOON + timedelta(microseconds=123456)),
        ("2025-05-07T12:00:00+09:00", NOON),
        ("2025-05-07T03:00:00Z", NOON),
    ],
)
def test_a_time_without_an_offset_is_local_and_one_with_an_offset_is_not(time: str, found: datetime) -> None:
    assert [instant(at) for at in read(lines(record(time=time)), LAYOUT).at.tolist()] == [found]


def test_times_with_and_without_an_offset_may_stand_in_one_file() -> None:
    found = read(lines(record(), record(time="2025-05-07T12:00:00+09:00")), LAYOUT)
    assert [instant(at).second for at in found.at.tolist()] == [0, 0]
    assert found.rejected == {}


def test_an_hour_that_comes_twice_is_the_first_one() -> None:
    layout = Layout(LAYOUT.sensors, "EQUIPMENT", "Europe/Berlin")
    found = read(lines(record(time="2025-10-26T02:30:00"), record(time="2025-10-26T03:30:00")), layout)
    assert [instant(at).isoformat() for at in found.at.tolist()] == [
        "2025-10-26T00:30:00+00:00",
        "2025-10-26T02:30:00+00:00",
    ]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"category": ...}, "category is missing"),
        ({"category": 7}, "category is missing"),
        ({"sensorType": ...}, "sensorType is missing"),
        ({"sensorType": None}, "sensorType is missing"),
        ({"zoneId": ...}, "zoneId or equipId is malformed"),
        ({"equipId": ...}, "zoneId or equipId is malformed"),
        ({"equipId": "../secret"}, "zoneId or equipId is malformed"),
        ({"zoneId": ""}, "zoneId or equipId is malformed"),
        ({"equipId": 12}, "zoneId or equipId is malformed"),
        ({"zoneId": "\ud800"}, "zoneId or equipId is malformed"),
        ({"time": ...}, "time is no instant"),
        ({"time": "yesterday"}, "time is no instant"),
        ({"time": 1746586800}, "time is no instant"),
        ({"time": "1970-01-01T00:00:00"}, "time is no instant"),
        ({"time": "9999-12-31T23:59:59"}, "time is no instant"),
        ({"val": ...}, "val is no number"),
        ({"val": None}, "val is no number"),
        ({"val": "71.5"}, "val is no number"),
        ({"val": True}, "val is no number"),
        ({"val": float("nan")}, "val is no number"),
        ({"val": float("inf")}, "val is no number"),
        ({"val": 10**400}, "val is no number"),
    ],
)
def test_a_bad_record_is_counted_by_its_fault_and_costs_no_other(changed: dict[str, Any], reason: str) -> None:
    found = read(lines(record(), record(**changed), record(val=72)), LAYOUT)
    assert found.value.tolist() == [71.5, 72.0]
    assert found.rejected == {reason: 1}


@pytest.mark.parametrize(
    "text", [b"null", b"null[{}]", b"{} null", b"{", b"[]", b"7", b'"text"', b"\xff\xfe", b"{}}", b"[" * 100_000]
)
def test_a_line_that_is_no_object_is_counted(text: bytes) -> None:
    found = read(lines(record()) + text + b"\n" + lines(record()), LAYOUT)
    assert (len(found.at), found.rejected) == (2, {"no JSON object": 1})


def test_other_categories_and_sensors_are_ignored_with_a_count() -> None:
    found = read(lines(record(category="WEARABLE", val=None), record(sensorType="noise"), record()), LAYOUT)
    assert (len(found.at), found.rejected) == (1, {})
    assert found.ignored == {"another category": 1, "another sensor": 1}


@pytest.mark.parametrize("body", [b"", b"\n\n", b"[]"])
def test_a_file_without_records_is_empty(body: bytes) -> None:
    found = read(body, LAYOUT)
    assert (len(found.at), found.machines, found.rejected) == (0, [], {})


def test_an_array_of_records_is_read_too() -> None:
    assert len(read(json.dumps([record(), record()], indent=1).encode(), LAYOUT).at) == 2


def test_a_file_may_hold_several_machines_and_windows() -> None:
    found = read(lines(record(), record(equipId="b", time="2025-05-07T13:00:00"), record(zoneId="a")), LAYOUT)
    named = [found.machines[number] for number in found.machine.tolist()]
    assert named == [("zone-1", RECORD["equipId"]), ("zone-1", "b"), ("a", RECORD["equipId"])]


def test_both_ways_to_read_a_file_find_the_same() -> None:
    chance = np.random.default_rng(1)
    records = [
        record(
            equipId=f"m{chance.integers(9)}",
            val=float(chance.normal()),
            sensorType=str(chance.choice(["temp", "humid", "x"])),
        )
        for _ in range(500)
    ]
    quick, slow = read(lines(*records), LAYOUT), read(lines(*records) + b"no JSON\n", LAYOUT)
    assert slow.rejected == {"no JSON object": 1}
    for name in ("machine", "sensor", "at", "value"):
        np.testing.assert_array_equal(getattr(quick, name), getattr(slow, name))
    assert (quick.machines, quick.ignored) == (slow.machines, slow.ignored)


ODD = [{"category": "EQUIPMENT\x01"}, {"sensorType": "te\tmp"}, {"equipId": "a\x7f"}, {"zoneId": "é"}, {"time": "\x00"}]
ODD += [{"val": value} for value in (1e99, -1e101, 1e305, 5e-324, -0.0, 2**63)]  # type: ignore[dict-item]


@pytest.mark.parametrize("changed", ODD)
def test_both_ways_judge_a_record_alike(changed: dict[str, Any]) -> None:
    quick, slow = (read(lines(record(**changed)) + more, LAYOUT) for more in (b"", b"null\n"))
    assert slow.rejected - quick.rejected == {"no JSON object": 1}
    assert (quick.value.tolist(), quick.ignored) == (slow.value.tolist(), slow.ignored)
    assert len(quick.at) == (abs(changed.get("val", 1e101)) < 1e100)


def test_a_file_larger_than_a_block_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "BLOCK_BYTES", 1000)
    assert len(read(lines(*[record()] * 100), LAYOUT).at) == 100


@given(st.binary(max_size=200), st.lists(st.integers(0, 300), max_size=3), st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_no_bytes_break_it(noise: bytes, places: list[int], byte: int) -> None:
    body = bytearray(lines(record()))
    for place in places:
        body[place % len(body)] = byte
    for hostile in (noise, bytes(body), bytes(body) + noise):
        found = read(hostile, LAYOUT)
        assert len(found.at) <= 3


def hours(*files: list[dict[str, Any]]) -> list[dict[str, Any]]:
    summed = Hours(LAYOUT)
    for records in files:
        summed.add(read(lines(*records), LAYOUT))
    return list(summed.table().to_pylist())


def test_an_hour_is_what_its_samples_come_to() -> None:
    values = [30.0, 50.0, 70.0, 110.0]
    (row,) = hours([record(val=value) for value in values])
    assert (row["zone_id"], row["equip_id"], row["hour"]) == ("zone-1", RECORD["equipId"], NOON)
    told = {name: row[f"temperature_{name}"] for name in ("mean", "low", "high", "count", "outside")}
    assert told == {"mean": 65.0, "low": 30.0, "high": 110.0, "count": 4, "outside": 0.5}
    assert row["temperature_std"] == pytest.approx(np.std(values))


def test_a_silent_sensor_stays_missing() -> None:
    (row,) = hours([record()])
    assert [value for name, value in row.items() if name.startswith("humidity")] == [None] * 6


def test_rows_are_ordered_by_machine_and_hour_whatever_the_files_order() -> None:
    first, second = record(zoneId="b"), record(zoneId="a", time="2025-05-07T13:59:59")
    third = record(zoneId="a")
    assert hours([first], [second], [third]) == hours([third, second, first])
    assert [(row["zone_id"], row["hour"].hour) for row in hours([first], [second, third])] == [
        ("a", 3),
        ("a", 4),
        ("b", 3),
    ]


def test_no_files_are_no_hours() -> None:
    assert hours() == hours([]) == []


def test_the_share_outside_does_not_depend_on_the_sampling_rate() -> None:
    def shares(step: int) -> float:
        at = [NOON + timedelta(hours=9, seconds=second) for second in range(0, 3600, step)]
        values = [120 if each.minute < 15 else 70 for each in at]
        told = [each.replace(tzinfo=None).isoformat() for each in at]
        (row,) = hours([record(val=value, time=time) for value, time in zip(values, told, strict=True)])
        return float(row["temperature_outside"])

    assert shares(5) == shares(60) == 0.25


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.floats(-1e6, 1e6)), max_size=8), max_size=6
    )
)
@settings(max_examples=100, deadline=None)
def test_samples_in_many_files_come_to_the_same_as_in_one(files: list[list[tuple[str, int, float]]]) -> None:
    def each(zone: str, hour: int, value: float) -> dict[str, Any]:
        return record(zoneId=zone, time=f"2025-05-07T{hour:02d}:10:00", val=value)

    parts = [[each(*sample) for sample in file] for file in files]
    apart, together = hours(*parts), hours([one for part in parts for one in part])
    assert [{**row, **_rounded(row)} for row in apart] == [{**row, **_rounded(row)} for row in together]


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {name: pytest.approx(value, rel=1e-9, abs=1e-6) for name, value in row.items() if isinstance(value, float)}


@pytest.mark.parametrize(
    ("sensors", "zone", "words"),
    [
        ({}, "UTC", "there is none"),
        ({"a": Sensor(("x",), 0, 1), "b": Sensor(("x",), 0, 1)}, "UTC", "x stands for two"),
        ({"a": Sensor(("x",), 1, 1)}, "UTC", "range of a is empty"),
        ({"a": Sensor(("x",), 0, 1)}, "Asia/Soul", "no time zone 'Asia/Soul'"),
        ({"a": Sensor(("x",), 0, 1)}, "../etc/passwd", "no time zone"),
    ],
)
def test_a_layout_that_cannot_be_is_named(sensors: dict[str, Sensor], zone: str, words: str) -> None:
    with pytest.raises(BadConfiguration, match=words):
        Layout(sensors, "EQUIPMENT", zone)
