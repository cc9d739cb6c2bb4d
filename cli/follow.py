"""Follows an execution of Step Functions, nested ones included, and shows its steps as a live table."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ratchet.executions import message_in
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cli.output import duration

POLL_SECONDS = 1.0
ENDED = {"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"}
SHOWN_TYPES = ("Task", "Map", "Parallel", "Wait")
MARKS = {"running": ("●", "yellow"), "done": ("✓", "green"), "failed": ("✗", "red")}


@dataclass
class Step:
    """One visited state of an execution: how often, how long in all, and how it stands."""

    name: str
    depth: int
    state: str
    entered: datetime
    seconds: float = 0.0
    visits: int = 1
    ended: datetime | None = None
    error: str = ""

    def row(self, now: datetime) -> tuple[Text, str, str]:
        """Mark and name, duration, note."""
        mark, colour = MARKS[self.state]
        seconds = self.seconds + ((now - self.entered).total_seconds() if self.state == "running" else 0)
        note = f"{self.visits} times" if self.visits > 1 else ""
        return Text.assemble("  " * self.depth, (mark, colour), " ", self.name), duration(seconds), self.error or note


class Follower:
    """Reads an execution's history again and again; `states` is a boto3 client of Step Functions."""

    def __init__(self, states: Any, execution: str) -> None:
        """Nothing is read before `steps` or `wait`."""
        self._states, self.execution = states, execution

    def describe(self) -> dict[str, Any]:
        """The execution as Step Functions describes it."""
        answer: dict[str, Any] = self._states.describe_execution(executionArn=self.execution)
        return answer

    def steps(self, execution: str | None = None, depth: int = 0) -> list[Step]:
        """The visited states in order, those of nested executions below the state that started them."""
        steps: list[Step] = []
        nested: dict[str, list[Step]] = {}
        current: Step | None = None
        for event in self._events(execution or self.execution):
            kind = event["type"]
            if kind.endswith("StateEntered"):
                current = _enter(steps, event, depth)
            elif kind.endswith("StateExited") and current:
                current.seconds += (event["timestamp"] - current.entered).total_seconds()
                current.state, current.ended = "done", event["timestamp"]
            elif kind == "TaskSubmitted" and current and depth == 0:
                child = json.loads(event["taskSubmittedEventDetails"].get("output") or "{}").get("ExecutionArn")
                nested[current.name] = self.steps(child, depth + 1) if child else []
            elif current and kind in {"TaskFailed", "LambdaFunctionFailed", "TaskTimedOut", "ExecutionFailed"}:
                _fail(current, event)
        return [row for step in steps for row in (step, *nested.get(step.name, ())) if row.name]

    def wait(self, console: Console) -> dict[str, Any]:
        """Shows the steps until the execution ends, and returns its description."""
        if not console.is_terminal:
            return self._wait_in_lines(console)
        with Live(console=console, refresh_per_second=4, transient=False) as live:
            while True:
                description = self.describe()
                live.update(table(self.steps(), datetime.now(UTC)))
                if description["status"] in ENDED:
                    return description
                time.sleep(POLL_SECONDS)

    def _wait_in_lines(self, console: Console) -> dict[str, Any]:
        """For logs: one line as each step ends."""
        told: set[tuple[str, int]] = set()
        while True:
            description = self.describe()
            now = datetime.now(UTC)
            # A state that runs a nested execution ends after the steps of that.
            for step in sorted(self.steps(), key=lambda step: step.ended or now):
                if step.state != "running" and (step.name, step.visits) not in told:
                    told.add((step.name, step.visits))
                    name, seconds, note = step.row(now)
                    console.print(f"{name.plain}  {seconds}  {note}".rstrip(), markup=False)
            if description["status"] in ENDED:
                return description
            time.sleep(POLL_SECONDS)

    def _events(self, execution: str) -> Iterator[dict[str, Any]]:
        pages = self._states.get_paginator("get_execution_history").paginate(
            executionArn=execution, PaginationConfig={"PageSize": 1000}
        )
        for page in pages:
            yield from page["events"]


def table(steps: list[Step], now: datetime) -> Table:
    """The steps as a table."""
    grid = Table.grid(padding=(0, 3))
    grid.add_column(min_width=34)
    grid.add_column(justify="right", min_width=10)
    grid.add_column(style="dim", overflow="fold")
    for step in steps:
        grid.add_row(*step.row(now))
    return grid


def _enter(steps: list[Step], event: dict[str, Any], depth: int) -> Step | None:
    """The step of an entered state; a state visited before keeps its row. Choices and ends are no steps."""
    if not event["type"].startswith(SHOWN_TYPES):
        return None
    name = event["stateEnteredEventDetails"]["name"]
    for step in steps:
        if step.name == name:
            step.visits, step.state, step.entered, step.error = step.visits + 1, "running", event["timestamp"], ""
            return step
    steps.append(Step(name, depth, "running", event["timestamp"]))
    return steps[-1]


def _fail(step: Step, event: dict[str, Any]) -> None:
    details: dict[str, Any] = next((value for key, value in event.items() if key.endswith("EventDetails")), {})
    step.error = str(details.get("error", ""))
    if event["type"] == "ExecutionFailed":
        step.state = "failed"


def end_of(description: dict[str, Any]) -> dict[str, Any]:
    """What an execution that has ended came to: its output, or `{outcome: failed, error, reason}`."""
    status = description["status"]
    if status == "SUCCEEDED":
        output: dict[str, Any] = json.loads(description["output"])
        return output
    reason = message_in(description.get("cause") or status)
    return {"outcome": "failed", "error": description.get("error") or status, "reason": reason}
