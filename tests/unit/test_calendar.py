"""The calendar's oddities: clocks that change in spring and autumn, a leap day, the end of a year."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from ratchet.catalog import load, names
from ratchet.instants import iso, parse_instant, run_name
from ratchet.tables.split import split

from local.emulator.schedules import next_instant
from tests.bundles import champion, returns
from tests.fake_source import FakeSource, rows_every
from tests.fakes import Clock, MemoryStore
from tests.landed import returns as with_data
from tests.unit.test_claim import take
from tests.unit.test_emulator_schedules import BERLIN, NEW_YORK, every, schedule
from tests.unit.test_extract import KEYS, landed, run_all
from tests.unit.test_score import MemorySource, score

HOUR, DAY, SLOT = timedelta(hours=1), timedelta(days=1), timedelta(minutes=10)
TURNS = {"a leap day": datetime(2028, 2, 29, tzinfo=UTC), "a year's end": datetime(2026, 12, 31, tzinfo=UTC)}
CHANGES = [
    (BERLIN, date(2026, 3, 29), 23),
    (BERLIN, date(2026, 10, 25), 25),
    (NEW_YORK, date(2026, 3, 8), 23),
    (NEW_YORK, date(2026, 11, 1), 25),
]


def hours(zone: str, day: date) -> list[datetime]:
    """The instants at which an hour begins on that day, written as a clock on the wall there shows them."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) - DAY
    instants = [(start + hour * HOUR).astimezone(ZoneInfo(zone)) for hour in range(72)]
    return [instant for instant in instants if instant.date() == day]


@pytest.mark.parametrize(("zone", "day", "count"), CHANGES, ids=[f"{zone} {day}" for zone, day, _ in CHANGES])
def test_every_hour_of_a_day_on_which_clocks_change_is_a_run_of_its_own_in_order(
    zone: str, day: date, count: int
) -> None:
    store, runs = MemoryStore(), []
    for number, instant in enumerate(hours(zone, day)):
        text, clock = instant.isoformat(), Clock(instant.astimezone(UTC))
        ours, standing = take(store, clock, {"scheduledTime": text}, f"execution {number}")
        again, same = take(store, clock, {"scheduledTime": iso(instant)}, "the trigger again")
        assert (ours, again, same) == (True, False, standing)
        runs.append(standing.run_ts)
    assert len(runs) == count
    assert runs == sorted(set(runs))


def test_pipelines_name_time_zones_that_there_are() -> None:
    assert {ZoneInfo(load(name).time_zone).key for name in names()}


def test_the_night_on_which_an_hour_is_repeated_has_every_slot_scored_once(tmp_path: Path) -> None:
    start, end = datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, 4, tzinfo=UTC)
    calls = [start]
    while calls[-1] < end:
        following = next_instant(schedule(BERLIN), calls[-1], every(10))
        assert following
        calls.append(following)
    # The schedule itself is silent for an hour.
    assert max(b - a for a, b in pairwise(calls)) == HOUR + SLOT
    assert scored(calls, start, end, tmp_path) == [start + slot * SLOT for slot in range(37)]


def test_a_leap_day_has_every_slot_scored_once_below_its_own_date(tmp_path: Path) -> None:
    start, end = datetime(2028, 2, 28, 23, tzinfo=UTC), datetime(2028, 3, 1, 1, tzinfo=UTC)
    slots = [start + slot * SLOT for slot in range((end - start) // SLOT + 1)]
    assert scored(slots, start, end, tmp_path) == slots


def scored(calls: list[datetime], start: datetime, end: datetime, folder: Path) -> list[datetime]:
    """What scoring answers that it scored; each has one object, below its date in UTC."""
    store = MemoryStore()
    loaded = champion(store, folder)
    source = MemorySource({start + slot * SLOT: 0.5 for slot in range((end - start) // SLOT + 1)})
    found = [text for now in calls for text in score(loaded, store, source, now)["scored"]]
    instants = [parse_instant(text) for text in found]
    keys = [key for key in store.writes if key.endswith(".jsonl")]
    assert keys == [returns().keys.predictions(instant.date(), run_name(instant)) for instant in instants]
    return instants


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS.keys())
def test_rows_land_on_the_days_that_there_are(turn: datetime) -> None:
    store, source = (
        MemoryStore(),
        FakeSource({"left": rows_every(60, 72, turn - DAY), "right": rows_every(60, 1, turn)}),
    )
    run_all(store, source, Clock(turn + 3 * DAY))
    days = [key.rpartition("dt=")[2][:10] for key in store.objects if key.startswith(KEYS.landing_root("left") + "dt=")]
    assert sorted(days) == [f"{turn + step * DAY:%Y-%m-%d}" for step in (-1, 0, 1)]
    assert landed(store) == source.tables["left"]


@pytest.mark.parametrize("days_before", [30, 31, 32])
@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS.keys())
def test_a_row_deleted_on_such_a_day_is_missed_wherever_a_window_ends(turn: datetime, days_before: int) -> None:
    clock, start = Clock(turn + 3 * DAY), turn - days_before * DAY
    store, source = MemoryStore(), FakeSource({"left": rows_every(720, 2 * days_before + 5, start)})
    source.tables["right"] = rows_every(60, 1, turn)
    run_all(store, source, clock)
    del source.tables["left"][turn + 12 * HOUR]
    clock.forward(hours=25)
    run_all(store, source, clock, run="r2")
    assert landed(store) == source.tables["left"]


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS.keys())
def test_an_embargo_over_such_a_day_is_as_long_as_any(turn: datetime) -> None:
    data = with_data(embargo_minutes=120).data
    first = np.datetime64(turn.replace(tzinfo=None), "us") - np.timedelta64(7000, "m")
    instants = (first + np.arange(1000) * np.timedelta64(10, "m")).astype(np.int64)
    parts = split(instants, data).parts(instants)
    edges = [instants[parts == part].astype("datetime64[us]") for part in range(3)]
    assert edges[1][0].astype("datetime64[m]").item().replace(tzinfo=UTC) == turn
    for before, after in pairwise(edges):
        assert after[0] - before[-1] == np.timedelta64(130, "m")
