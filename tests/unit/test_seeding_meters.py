"""Seeded meter files: dates moved by whole weeks and nothing else, refused where unreadable; a household's clock."""

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ratchet import catalog
from ratchet.errors import BadConfiguration, BadInput
from ratchet.meters.kind import is_meter_file
from ratchet.meters.layout import Layout
from ratchet.meters.readings import Aside
from ratchet.sources import MeterFiles

from local.seeding import household, meters
from local.seeding.lines import Lines
from tests.fakes import MemoryStore
from tests.meter_files import readings_in

ENERGY = catalog.load("energy")
SOURCE = ENERGY.source_as(MeterFiles)
NOW = datetime(2026, 11, 21, 4, 7, 33, tzinfo=UTC)
"""A Saturday; 05:07:33 in Paris."""
UCI = b"Date;Time;Global_active_power;Global_reactive_power\r\n"
HOURLY = b"datetime,Global_active_power\n"


def nothing() -> None:
    """There was nothing before."""


def seeded(
    folder: Path, body: bytes, name: str = "power.txt", clear: Callable[[], None] = nothing, **options: Any
) -> tuple[bytes, meters.MeterReport, MemoryStore]:
    path, store = folder / name, MemoryStore()
    path.write_bytes(body)
    report = meters.seed_file(store, ENERGY, clear, meters.read(path, ENERGY), clock=lambda: NOW, **options)
    return store.objects[f"energy/incoming/{name}"].body, report, store


def test_dates_move_by_whole_weeks_until_the_last_reading_is_not_before_now(tmp_path: Path) -> None:
    body = UCI + b"16/12/2006;17:24:00;4.216;0.418\r\n9/12/2006;00:01:00;1.5;0\r\n5/1/2007;05:08:00;2;0\r\n"
    made, report, _ = seeded(tmp_path, body)
    # The last one was on a Friday: 1,037 weeks later it would be yesterday.
    moved = timedelta(weeks=1038)
    assert report.weeks == 1038
    told = [datetime(2006, 12, 16, 17, 24) + moved, datetime(2006, 12, 9, 0, 1) + moved]
    lines = [f"{at:%d/%m/%Y;%H:%M:%S}" for at in told]
    assert made == UCI + f"{lines[0]};4.216;0.418\r\n{lines[1]};1.5;0\r\n".encode()
    assert (report.readings, report.left_out, report.passed_on) == (2, 1, 0)


@pytest.mark.parametrize(
    ("time", "left_out"), [("05:07:33", 0), ("05:07:34", 1), ("05:07:32", 0), ("23:59:00", 1), ("00:00:00", 0)]
)
def test_what_would_lie_after_now_is_left_out(tmp_path: Path, time: str, left_out: int) -> None:
    # The last line is on a Saturday, late; the other on the same day.
    body = UCI + f"6/1/2007;{time};1;0\r\n6/1/2007;23:59:59;1;0\r\n".encode() + b"1/1/2007;00:00:00;1;0\r\n"
    _, report, _ = seeded(tmp_path, body)
    assert report.left_out == 1 + left_out
    assert report.last <= NOW


def test_a_file_that_ends_in_the_future_moves_back(tmp_path: Path) -> None:
    made, report, _ = seeded(tmp_path, HOURLY + b"2027-01-01 10:00:00,1\n2027-01-20 10:00:00,2\n")
    assert report.weeks < 0
    assert made.count(b"\n") == 2
    assert report.last <= NOW


@pytest.mark.parametrize(
    "line",
    [
        b"28/4/2007;00:21:00;?;?\r\n",
        b"31/2/2007;00:21:00;1;1\r\n",
        b"28/4/2007;24:21:00;1;1\r\n",
        b"28/4/2107;00:21:00;1;1\r\n",
        b"never;00:21:00;1;1\r\n",
        b"\xff\xfe;;\r\n",
        b"\r\n",
    ],
)
def test_odd_lines_go_along_as_they_are(tmp_path: Path, line: bytes) -> None:
    made, report, _ = seeded(tmp_path, UCI + line + b"5/5/2007;05:08:00;2;0\r\n1/1/2007;00:01:00;1.5;0\r\n")
    passed = made.splitlines(keepends=True)[1]
    if b"?" in line:
        assert re.fullmatch(rb"\d\d/\d\d/\d{4};00:21:00;\?;\?\r\n", passed)
        assert (report.readings, report.passed_on) == (2, 0)
    else:
        assert passed == line
        assert (report.readings, report.passed_on) == (1, 1)


