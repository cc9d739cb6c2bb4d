"""Meter files: whatever is in them ends as a reading or set aside, in memory that does not grow with them."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ratchet.errors import BadConfiguration, SourceMismatch
from ratchet.meters import readings
from ratchet.meters.layout import Layout
from ratchet.meters.readings import Aside, Readings, read
from ratchet.meters.steps import Steps

from tests.emulated import CHECKOUT
from tests.meter_files import readings_in

UCI = Layout(";", ("Date", "Time"), "%d/%m/%Y %H:%M:%S", "Global_active_power", ("?",), "Europe/Paris")
HOURLY = Layout(",", ("datetime",), "%Y-%m-%d %H:%M:%S", "load", ("?", "NA"), "UTC")
HEAD = b"Date;Time;Global_active_power;Voltage\n"
REAL = CHECKOUT.parent / "shared/data/power/household_power_consumption_1min_first40963.txt"


def readings_of(body: bytes, layout: Layout = UCI) -> tuple[list[tuple[datetime, float]], Aside]:
    aside = Aside()
    found = [
        (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at), value)
        for block in readings_in(body, layout, aside)
        for at, value in zip(block.at.tolist(), block.value.tolist(), strict=True)
    ]
    return found, aside


def test_a_line_is_a_reading_by_the_clock_of_the_site() -> None:
    found, aside = readings_of(HEAD + b"16/12/2006;17:24:00;4.216;234.84\n16/7/2007;17:24:00;.5;234\n")
    assert found == [
        (datetime(2006, 12, 16, 16, 24, tzinfo=UTC), 4.216),
        (datetime(2007, 7, 16, 15, 24, tzinfo=UTC), 0.5),
    ]
    assert aside.counts == {}


def test_other_layouts_are_configuration() -> None:
    found, _ = readings_of(b"load,datetime\n7,2010-01-01 00:00:00\nNA,2010-01-01 01:00:00\n", HOURLY)
    assert found[0] == (datetime(2010, 1, 1, tzinfo=UTC), 7.0)
    assert np.isnan(found[1][1])


@pytest.mark.parametrize("text", [b"?", b"", b" ? "])
def test_a_missing_reading_is_missing_and_not_set_aside(text: bytes) -> None:
    found, aside = readings_of(HEAD + b"16/12/2006;17:24:00;" + text + b";1\n")
    assert (len(found), np.isnan(found[0][1]), aside.counts) == (1, True, {})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"16/12/2006;17:24:00;4.216", "another number of columns"),
        (b"16/12/2006;17:24:00;4.216;1;2", "another number of columns"),
        (b"14/1/20", "another number of columns"),
        (b"31/2/2007;17:24:00;1;1", "time is no instant"),
        (b"2006-12-16;17:24:00;1;1", "time is no instant"),
        (b";;1;1", "time is no instant"),
        (b"16/12/2006 ;17:24:00;1;1", "time is no instant"),
        (b"16/12/2006;17:24:00.5;1;1", "time is no instant"),
        (b"16/12/2006;25:24:00;1;1", "time is no instant"),
        (b"16/12/2006;17:24:60;1;1", "time is no instant"),
        (b"29/2/2007;17:24:00;1;1", "time is no instant"),
        (b"16/13/2006;17:24:00;1;1", "time is no instant"),
        (b"1/1/1970;00:00:00;1;1", "time is no instant"),
        (b"1/1/9999;00:00:00;1;1", "time is no instant"),
        (b"16/12/2006;17:24:00;4,216;1", "value is no number"),
        (b"16/12/2006;17:24:00;nan;1", "value is no number"),
        (b"16/12/2006;17:24:00;inf;1", "value is no number"),
        (b"16/12/2006;17:24:00;1e999;1", "value is no number"),
        (b"16/12/2006;17:24:00;1e101;1", "value is no number"),
        (b"16/12/2006;17:24:00;0x1f;1", "value is no number"),
        (b"16/12/2006;17:24:00;four;1", "value is no number"),
    ],
)
def test_a_bad_line_is_set_aside_as_it_stood_and_costs_no_other(line: bytes, reason: str) -> None:
    sound = b"16/12/2006;17:23:00;1;1\n"
    found, aside = readings_of(HEAD + sound + line + b"\n" + sound)
    assert ([value for _, value in found], aside.counts) == ([1.0, 1.0], {reason: 1})
    ((told, kept),) = aside.lines
    assert told == reason
    assert kept.split(";")[0] == line.split(b";")[0].decode()


@pytest.mark.parametrize("last", [b"16/12/2006;17:24:00;4.216;23", b"16/12", b"16/12/2006;17:24:00;4.2"])
def test_a_last_line_without_an_end_is_cut_off_whatever_it_says(last: bytes) -> None:
    found, aside = readings_of(HEAD + b"16/12/2006;17:23:00;1;1\n" + last)
    assert (len(found), aside.counts, aside.lines) == (1, {"cut off": 1}, [("cut off", last.decode())])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"Date;Time\n1/1/2007;1\n",
        b"a,b\n1,2\n",
        b"PK\x03\x04\x00\x00",
        HEAD + b"1/1/2007;00:00:00;\xff;1\n",
    ],
)
def test_a_file_that_is_none_of_that_layout_is_a_named_error(body: bytes) -> None:
    with pytest.raises(SourceMismatch, match="Date, Time, Global_active_power"):
        readings_of(body)


def test_lines_set_aside_are_all_counted_and_the_first_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "KEPT", 3)
    _, aside = readings_of(HEAD + b"x;y;1;1\n" * 10)
    assert (aside.counts, len(aside.lines)) == ({"time is no instant": 10}, 3)


def test_the_hour_that_comes_twice_is_read_in_order() -> None:
    wall = ["01:30", "02:00", "02:30", "02:00", "02:30", "03:00"]
    body = HEAD + "".join(f"28/10/2007;{at}:00;1;1\n" for at in wall).encode()
    found, _ = readings_of(body)
    assert [at.strftime("%H:%M") for at, _ in found] == ["23:30", "00:00", "00:30", "01:00", "01:30", "02:00"]


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"{1 + day}/10/2007;{hour:02d}:00:00;{day + hour / 100};1\n" for day in range(31) for hour in range(24)]
    body = HEAD + "".join(lines).encode()
    whole, _ = readings_of(body)
    monkeypatch.setattr(readings, "BLOCK_BYTES", 200)
    assert readings_of(body)[0] == whole
    assert len(whole) == 31 * 24


def test_the_published_file_is_read_to_its_cut_end() -> None:
    if not REAL.exists():
        pytest.skip(f"{REAL} is missing")
    aside = Aside()
    found = list(read(REAL, UCI, aside))
    values = np.concatenate([block.value for block in found])
    assert (len(values), int(np.isnan(values).sum())) == (40963, 4)
    assert aside.counts == {"another number of columns": 1}


@given(st.binary(max_size=120), st.lists(st.integers(0, 200), max_size=3), st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_no_bytes_break_it(noise: bytes, places: list[int], byte: int) -> None:
    body = bytearray(HEAD + b"16/12/2006;17:24:00;4.216;234.84\n" * 3)
    for place in places:
        body[place % len(body)] = byte
    for hostile in (noise, bytes(body), bytes(body) + noise):
        with contextlib.suppress(SourceMismatch):
            readings_of(hostile)


def stepped(minutes: int, *blocks: list[tuple[datetime, float]]) -> Iterator[tuple[datetime, float, int]]:
    steps = Steps(minutes)
    for block in blocks:
        at = np.array([int(instant.timestamp()) * 1_000_000 for instant, _ in block], np.int64)
        steps.add(Readings(at, np.array([value for _, value in block], np.float64)))
    for at, mean, count in zip(*(each.tolist() for each in steps.series()), strict=True):
        yield datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at), mean, count


def test_a_step_is_the_mean_of_what_there_is_and_a_gap_stays_one() -> None:
    start = datetime(2010, 1, 1, tzinfo=UTC)
    first = [(start, 1.0), (start + timedelta(minutes=1), 3.0), (start + timedelta(minutes=2), np.nan)]
    second = [(start + timedelta(minutes=14), 5.0), (start + timedelta(minutes=45), 7.0)]
    found = list(stepped(15, first, second))
    assert [(at.minute, count) for at, _, count in found] == [(0, 3), (15, 0), (30, 0), (45, 1)]
    assert [mean for _, mean, _ in found][::3] == [3.0, 7.0]
    assert np.isnan([mean for _, mean, _ in found][1:3]).all()


def test_no_readings_are_no_steps() -> None:
    assert list(stepped(15)) == list(stepped(15, [])) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"delimiter": ""}, "one character"),
        ({"delimiter": "\n"}, "one character"),
        ({"time": ()}, "names no column"),
        ({"time": ("Global_active_power",)}, "names no column"),
        ({"time_zone": "Europe/Pari"}, "no time zone"),
        ({"time_format": "%d/%m"}, "%d, %m and %Y"),
        ({"time_format": "%d/%m/%Y %d"}, "each once"),
        ({"time_format": "%d/%m/%Y %p"}, "may take"),
        ({"time_format": "%d/%m/%Y %"}, "may take"),
    ],
)
def test_a_layout_that_cannot_be_is_named(changed: dict[str, object], words: str) -> None:
    with pytest.raises(BadConfiguration, match=words):
        Layout(**{**vars(UCI), **changed})  # type: ignore[arg-type]
