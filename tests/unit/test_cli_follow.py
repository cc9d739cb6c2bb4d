"""The live table is read from the execution's history, nested executions included."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from cli.follow import Follower, table
from cli.output import duration

START = datetime(2026, 11, 21, 4, tzinfo=UTC)


class History:
    """Step Functions with one list of events per execution."""

    def __init__(self, **events: list[dict[str, Any]]) -> None:
        self.events = events

    def get_paginator(self, _: str) -> "History":
        return self

    def paginate(self, executionArn: str, **_: Any) -> list[dict[str, Any]]:
        return [{"events": self.events[executionArn]}]

    def describe_execution(self, executionArn: str) -> dict[str, Any]:
        return {"status": "SUCCEEDED", "executionArn": executionArn}


def event(kind: str, second: float, **details: Any) -> dict[str, Any]:
    return {"type": kind, "timestamp": START + timedelta(seconds=second), **details}


def entered(name: str, second: float, kind: str = "Task") -> dict[str, Any]:
    return event(f"{kind}StateEntered", second, stateEnteredEventDetails={"name": name})


def exited(second: float, kind: str = "Task") -> dict[str, Any]:
    return event(f"{kind}StateExited", second)


def rows(history: History) -> list[tuple[str, int, str, float, int, str]]:
    steps = Follower(history, "parent").steps()
    return [(s.name, s.depth, s.state, s.seconds, s.visits, s.error) for s in steps]


def test_a_state_visited_again_keeps_its_row() -> None:
    events = [entered("Extract", 0), exited(2), entered("All extracted?", 2, "Choice"), exited(2, "Choice")]
    history = History(parent=[*events, entered("Extract", 2), exited(5), entered("Prepare", 5)])
    assert rows(history) == [("Extract", 0, "done", 5.0, 2, ""), ("Prepare", 0, "running", 0.0, 1, "")]


def test_nested_steps_stand_below_the_state_that_started_them() -> None:
    submitted = event("TaskSubmitted", 1, taskSubmittedEventDetails={"output": json.dumps({"ExecutionArn": "child"})})
    history = History(
        parent=[entered("Release", 0), submitted, exited(9), entered("Give back the lease", 9), exited(10)],
        child=[entered("Train", 1), exited(7)],
    )
    assert [(name, depth) for name, depth, *_ in rows(history)] == [
        ("Release", 0),
        ("Train", 1),
        ("Give back the lease", 0),
    ]


def test_a_failure_names_the_error_and_marks_the_step() -> None:
    failed = event("LambdaFunctionFailed", 1, lambdaFunctionFailedEventDetails={"error": "SourceRefused"})
    ended = event("ExecutionFailed", 2, executionFailedEventDetails={"error": "SourceRefused"})
    assert rows(History(parent=[entered("Extract", 0), failed, ended])) == [
        ("Extract", 0, "failed", 0.0, 1, "SourceRefused")
    ]


def test_without_a_terminal_each_step_is_one_line() -> None:
    console = Console(force_terminal=False, record=True, width=100)
    Follower(History(parent=[entered("Extract", 0), exited(2)]), "parent").wait(console)
    assert "Extract  2.0 s" in console.export_text()


def test_the_table_counts_on_while_a_step_runs() -> None:
    console = Console(record=True, width=100)
    steps = Follower(History(parent=[entered("Train", 0)]), "parent").steps()
    console.print(table(steps, START + timedelta(seconds=75)))
    assert "1 min 15 s" in console.export_text()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.42, "0.4 s"), (12.4, "12 s"), (185, "3 min 05 s"), (7800, "2 h 10 min"), (356_400, "4 d 3 h")],
)
def test_durations_read_as_a_person_says_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