def test_a_last_line_without_an_end_stays_as_it_is(tmp_path: Path) -> None:
    made, report, _ = seeded(tmp_path, UCI + b"9/12/2006;00:01:00;1.5;0\r\n5/1/2007;05:08:00;2;0\r\n14/1/2007;05:0")
    assert made.endswith(b"\r\n14/1/2007;05:0")
    assert report.passed_on == 1
    aside = Aside()
    readings_in(made, _layout("uci"), aside)
    assert aside.counts == {"cut off": 1}


def test_without_a_shift_the_file_is_the_same(tmp_path: Path) -> None:
    body = UCI + b"1/1/2007;00:01:00;1.5;0\r\nodd\r\n5/1/2097;05:08:00;2;0"
    made, report, _ = seeded(tmp_path, body, shift=False)
    assert (made, report.weeks, report.left_out) == (body, 0, 0)


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + HOURLY + b"2010-11-19 21:00:00,2.8\n2010-11-26 21:00:00,2.8\n",
        b'"datetime","Global_active_power"\n"2010-11-19 21:00:00","2.8"\n"2010-11-26 21:00:00","2.8"\n',
        b"Voltage,Global_active_power,datetime\n1,2.8,2010-11-19 21:00:00\n1,2.8,2010-11-26 21:00:00\n",
        b"Time;Voltage;Date;Global_active_power\n21:00:00;1;19/11/2010;2.8\n21:00:00;1;26/11/2010;2.8\n",
    ],
)
def test_layouts_are_known_by_the_columns_wherever_they_stand(tmp_path: Path, body: bytes) -> None:
    made, report, _ = seeded(tmp_path, body)
    assert (report.readings, report.left_out) == (1, 1)
    assert re.sub(rb"2010-11-19|19/11/2010", b"X", body.splitlines()[1]) == re.sub(
        rb"2026-11-20|20/11/2026", b"X", made.splitlines()[1]
    )


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "must have the columns"),
        (b"a;b;c\n1;2;3\n", r"Date;Time;Global_active_power \(uci\) or datetime,Global_active_power \(hourly\)"),
        (b"Date,Time,Global_active_power\n", "begins with 'Date,Time,Global"),
        (HOURLY, "No line of .* has a time like %Y-%m-%d %H:%M:%S"),
        (HOURLY + b"2006-12-16,1209.17\n", "is it another kind of file"),
    ],
)
def test_another_file_is_refused_with_what_it_must_be(tmp_path: Path, body: bytes, told: str) -> None:
    path = tmp_path / "power.txt"
    path.write_bytes(body)
    with pytest.raises(BadInput, match=told):
        meters.read(path, ENERGY)


def test_a_file_of_a_name_that_does_not_land_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"power\.data would not land: name it as one of \*\.csv, \*\.txt"):
        seeded(tmp_path, HOURLY + b"2010-11-26 21:00:00,2.8\n", "power.data")
    assert not is_meter_file("power.data")
    assert all(is_meter_file(f"power{end}") for end in meters.NAMED)


def test_nothing_is_deleted_where_nothing_would_be_left(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="lies before now; --no-shift"):
        seeded(tmp_path, HOURLY + b"2010-11-26 21:00:00,2.8\n", clear=lambda: pytest.fail("deleted"))


