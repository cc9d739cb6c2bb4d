"""Schedules where clocks change, in leap years and by a wrong clock: as AWS has it, on top of ministack's cron."""

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.emulator.schedules import Ticker, latest_due, with_attributes
from tests.emulated import CHECKOUT, Environments

# In the emulator's environment: the instants of each schedule after the one it begins with.
WALK = """
import json, sys
from datetime import datetime
from local.emulator import schedules

def instants(expression, zone, begin, count):
    instant = datetime.fromisoformat(begin)
    schedule = {"ScheduleExpression": expression, "ScheduleExpressionTimezone": zone}
    schedule["CreationDate"] = instant.timestamp()
    for _ in range(count):
        instant = schedules.next_instant(schedule, instant, schedules._next_cron)
        yield instant.isoformat()

print(json.dumps([list(instants(*case)) for case in json.load(sys.stdin)]))
"""
HOURLY, TEN, DAILY = "cron(0 * * * ? *)", "cron(0/10 * * * ? *)", "cron(30 2 * * ? *)"
BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
SPRING = {BERLIN: "2026-03-29T00:30Z", NEW_YORK: "2026-03-08T06:30Z"}
AUTUMN = {BERLIN: "2026-10-25T00:30Z", NEW_YORK: "2026-11-01T05:30Z"}
CASES: dict[str, tuple[tuple[str, str, str], list[str]]] = {
    "hourly in spring, where an hour is skipped, without a gap": (
        (HOURLY, BERLIN, SPRING[BERLIN]),
        ["03-29 01:00", "03-29 02:00", "03-29 03:00"],
    ),
    "hourly in autumn, not in the hour that is repeated": (
        (HOURLY, BERLIN, "2026-10-24T23:30Z"),
        ["10-25 00:00", "10-25 02:00", "10-25 03:00"],
    ),
    "hourly in New York's spring": ((HOURLY, NEW_YORK, SPRING[NEW_YORK]), ["03-08 07:00", "03-08 08:00"]),
    "hourly in New York's autumn": ((HOURLY, NEW_YORK, "2026-11-01T04:30Z"), ["11-01 05:00", "11-01 07:00"]),
    "daily at a time that spring skips, not on that day": (
        (DAILY, BERLIN, "2026-03-28T00:30Z"),
        ["03-28 01:30", "03-30 00:30", "03-31 00:30"],
    ),
    "daily at a time that New York's spring skips": ((DAILY, NEW_YORK, SPRING[NEW_YORK]), ["03-09 06:30"]),
    "daily at a time that autumn repeats, once": (
        (DAILY, BERLIN, "2026-10-24T02:00Z"),
        ["10-25 00:30", "10-26 01:30"],
    ),
    "every ten minutes until the repeated hour begins, and after it": (
        (TEN, BERLIN, "2026-10-25T00:45Z"),
        ["10-25 00:50", "10-25 02:00", "10-25 02:10"],
    ),
    "asked in the midst of the repeated hour": ((TEN, BERLIN, "2026-10-25T01:20:30Z"), ["10-25 02:00", "10-25 02:10"]),
    "a rate in hours is that of the clock on no wall": (
        ("rate(1 hour)", BERLIN, AUTUMN[BERLIN]),
        ["10-25 01:30", "10-25 02:30"],
    ),
    "a rate in days is 24 hours": (("rate(1 day)", BERLIN, AUTUMN[BERLIN]), ["10-26 00:30", "10-27 00:30"]),
    "on a leap day": (("cron(0 0 29 2 ? *)", "UTC", "2026-01-01T00:00Z"), ["02-29 00:00", "02-29 00:00"]),
    "on the last day of each February": (
        ("cron(0 0 L 2 ? *)", "UTC", "2027-01-01T00:00Z"),
        ["02-28 00:00", "02-29 00:00", "02-28 00:00"],
    ),
    "hourly over a leap day": ((HOURLY, "UTC", "2028-02-28T22:30Z"), ["02-28 23:00", "02-29 00:00", "02-29 01:00"]),
    "every ten minutes from a leap day on": ((TEN, "UTC", "2028-02-29T23:45Z"), ["02-29 23:50", "03-01 00:00"]),
}


@pytest.fixture(scope="module")
def walked(environments: Environments) -> dict[str, list[str]]:
    """What each case fires at, month to minute in UTC."""
    asked = [(*case, len(expected)) for case, expected in CASES.values()]
    done = subprocess.run(
        [str(environments.python("emulator")), "-c", WALK],
        input=json.dumps(asked),
        env={"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    return {name: [f"{text[5:10]} {text[11:16]}" for text in texts] for name, texts in zip(CASES, found, strict=True)}


@pytest.mark.parametrize("name", CASES)
def test_fires(name: str, walked: dict[str, list[str]]) -> None:
    assert walked[name] == CASES[name][1]


def every(minutes: int) -> Callable[[str, datetime], datetime]:
    """A cron that names every so many minutes of the hour."""

    def following(_: str, after: datetime) -> datetime:
        start = after.replace(minute=after.minute - after.minute % minutes, second=0, microsecond=0)
        return start + timedelta(minutes=minutes)

    return following


def schedule(zone: str = BERLIN) -> dict[str, Any]:
    return {
        "ScheduleExpression": TEN,
        "ScheduleExpressionTimezone": zone,
        "CreationDate": 0,
        "State": "ENABLED",
    }


def fired(seconds: int, begin: datetime, step: int = 1) -> list[datetime]:
    """What a ticker fires that looks every so many seconds."""
    ticker = Ticker(begin)
    looks = (begin + timedelta(seconds=second) for second in range(0, seconds, step))
    return [due for now in looks if (due := ticker.due("k", schedule(), now, every(10))) is not None]


def test_nothing_fires_again_in_the_repeated_hour() -> None:
    begin = datetime(2026, 10, 25, 0, 45, tzinfo=UTC)
    assert [f"{due:%H:%M}" for due in fired(5400, begin, step=7)] == ["00:50", "02:00", "02:10"]


def test_of_a_night_that_was_slept_through_the_latest_occurrence_fires() -> None:
    begin, now = datetime(2026, 10, 24, 20, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert latest_due(schedule(), begin, now, every(10)) == datetime(2026, 10, 25, 0, 50, tzinfo=UTC)


def test_the_scheduled_time_is_the_instant_in_utc() -> None:
    (due,) = fired(120, datetime(2026, 10, 25, 1, 59, tzinfo=UTC))
    assert with_attributes("<aws.scheduler.scheduled-time>", "arn", due, "e") == "2026-10-25T02:00:00Z"


@pytest.mark.parametrize("wrong", [timedelta(minutes=10), timedelta(minutes=-10)], ids=["ahead", "behind"])
def test_a_clock_that_is_put_right_fires_every_occurrence_once(wrong: timedelta) -> None:
    begin = datetime(2026, 11, 21, 4, 5, tzinfo=UTC)
    ticker = Ticker(begin + wrong)
    minutes = [begin + timedelta(minutes=minute) for minute in range(60)]
    looks = [now + wrong if now < begin + timedelta(minutes=20) else now for now in minutes]
    found = [due for now in looks if (due := ticker.due("k", schedule(), now, every(10))) is not None]
    last = begin + timedelta(minutes=55)
    assert found == [found[0] + number * timedelta(minutes=10) for number in range(len(found))]
    assert found[-1] == last
