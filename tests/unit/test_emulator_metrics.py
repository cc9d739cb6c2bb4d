"""What CloudWatch takes for metrics in a function's log, and which alarm watches them."""

import json
from typing import Any

import pytest

from local.emulator.embedded_metrics import Datum, embedded


def line(**changes: Any) -> str:
    told = {
        "Namespace": "Ratchet",
        "Dimensions": [["service", "pipeline"]],
        "Metrics": [{"Name": "Age", "Unit": "Count"}],
    }
    document = {"_aws": {"Timestamp": 1, "CloudWatchMetrics": [told]}, "service": "s", "pipeline": "p", "Age": [8.0]}
    return json.dumps(document | changes)


AGE = Datum("Ratchet", "Age", 8.0, "Count", {"service": "s", "pipeline": "p"})


def test_a_metric_is_found_among_other_lines_with_its_dimensions() -> None:
    assert list(embedded(f"START RequestId: 1\n{line()}\n{{}}\nEND RequestId: 1")) == [AGE]


def test_each_of_several_values_counts_and_one_alone_needs_no_list() -> None:
    assert [datum.value for datum in embedded(f"{line(Age=[1, 2])}\n{line(Age=3)}")] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "text",
    ['{"_aws"', '{"_aws": {}}', '{"_aws": 1}', '["_aws"]', line(Age="old"), line(Age=[[1]]), line(Age=[None])],
)
def test_a_line_in_another_shape_is_text(text: str) -> None:
    assert list(embedded(f"{text}\n{line()}")) == [AGE]


def test_an_alarm_watches_its_own_dimensions_alone() -> None:
    alarm = {
        "Namespace": "Ratchet",
        "MetricName": "Age",
        "Dimensions": [{"Name": "pipeline", "Value": "p"}, {"Name": "service", "Value": "s"}],
    }
    assert AGE.watched_by(alarm)
    assert not AGE.watched_by({**alarm, "MetricName": "Other"})
    assert not AGE.watched_by({**alarm, "Dimensions": alarm["Dimensions"][:1]})