def test_the_marker_is_there_before_the_file_that_lands_by_it(tmp_path: Path) -> None:
    cleared: list[str] = []
    body = HOURLY + b"2010-11-26 21:00:00,2\n"
    _, report, store = seeded(tmp_path, body, clear=lambda: cleared.append("x"), shift=False)
    assert store.writes == ["energy/incoming/ratchet_seed.json", "energy/incoming/power.txt"]
    assert json.loads(store.objects[store.writes[0]].body) == {"synthetic": False, "source": "readings of power.txt"}
    assert (cleared, report.synthetic) == (["x"], False)


@pytest.mark.parametrize("time_format", ["%d/%m/%Y%H:%M:%S", "%d/%m %Y", "%d/%H %m/%Y", "%Y %m%d"])
def test_a_layout_that_tears_dates_apart_is_refused(time_format: str) -> None:
    layout = replace(SOURCE.layouts["uci"], time_format=time_format)
    with pytest.raises(BadConfiguration, match="put the date into one column"):
        Lines(layout, ["Date", "Time", "Global_active_power"])


def test_days_alone_are_a_layout_too() -> None:
    layout = replace(SOURCE.layouts["hourly"], time_format="%Y-%m-%d")
    found = Lines(layout, ["datetime", "Global_active_power"]).read(b"2010-11-26,1\n")
    assert found
    assert found[1] == datetime(2010, 11, 26)


def _layout(name: str) -> Layout:
    each = SOURCE.layouts[name]
    return Layout(each.delimiter, tuple(each.time), each.time_format, each.value, tuple(each.missing), ENERGY.time_zone)


def household_until(now: datetime, days: int, seed: int = 42) -> tuple[bytes, meters.MeterReport]:
    store = MemoryStore()
    report = household.seed_household(store, ENERGY, nothing, days=days, seed=seed, clock=lambda: now)
    assert store.writes == ["energy/incoming/ratchet_seed.json", "energy/incoming/household.csv"]
    return store.objects[store.writes[1]].body, report


@pytest.mark.parametrize(("day", "lines"), [("25/10/2026", 100), ("29/03/2026", 92), ("01/03/2026", 96)])
def test_a_day_has_its_hours_when_the_clocks_change(day: str, lines: int) -> None:
    end = datetime.strptime(day, "%d/%m/%Y").replace(tzinfo=UTC) + timedelta(days=2)
    body, _ = household_until(end, 4)
    counted = Counter(line.split(b";")[1][:2] for line in body.splitlines() if line.startswith(day.encode()))
    assert counted.total() == lines
    assert counted[b"02"] == 4 + lines - 96


def test_the_product_reads_a_household_step_by_step() -> None:
    body, report = household_until(datetime(2026, 11, 1, tzinfo=UTC), 240)
    aside = Aside()
    blocks = readings_in(body, _layout("uci"), aside)
    at, value = (np.concatenate(each) for each in zip(*((block.at, block.value) for block in blocks), strict=True))
    assert not aside.counts
    assert (np.diff(at) == 15 * 60_000_000).all()
    assert len(at) == report.readings == 240 * 96
    assert 0.001 < np.isnan(value).mean() < 0.2
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(at[-1])) == report.last


def test_a_household_is_a_household() -> None:
    walls = [datetime(2025, 1, 1) + timedelta(minutes=15 * step) for step in range(365 * 96)]
    kilowatts = household.power(walls, 15, np.random.default_rng(1))
    hour = np.array([at.hour for at in walls])
    month = np.array([at.month for at in walls])
    weekend = np.array([at.weekday() >= 5 for at in walls])
    assert kilowatts.min() > 0
    assert kilowatts[hour == 20].mean() > 2 * kilowatts[hour == 3].mean()
    assert kilowatts[month == 1].mean() > 1.5 * kilowatts[month == 7].mean()
    assert kilowatts[weekend & (hour == 13)].mean() > 1.2 * kilowatts[~weekend & (hour == 13)].mean()


def test_a_household_depends_on_its_seed_and_says_that_it_is_none() -> None:
    bodies = [household_until(NOW, 3, seed)[0] for seed in (1, 1, 2)]
    assert bodies[0] == bodies[1] != bodies[2]
    assert household_until(NOW, 3)[1].synthetic is True
