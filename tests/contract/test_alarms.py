"""The alarms: each reaches a person, and those on the champion watch exactly what scoring writes."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from ratchet.catalog import names
from ratchet.errors import StaleInput
from ratchet.extraction.source import Page, PageBuilder
from ratchet.serving.champion import follower
from ratchet.sources import Table

from functions.score import app
from tests.bundles import promote
from tests.contract.application import RESOURCES, TEMPLATE, of_type
from tests.fakes import MemoryStore

ALARMS = {name: resource["Properties"] for name, resource in of_type("AWS::CloudWatch::Alarm").items()}


class Context:
    """What Lambda hands a handler beside the event."""

    function_name = memory_limit_in_mb = invoked_function_arn = aws_request_id = "x"


class Ports:
    """A bucket, and a source without a row."""

    def __init__(self) -> None:
        self.bucket = MemoryStore()

    def store(self) -> MemoryStore:
        return self.bucket

    reader = store

    def source(self) -> "Ports":
        return self

    def page(self, name: str, table: Table, **bounds: Any) -> Page:
        return PageBuilder(table, 1).build(None)


def written(pipeline: str, folder: Path) -> dict[str, dict[str, Any]]:
    """What scoring by schedule tells CloudWatch while a new champion does not serve: by metric, what it says of it."""
    ports, said = Ports(), io.StringIO()
    follower.cache_clear()
    promote(ports.bucket, folder, pipeline=pipeline)
    follower(pipeline).current(ports.bucket)
    promote(ports.bucket, folder, "2026-11-21T05-00-00Z", b"no graph", pipeline=pipeline)
    with contextlib.redirect_stdout(said), contextlib.suppress(StaleInput):
        app.handler({"pipeline": pipeline}, Context(), ports)
    follower.cache_clear()
    lines = [json.loads(line) for line in said.getvalue().splitlines() if '"_aws"' in line]
    return {
        metric["Name"]: {"Namespace": told["Namespace"], **{name: line[name] for name in told["Dimensions"][0]}}
        for line in lines
        for told in line["_aws"]["CloudWatchMetrics"]
        for metric in told["Metrics"]
    }


@pytest.mark.parametrize("name", sorted(ALARMS))
def test_an_alarm_says_what_is_wrong_to_the_people_of_the_topic(name: str) -> None:
    assert ALARMS[name]["AlarmDescription"]
    assert ALARMS[name]["AlarmActions"] == [{"Ref": "OutcomesTopic"}]
    statements = RESOURCES["OutcomesTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert any("cloudwatch.amazonaws.com" in each["Principal"]["Service"] for each in statements)
    assert RESOURCES["OutcomesEmail"]["Properties"]["TopicArn"] == {"Ref": "OutcomesTopic"}


@pytest.mark.parametrize("pipeline", names())
def test_the_alarms_on_a_champion_watch_what_scoring_writes_and_nothing_else(pipeline: str, tmp_path: Path) -> None:
    found = written(pipeline, tmp_path)
    watched = {
        alarm["MetricName"]: {"Namespace": alarm["Namespace"], **dimensions(alarm)}
        for name, alarm in ALARMS.items()
        if name.startswith(pipeline) and not alarm["Namespace"].startswith("AWS/")
    }
    assert [facts["pipeline"] for facts in found.values()] == [pipeline] * len(found)
    stack = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
    assert {facts["service"] for facts in found.values()} == {app.logger.service}
    assert watched == {name: {**facts, "service": stack, "pipeline": pipeline} for name, facts in found.items()}


@pytest.mark.parametrize("pipeline", names())
def test_a_single_answer_of_the_champion_before_raises_the_alarm(pipeline: str) -> None:
    alarm = ALARMS[f"{pipeline}ChampionNotServingAlarm"]
    assert (alarm["Statistic"], alarm["ComparisonOperator"], alarm["Threshold"]) == ("Sum", "GreaterThanThreshold", 0)
    assert alarm["EvaluationPeriods"] == 1
    # Nothing is written while the champion serves.
    assert alarm["TreatMissingData"] == "notBreaching"


def test_a_refusal_raises_the_alarm_on_errors_however_scoring_was_called() -> None:
    """Lambda counts the errors of all calls under the function's name alone, whatever the alias and the event."""
    alarm = ALARMS["ScoringErrorsAlarm"]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", "Errors")
    assert dimensions(alarm) == {"FunctionName": {"Ref": "ScoreFunction"}}


def dimensions(alarm: dict[str, Any]) -> dict[str, Any]:
    return {dimension["Name"]: dimension["Value"] for dimension in alarm["Dimensions"]}
