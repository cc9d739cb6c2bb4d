"""EventBridge Scheduler as AWS documents it: time zones, and the context attributes a schedule's input may carry.

ministack's CloudFormation drops the time zone, its firing ignores it, and it leaves `<aws.scheduler.scheduled-time>` as
it is. Known differences: no retries, no dead-letter queue, no flexible window, the schedule's role is not checked; a
rate begins an interval after the schedule was made; of the occurrences missed while the machine slept only the latest
fires.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

logger = logging.getLogger(__name__)

TICK_SECONDS = 1
_DROPPED_BY_CLOUDFORMATION = {
    "ScheduleExpressionTimezone": "UTC",
    "StartDate": None,
    "EndDate": None,
    "KmsKeyArn": None,
}
_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_UNIT_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}

Schedule = Mapping[str, Any]
NextCron = Callable[[str, datetime], datetime | None]
"""The first minute after a wall-clock time that a cron expression names, both written as UTC."""


def next_instant(schedule: Schedule, after: datetime, next_cron: NextCron) -> datetime | None:
    """The first instant later than `after` at which the schedule fires, in UTC; None when there is none."""
    expression, zone = schedule["ScheduleExpression"], ZoneInfo(schedule.get("ScheduleExpressionTimezone") or "UTC")
    if expression.startswith("at("):
        instant = datetime.fromisoformat(expression[3:-1]).replace(tzinfo=zone).astimezone(UTC)
        return instant if instant > after else None
    rate = _RATE.fullmatch(expression)
    if rate is not None:
        created = datetime.fromtimestamp(schedule["CreationDate"], UTC)
        step = timedelta(seconds=int(rate[1]) * _UNIT_SECONDS[rate[2]])
        return created + max(1, (after - created) // step + 1) * step
    return _next_on_the_wall(expression, zone, after, next_cron)


def _next_on_the_wall(expression: str, zone: ZoneInfo, after: datetime, next_cron: NextCron) -> datetime | None:
    """As AWS has it where the clocks change: no occurrence at a time that they skip, one at a time that they repeat.

    Which of the two AWS does not say; here it is the first.
    """
    wall = next_cron(expression, after.astimezone(zone).replace(tzinfo=UTC, fold=0))
    while wall is not None:
        instant = wall.replace(tzinfo=zone).astimezone(UTC)
        if instant > after and instant.astimezone(zone).replace(tzinfo=UTC, fold=0) == wall:
            return instant
        wall = next_cron(expression, wall)
    return None


def latest_due(schedule: Schedule, after: datetime, now: datetime, next_cron: NextCron) -> datetime | None:
    """The last instant in (`after`, `now`] at which the schedule fires, within its start and end dates."""
    due = None
    while (instant := next_instant(schedule, due or after, next_cron)) is not None and instant <= now:
        due = instant
    if due is None or not _date(schedule, "StartDate", due) <= due <= _date(schedule, "EndDate", due):
        return None
    return due


def with_attributes(text: str, schedule_arn: str, instant: datetime, execution: str) -> str:
    """The input of a target with AWS's context attributes filled in."""
    attributes = {
        "schedule-arn": schedule_arn,
        "scheduled-time": instant.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "execution-id": execution,
        "attempt-number": "1",
    }
    for name, value in attributes.items():
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return text


def _date(schedule: Schedule, name: str, default: datetime) -> datetime:
    value = schedule.get(name)
    if value is None:
        return default
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    return datetime.fromisoformat(value)


class Ticker:
    """Fires what is due, once per occurrence."""

    def __init__(self, started: datetime) -> None:
        """Occurrences up to `started` count as missed."""
        self._started = started
        self._seen: dict[Any, datetime] = {}

    def tick(self) -> None:
        """Look at every schedule once."""
        from ministack.services import scheduler

        now = datetime.now(UTC)
        for key, schedule in list(scheduler._schedules._data.items()):
            due = self.due(key, schedule, now, _next_cron)
            if due is not None:
                self._fire(key, schedule, due)

    def due(self, key: Any, schedule: Schedule, now: datetime, next_cron: NextCron) -> datetime | None:
        """The occurrence to fire now, if there is one; asked again, the next one, also where the clock was set back."""
        created = datetime.fromtimestamp(schedule["CreationDate"], UTC)
        after = max(self._seen.get(key, self._started), created)
        self._seen[key] = max(after, now)
        return latest_due(schedule, after, now, next_cron) if schedule["State"] == "ENABLED" else None

    def _fire(self, key: Any, schedule: Schedule, due: datetime) -> None:
        from ministack.core import responses
        from ministack.services import eventbridge, scheduler

        account, region, _ = key
        responses.set_request_account_id(account)
        responses.set_request_region(region)
        execution = responses.new_uuid()
        target = dict(schedule["Target"])
        if target.get("Input"):
            target["Input"] = with_attributes(target["Input"], schedule["Arn"], due, execution)
        eventbridge._invoke_target(target, _event(schedule, due, execution, account, region), schedule)
        if schedule["ScheduleExpression"].startswith("at(") and schedule.get("ActionAfterCompletion") == "DELETE":
            scheduler._schedules._data.pop(key, None)


def _event(schedule: Schedule, due: datetime, execution: str, account: str, region: str) -> dict[str, Any]:
    """What a target without an input of its own is told."""
    return {
        "EventId": execution,
        "Source": "aws.scheduler",
        "DetailType": "Scheduled Event",
        "Detail": json.dumps({}),
        "Time": due.timestamp(),
        "Resources": [schedule["Arn"]],
        "Account": account,
        "Region": region,
    }


def _next_cron(expression: str, after: datetime) -> datetime | None:
    from ministack.services import eventbridge

    fields = eventbridge._parse_cron_fields(expression)
    if fields is None:
        logger.warning("A schedule's expression is not understood and never fires: %s", expression)
        return None
    following: datetime | None = eventbridge._cron_next_fire(fields, after)
    return following


def _keeping(provision: Callable[..., Any]) -> Callable[..., Any]:
    """A provisioner of schedules that also keeps the properties ministack's drops."""
    from ministack.services import scheduler

    def kept(*arguments: Any) -> Any:
        result = provision(*arguments)
        properties = next(each for each in reversed(arguments) if isinstance(each, dict))
        record = scheduler._schedules[f"{properties.get('GroupName', 'default')}/{result[0]}"]
        record.update({name: properties.get(name, value) for name, value in _DROPPED_BY_CLOUDFORMATION.items()})
        return result

    return kept


def install() -> None:
    """Take over the firing, and complete what CloudFormation provisions."""
    from ministack.services import scheduler
    from ministack.services.cloudformation import provisioners

    scheduler._SCHEDULE_TICK_INTERVAL = TICK_SECONDS
    scheduler._tick_schedules = Ticker(datetime.now(UTC)).tick
    handlers = provisioners._RESOURCE_HANDLERS["AWS::Scheduler::Schedule"]
    for action in ("create", "update"):
        handlers[action] = _keeping(handlers[action])
