"""State machine definitions in YAML, and when schedules fire."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.emulator.schedules import latest_due, next_instant, with_attributes
from local.emulator.yaml_definitions import as_json

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def no_cron(expression: str, after: datetime) -> datetime | None:
    raise AssertionError("not a cron expression")


def daily_at_four(expression: str, after: datetime) -> datetime:
    today = after.replace(hour=4, minute=0, second=0, microsecond=0)
    return today if today > after else today + timedelta(days=1)


def schedule(expression: str, zone: str = "UTC", **more: Any) -> dict[str, Any]:
    created = (NOON - timedelta(minutes=5)).timestamp()
    return {"ScheduleExpression": expression, "ScheduleExpressionTimezone": zone, "CreationDate": created, **more}


def test_yaml_becomes_json_and_dates_stay_text() -> None:
    machine = json.loads(as_json("StartAt: A\nStates:\n  A: {Type: Pass, Output: {since: 2026-11-21}}\n"))
    assert machine["States"]["A"]["Output"] == {"since": "2026-11-21"}


def test_json_stays_as_it_is() -> None:
    assert as_json('{"StartAt":  "A"}') == '{"StartAt":  "A"}'


@pytest.mark.parametrize(("text", "said"), [("a: [b", "neither JSON nor YAML"), ("just text", "not a mapping")])
def test_a_definition_that_is_neither_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        as_json(text)


def test_cron_is_read_in_the_schedules_time_zone() -> None:
    assert next_instant(schedule("cron(0 4 * * ? *)", "Asia/Seoul"), NOON, daily_at_four) == NOON.replace(hour=19)


def test_a_time_zone_with_summer_time_keeps_the_wall_clock() -> None:
    before = datetime(2026, 10, 24, 12, tzinfo=UTC)
    berlin = schedule("cron(0 4 * * ? *)", "Europe/Berlin")
    assert next_instant(berlin, before, daily_at_four) == datetime(2026, 10, 25, 3, tzinfo=UTC)
    assert next_instant(berlin, before - timedelta(days=1), daily_at_four) == datetime(2026, 10, 24, 2, tzinfo=UTC)


def test_a_rate_counts_from_the_schedules_creation() -> None:
    assert next_instant(schedule("rate(10 minutes)"), NOON, no_cron) == NOON + timedelta(minutes=5)
    assert next_instant(schedule("rate(1 hour)"), NOON, no_cron) == NOON + timedelta(minutes=55)


def test_a_single_instant_fires_once() -> None:
    once = schedule("at(2026-11-21T21:00:10)", "Asia/Seoul")
    instant = NOON + timedelta(seconds=10)
    assert next_instant(once, NOON, no_cron) == instant
    assert next_instant(once, instant, no_cron) is None


def test_of_missed_occurrences_the_latest_fires() -> None:
    now = NOON + timedelta(minutes=38)
    assert latest_due(schedule("rate(10 minutes)"), NOON, now, no_cron) == NOON + timedelta(minutes=35)
    assert latest_due(schedule("rate(10 minutes)"), now, now + timedelta(minutes=1), no_cron) is None


@pytest.mark.parametrize("dates", [{"EndDate": NOON.timestamp()}, {"StartDate": "2026-11-22T00:00:00+00:00"}])
def test_nothing_fires_outside_start_and_end(dates: dict[str, Any]) -> None:
    assert latest_due(schedule("rate(10 minutes)", **dates), NOON, NOON + timedelta(hours=1), no_cron) is None


def test_context_attributes_are_filled_in() -> None:
    text = '["<aws.scheduler.scheduled-time>", "<aws.scheduler.schedule-arn>", "<aws.scheduler.execution-id>"]'
    assert json.loads(with_attributes(text, "arn:s", NOON, "e1")) == ["2026-11-21T12:00:00Z", "arn:s", "e1"]
