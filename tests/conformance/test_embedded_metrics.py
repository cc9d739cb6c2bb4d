"""Metrics that a function prints in CloudWatch's embedded format arrive there, and raise the alarms that watch them."""

import json
from typing import Any

import pytest


@pytest.mark.parametrize(("colour", "state"), [("red", "ALARM"), ("blue", "INSUFFICIENT_DATA")])
def test_a_printed_metric_raises_the_alarm_on_its_own_dimensions(
    emulator: Any, deployment: Any, colour: str, state: str
) -> None:
    watch, name = emulator.client("cloudwatch"), f"Calls-{colour}"
    metric = {"Namespace": "Probe", "MetricName": name, "Dimensions": [{"Name": "colour", "Value": colour}]}
    rule = {"Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1.0}
    watch.put_metric_alarm(AlarmName=name, ComparisonOperator="GreaterThanThreshold", **metric, **rule)
    event = json.dumps({"do": "measure", "name": name})
    reply = emulator.client("lambda").invoke(FunctionName=deployment.outputs["ProbeName"], Payload=event)
    assert "FunctionError" not in reply
    (alarm,) = watch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert alarm["StateValue"] == state
    (found,) = watch.list_metrics(Namespace="Probe", MetricName=name)["Metrics"]
    assert found["Dimensions"] == [{"Name": "colour", "Value": "red"}]
