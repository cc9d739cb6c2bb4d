"""The HTTP API in the template: what asks for a signature, what is limited, and which routes it knows."""

import json
from typing import Any

import pytest
from ratchet.api import paths
from ratchet.catalog import load

from tests.contract.application import OUTPUTS, RESOURCES, TEMPLATE

FUNCTION = RESOURCES["ApiFunction"]["Properties"]
API = RESOURCES["HttpApi"]["Properties"]
ROUTES = API["DefinitionBody"]["paths"]
DEFAULT = ROUTES[paths.DEFAULT]["x-amazon-apigateway-any-method"]


def test_starting_a_run_is_an_event_of_its_own_that_takes_a_signature() -> None:
    (event,) = FUNCTION["Events"].values()
    told = event["Properties"]
    assert (event["Type"], f"{told['Method']} {told['Path']}") == ("HttpApi", paths.GUARDED)
    assert told["Auth"] == {"Authorizer": "AWS_IAM"}
    assert API["Auth"]["EnableIamAuthorizer"] is True


def test_all_else_is_authorised_as_the_parameter_says_and_by_signature_if_nobody_says_anything() -> None:
    assert set(ROUTES) == {paths.DEFAULT}
    condition, open_to_all, signed = DEFAULT["security"]["Fn::If"]
    assert TEMPLATE["Conditions"][condition] == {"Fn::Equals": [{"Ref": "ApiAuthorizer"}, "NONE"]}
    assert (open_to_all, signed) == ([], [{"AWS_IAM": []}])
    parameter = TEMPLATE["Parameters"]["ApiAuthorizer"]
    assert (parameter["Default"], set(parameter["AllowedValues"])) == ("AWS_IAM", {"AWS_IAM", "NONE"})


def test_both_routes_call_the_published_function_in_one_format() -> None:
    integration = DEFAULT["x-amazon-apigateway-integration"]
    assert integration["uri"]["Fn::Sub"].endswith("/functions/${ApiFunction.Arn}:live/invocations")
    assert integration["payloadFormatVersion"] == "2.0"
    permission = RESOURCES["ApiPermission"]["Properties"]
    assert permission["FunctionName"] == {"Ref": "ApiFunction.Alias"}
    assert permission["SourceArn"]["Fn::Sub"].endswith(":${HttpApi}/*/$default")


def test_an_answer_is_there_before_the_gateway_gives_up() -> None:
    assert FUNCTION["Timeout"] < 30


@pytest.mark.parametrize("limit", ["Rate", "Burst"])
def test_requests_are_limited_by_a_parameter(limit: str) -> None:
    assert API["DefaultRouteSettings"][f"Throttling{limit}Limit"] == {"Ref": f"Api{limit}"}
    assert TEMPLATE["Parameters"][f"Api{limit}"]["Default"] > 0


def test_every_request_is_logged_as_json_where_logs_expire() -> None:
    settings: dict[str, Any] = API["AccessLogSettings"]
    assert {"path", "status", "caller"} <= set(json.loads(settings["Format"]))
    group = RESOURCES[settings["DestinationArn"]["Fn::GetAtt"][0]]["Properties"]
    assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_it_serves_a_pipeline_that_is_predicted_on_request() -> None:
    told = FUNCTION["Environment"]["Variables"]
    pipeline = load(told["RATCHET_API_PIPELINE"])
    assert (pipeline.source.kind, pipeline.serving.catch_up_slots) == ("sensors", 0)
    assert told["RATCHET_API_MACHINE"]["Fn::Sub"].endswith(f":stateMachine:${{AWS::StackName}}-{pipeline.name}")


def test_the_command_line_is_told_where_it_is() -> None:
    assert OUTPUTS["ApiUrl"]["Value"] == {"Fn::GetAtt": ["HttpApi", "ApiEndpoint"]}
    assert OUTPUTS["ApiFunction"]["Value"] == {"Ref": "ApiFunction"}
