"""`invoke`, the endpoint that follows a rollback, and the routes of `serve`, with clients that are the test's."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from cli import serve
from cli.app import main
from tests.signed import PIPELINE
from tests.unit.test_cli_commands import OUTPUTS, FakeTarget, Lambda, States, ratchet

ANSWER = {"predictions": [{"probability": 0.25, "model_run_ts": "2026-11-21T04-00-00Z", "unknown": ["device_type"]}]}
ROW = '{"age": 31}'


class Runtime:
    """An endpoint that answers as told, or refuses; remembers what it was asked."""

    def __init__(self, **refused: Any) -> None:
        self.refused, self.asked = refused, list[dict[str, Any]]()

    def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
        self.asked.append(request)
        if self.refused:
            raise ClientError(self.refused, "InvokeEndpoint")
        return {"Body": io.BytesIO(json.dumps(ANSWER).encode())}


def invoke(runtime: Runtime, *arguments: str, typed: str = "") -> Any:
    target = FakeTarget(**{"sagemaker-runtime": runtime})
    return CliRunner().invoke(main, ["invoke", *arguments], input=typed, obj=target)


@pytest.mark.parametrize(
    ("option", "body", "kind"),
    [("--json", ROW, "application/json"), ("--csv", "age\n31\n", "text/csv"), ("--csv", "", "text/csv")],
)
def test_a_body_is_handed_on_as_it_is_and_answered_in_json(option: str, body: str, kind: str) -> None:
    runtime = Runtime()
    result = invoke(runtime, "adclick", option, body)
    assert (result.exit_code, json.loads(result.stdout)) == (0, ANSWER)
    asked = {"EndpointName": "ratchet-adclick", "Body": body.encode(), "ContentType": kind}
    assert runtime.asked == [{**asked, "Accept": "application/json"}]


def test_a_body_may_lie_in_a_file_or_come_by_standard_input(tmp_path: Path) -> None:
    path, runtime = tmp_path / "rows.json", Runtime()
    path.write_text(ROW)
    assert invoke(runtime, "adclick", "--json", f"@{path}").exit_code == 0
    assert invoke(runtime, "adclick", "--json", "@-", typed=ROW).exit_code == 0
    assert [asked["Body"] for asked in runtime.asked] == [ROW.encode()] * 2


def test_a_table_shows_a_line_for_each_answer() -> None:
    shown = invoke(Runtime(), "adclick", "--json", ROW, "--table").stdout
    assert "0.2500" in shown
    assert "2026-11-21T04-00-00Z" in shown
    assert "device_type" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["adclick"], "Give --json or --csv"),
        (["adclick", "--json", ROW, "--csv", "age"], "Give --json or --csv"),
        (["returns", "--json", ROW], "ratchet score returns"),
        (["nope", "--json", ROW], "'nope' is not"),
        (["adclick", "--json", "@/nowhere/rows.json"], "/nowhere/rows.json cannot be read"),
        (["adclick", "--json"], "requires an argument"),
    ],
)
def test_bad_usage_asks_nothing(arguments: list[str], said: str) -> None:
    runtime = Runtime()
    result = invoke(runtime, *arguments)
    assert (result.exit_code, result.stdout, runtime.asked) == (2, "", [])
    assert said in result.stderr


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"\xff\xfe")
    result = invoke(Runtime(), "adclick", "--csv", f"@{path}")
    assert (result.exit_code, f"{path} cannot be read" in result.stderr.replace("\n", "")) == (2, True)


def model_error(status: int, said: str) -> dict[str, Any]:
    message = f'Received an error ({status}) from primary with message "{said}".'
    told = {"Error": {"Code": "ModelError", "Message": message}}
    return {**told, "OriginalStatusCode": status, "OriginalMessage": said}


@pytest.mark.parametrize(
    ("refused", "code", "said"),
    [
        (model_error(400, "row 1: 'gender' is missing."), 2, "ratchet: row 1: 'gender' is missing."),
        (model_error(415, "The body is text/html."), 2, "ratchet: The body is text/html."),
        (model_error(500, "KeyError"), 1, "The endpoint ratchet-adclick gives no answer"),
        (
            {"Error": {"Code": "ValidationError", "Message": "Endpoint ratchet-adclick of account 1 not found."}},
            1,
            "gives no answer: Endpoint ratchet-adclick of account 1 not found.",
        ),
    ],
)
def test_a_refusal_is_one_line_and_tells_whose_fault_it_is(refused: dict[str, Any], code: int, said: str) -> None:
    result = invoke(Runtime(**refused), "adclick", "--json", ROW)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (code, "", 1)
    assert said in result.stderr


MOVED = {"from_run_ts": "b", "to_run_ts": "a", "seq": 3, "status": "rolled_back"}


def rolled_back(states: States, pipeline: str = "adclick") -> Any:
    target = FakeTarget(stepfunctions=states, **{"lambda": Lambda(MOVED)})
    target.__dict__["outputs"] = {**OUTPUTS, "DeploymentMachineArn": "arn:deployment"}
    return ratchet(target, "rollback", pipeline, "--why", "worse", "--json")


def test_the_endpoint_follows_a_rollback() -> None:
    states = States(output=json.dumps({"outcome": "in_service", "endpoint": "ratchet-adclick"}))
    result = rolled_back(states)
    assert (result.exit_code, json.loads(result.stdout)) == (0, {**MOVED, "endpoint": "ratchet-adclick"})
    (started,) = states.started
    assert started["stateMachineArn"] == "arn:deployment"
    assert json.loads(started["input"]) == {"pipeline": "adclick", "run_ts": "a", "champion": True}


def test_where_nobody_signs_there_is_no_endpoint_to_follow() -> None:
    states = States()
    assert json.loads(rolled_back(states, "returns").stdout) == MOVED
    assert states.started == []


@pytest.mark.parametrize(
    ("states", "said"),
    [
        (States("FAILED", error="EndpointFailed", cause='{"errorMessage": "No answer to /ping."}'), "No answer to"),
        (States(output='{"outcome": "rejected", "reason": "Its package is Rejected."}'), "Its package is Rejected."),
        (States("ABORTED"), "ABORTED"),
    ],
)
def test_an_endpoint_that_does_not_follow_is_an_error_that_says_so(states: States, said: str) -> None:
    result = rolled_back(states)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "The pointer names a, but its endpoint does not serve it" in result.stderr
    assert said in result.stderr


def answered(method: str, path: str) -> tuple[str, dict[str, Any]]:
    """Which function a request of `ratchet serve` is handed to, and with which event."""
    function = Lambda({"statusCode": 200})
    target = FakeTarget(**{"lambda": function})
    target.__dict__["outputs"] = {**OUTPUTS, "ApiFunction": "api", "ApprovalPageFunction": "page"}
    event = {"rawPath": path, "requestContext": {"http": {"method": method}}, "routeKey": "$default"}
    assert serve._answer(target, event) == {"statusCode": 200}
    ((name, asked),) = function.asked
    return name, asked


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_signed_link_is_answered_by_the_page_it_leads_to(method: str) -> None:
    name, event = answered(method, f"/approvals/{PIPELINE.name}/2026-11-21T04-00-00Z")
    assert name == "page"
    assert event["pathParameters"] == {"pipeline": "adclick", "run": "2026-11-21T04-00-00Z"}
    assert event["routeKey"] == f"{method} /approvals/{{pipeline}}/{{run}}"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/health"),
        ("DELETE", "/approvals/adclick/run"),
        ("GET", "/approvals/adclick"),
        ("GET", "/approvals/adclick/run/more"),
        ("GET", "//approvals/adclick/run"),
    ],
)
def test_everything_else_is_the_apis(method: str, path: str) -> None:
    name, event = answered(method, path)
    assert (name, "pathParameters" in event) == ("api", False)
