"""The commands against a target with fake clients: what they ask for, print and exit with."""

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result
from ratchet import catalog, pointer
from ratchet.keys import Keys
from ratchet.sources import TabularFiles
from ratchet.tabular.feature_group import definitions

from cli.app import main
from cli.doctor import check_aws
from cli.targets import Target
from tests import filed
from tests import landed as rows
from tests.fakes import MemoryStore
from tests.unit.test_promote import World

OUTPUTS = {
    "LandingBucket": "bucket",
    "ReturnsMachineArn": "arn:machine",
    "RollbackFunction": "rollback",
    "ScoreFunction": "score",
    "ScheduleNames": "hourly,scoring",
    "FunctionLogGroup": "/ratchet/functions",
}


class FakeTarget(Target):
    """A stack whose clients and bucket are the test's."""

    def __init__(self, store: MemoryStore | None = None, **clients: Any) -> None:
        super().__init__("laptop", "ratchet", None, None, clients)
        self.__dict__["outputs"] = OUTPUTS
        self.__dict__["store"] = store or MemoryStore()


class States:
    """Executions that end at once as told."""

    def __init__(self, status: str = "SUCCEEDED", **ended: Any) -> None:
        self.ended, self.started = {"status": status, **ended}, list[dict[str, Any]]()

    def start_execution(self, **arguments: Any) -> dict[str, str]:
        self.started.append(arguments)
        return {"executionArn": "arn:execution"}

    def describe_execution(self, **_: str) -> dict[str, Any]:
        now = datetime(2026, 11, 21, tzinfo=UTC)
        return {"startDate": now, "stopDate": now + timedelta(seconds=61), **self.ended}

    def get_paginator(self, _: str) -> "States":
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return []


class Lambda:
    """A function that answers as told and remembers what it was asked."""

    def __init__(self, answer: Any, error: bool = False) -> None:
        self.answer, self.error, self.asked = answer, error, list[Any]()

    def invoke(self, FunctionName: str, Payload: bytes) -> dict[str, Any]:
        self.asked.append((FunctionName, json.loads(Payload)))
        answer = {"Payload": io.BytesIO(json.dumps(self.answer).encode())}
        return answer | ({"FunctionError": "Unhandled"} if self.error else {})


def ratchet(target: Target, *arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), obj=target)


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        ("promoted", 0),
        ("kept_champion", 0),
        ("not_enough_data", 0),
        ("no_new_rows", 0),
        ("same_run", 0),
        ("already_running", 3),
    ],
)
def test_the_exit_code_of_a_run_is_its_outcome(outcome: str, code: int) -> None:
    told = {"outcome": outcome, "run_ts": "r", "reason": "Because."}
    result = ratchet(FakeTarget(stepfunctions=States(output=json.dumps(told))), "run", "returns")
    assert result.exit_code == code
    assert outcome.replace("_", " ") in result.stdout
    assert "Because." in result.stdout


def test_a_failed_run_tells_the_innermost_cause() -> None:
    inner = json.dumps({"Error": "SourceRefused", "Cause": json.dumps({"errorMessage": "The key is wrong."})})
    result = ratchet(
        FakeTarget(stepfunctions=States("FAILED", error="SourceRefused", cause=inner)), "run", "returns", "--json"
    )
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert (told["outcome"], told["error"], told["reason"]) == ("failed", "SourceRefused", "The key is wrong.")


def test_a_run_is_named_by_its_instant() -> None:
    states = States(output='{"outcome": "same_run"}')
    ratchet(
        FakeTarget(stepfunctions=states), "run", "returns", "--at", "2026-11-21T04:00:00Z", "--input", '{"limit": 9}'
    )
    assert json.loads(states.started[0]["input"]) == {"limit": 9, "at": "2026-11-21T04-00-00Z"}
    assert states.started[0]["name"].startswith("cli-2026-11-21T04-00-00Z-")


def test_detached_it_returns_the_execution() -> None:
    result = ratchet(FakeTarget(stepfunctions=States()), "run", "returns", "--detach", "--json")
    assert json.loads(result.stdout) == {"execution": "arn:execution"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["run", "nope"], "'nope' is not"),
        (["run", "returns", "--input", "{"], "--input is not JSON"),
        (["run", "returns", "--input", "[1]"], "must be a JSON object"),
        (["run", "returns", "--input", '{"lmit": 1}'], "'lmit' is unknown"),
        (["run", "rul", "--input", '{"limit": 5}'], "'limit' is unknown (known: at, month, resume, sample,"),
        (["run", "energy", "--input", '{"month": "2025-06"}'], "'month' is unknown (known: at, resume, sample,"),
        (["run", "rul", "--input", '{"month": "2025-13"}'], "month is '2025-13', not a month such as 2025-06"),
        (["run", "rul", "--input", '{"sample": -1}'], "sample is -1, not a whole number of rows"),
        (["run", "returns", "--at", "noon"], "'noon' is not an instant"),
        (["run", "returns", "--stack", "x"], "--stack goes with --target aws"),
        (["rollback", "returns"], "--why"),
        (["score", "returns", "--base-ts", "2026-11-21T04:00:00Z"], "--embedding-a, --embedding-b"),
        (["score", "returns", "--base-ts", "x", "--embedding-a", "1", "--embedding-b", "[]"], "JSON list"),
    ],
)
def test_bad_usage_exits_with_2_and_says_what_is_wrong(arguments: list[str], text: str) -> None:
    result = ratchet(FakeTarget(stepfunctions=States()), *arguments)
    assert result.exit_code == 2
    assert text in result.stderr


def test_a_stack_that_is_not_named_is_asked_for() -> None:
    result = CliRunner().invoke(main, ["history", "returns", "--target", "aws"])
    assert result.exit_code == 1
    assert "--stack NAME" in result.stderr


def test_history_shows_the_chain_with_reasons() -> None:
    world = World()
    for run in "ab":
        world.promote(run)
    world.rollback(why="b was worse")
    target = FakeTarget(world.store)
    assert "b was worse" in ratchet(target, "history", "returns").stdout
    rows = json.loads(ratchet(target, "history", "returns", "--json").stdout)
    assert [(row["run_ts"], row["move"]) for row in rows] == [("a", "rollback"), ("b", "promote"), ("a", "promote")]


def test_history_before_the_first_promotion_says_what_to_do() -> None:
    assert "ratchet run returns" in ratchet(FakeTarget(), "history", "returns").stdout


def test_a_foreign_pointer_is_one_line() -> None:
    store = MemoryStore()
    store.put(Keys("").pointer(), b"hello")
    result = ratchet(FakeTarget(store), "history", "returns")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "move it away" in result.stderr


def test_status_tells_champion_run_and_lease() -> None:
    world = World()
    world.promote("2026-11-21T04-00-00Z")
    shown = ratchet(FakeTarget(world.store), "status").stdout
    assert "2026-11-21T04-00-00Z" in shown
    assert "in service for" in shown
    (row,) = (
        r for r in json.loads(ratchet(FakeTarget(world.store), "status", "--json").stdout) if r["pipeline"] == "returns"
    )
    found = pointer.read(world.store, Keys(""))
    assert found
    assert row["champion"]["sha256"] == found[0].sha256


def test_status_tells_what_has_landed_of_every_kind_of_source() -> None:
    store = MemoryStore()
    rows.land(store, "ai_outputs", rows.rows(30)[0])
    filed.fleet(store, days=2, machines=3)
    filed.landed(store, filed.sensors())
    store.put("energy/incoming/a.csv", filed.csv_hours(filed.NOW, [1.0, 2.0]) + b"x")
    filed.landed(store, filed.meters())
    store.put("adclick/datasets/a.csv", filed.impressions("7,Ann,31,Male,,,,,1", "8,Bo,old,,,,,,0"))
    filed.landed(store, filed.clicks())
    told = json.loads(ratchet(FakeTarget(store), "status", "--json").stdout)
    assert {row["pipeline"]: row["landed"] for row in told} == {
        "returns": {"ai_outputs": {"rows": 30, "rejected": 0, "watermark": None}},
        "rul": {"hours": {"parts": 2, "records": 288, "rows": 144, "rejected": 0, "newest": "2026-11-20"}},
        "energy": {"readings": {"parts": 1, "records": 2, "rows": 2, "rejected": 1, "newest": None}},
        "adclick": {"records": {"parts": 1, "records": 1, "rows": 1, "rejected": 1, "newest": None}},
    }
    shown = " ".join(ratchet(FakeTarget(store), "status").stdout.split())
    assert "landed hours 2 parts, 288 records, 144 rows, up to 2026-11-20" in shown
    assert "landed readings 1 part, 2 records, 2 rows, 1 rejected" in shown


def test_status_before_anything_ran_names_every_pipeline() -> None:
    told = json.loads(ratchet(FakeTarget(), "status", "--json").stdout)
    assert [row["pipeline"] for row in told] == catalog.names()
    for row in told:
        name = row.pop("pipeline")
        nothing = {"champion": None, "last_run": None, "approval": None, "lease": None, "landed": {}, "data": None}
        assert row == nothing, name


def test_rollback_asks_the_function_and_shows_the_move() -> None:
    function = Lambda({"from_run_ts": "b", "to_run_ts": "a", "seq": 3, "status": "rolled_back"})
    result = ratchet(FakeTarget(**{"lambda": function}), "rollback", "returns", "--why", "worse", "--to", "a")
    assert "b → a" in result.stdout
    (name, event), *_ = function.asked
    assert (name, event["to"], event["why"]) == ("rollback", "a", "worse")
    assert event["who"]
    assert event["of"] is None


def test_rollback_names_the_model_that_it_takes_back() -> None:
    world, function = World(), Lambda({"from_run_ts": "b", "to_run_ts": "a", "seq": 3, "status": "rolled_back"})
    world.promote("a")
    world.promote("b")
    ratchet(FakeTarget(world.store, **{"lambda": function}), "rollback", "returns", "--why", "worse")
    assert function.asked[0][1]["of"] == "b"


@pytest.mark.parametrize(("kind", "code"), [("UnknownRun", 2), ("BadBundle", 1), ("KeyError", 1)])
def test_a_functions_error_keeps_its_class(kind: str, code: int) -> None:
    function = Lambda({"errorType": kind, "errorMessage": "It is so."}, error=True)
    result = ratchet(FakeTarget(**{"lambda": function}), "rollback", "returns", "--why", "w")
    assert (result.exit_code, result.stderr) == (code, "ratchet: It is so.\n")


def test_the_newest_card_is_fetched(tmp_path: Path) -> None:
    store = MemoryStore()
    for run in ("2026-01-01T00-00-00Z", "2026-01-02T00-00-00Z"):
        store.put(Keys("").card(run), run.encode())
    result = ratchet(FakeTarget(store), "card", "returns", "--output", str(tmp_path / "c.html"))
    assert result.exit_code == 0
    assert (tmp_path / "c.html").read_text() == "2026-01-02T00-00-00Z"


def test_rows_of_a_file_are_scored_and_written(tmp_path: Path) -> None:
    source, output = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"base_ts": "t"}\n\n{"base_ts": "u"}\n')
    function = Lambda([{"base_ts": "t", "pred": {}, "model_run_ts": "r"}] * 2)
    result = ratchet(
        FakeTarget(**{"lambda": function}), "score", "returns", "--jsonl", str(source), "--output", str(output)
    )
    assert result.exit_code == 0
    assert function.asked[0][1]["rows"] == [{"base_ts": "t"}, {"base_ts": "u"}]
    assert len(output.read_text().splitlines()) == 2


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text('{"base_ts": "t"}\n{oops\n')
    result = ratchet(FakeTarget(), "score", "returns", "--jsonl", str(source))
    assert result.exit_code == 2
    assert "line 2" in result.stderr.replace("\n", " ")


def test_a_single_row_is_shown_per_target() -> None:
    function = Lambda([{"base_ts": "t", "pred": {"long": 0.25}, "model_run_ts": "r"}])
    arguments = ["--base-ts", "t", "--embedding-a", "[1]", "--embedding-b", "[2]"]
    result = ratchet(FakeTarget(**{"lambda": function}), "score", "returns", *arguments)
    assert "+0.250" in result.stdout
    assert function.asked[0][1]["rows"] == [{"base_ts": "t", "embedding_a": [1], "embedding_b": [2]}]


class Scheduler:
    """Schedules that remember their last update."""

    def __init__(self) -> None:
        self.updated: list[dict[str, Any]] = []

    def get_schedule(self, Name: str) -> dict[str, Any]:
        return {"Name": Name, "ScheduleExpression": "rate(1 hour)", "Target": {"Arn": "a"}, "State": "ENABLED"}

    def update_schedule(self, **arguments: Any) -> None:
        self.updated.append(arguments)


@pytest.mark.parametrize(("command", "state"), [("pause", "DISABLED"), ("resume", "ENABLED")])
def test_schedules_are_switched_whole(command: str, state: str) -> None:
    scheduler = Scheduler()
    assert ratchet(FakeTarget(scheduler=scheduler), command).exit_code == 0
    assert [(one["Name"], one["State"]) for one in scheduler.updated] == [("hourly", state), ("scoring", state)]
    assert all(one["Target"] == {"Arn": "a"} for one in scheduler.updated)


class Logs:
    """A log group with these lines."""

    def __init__(self, *messages: str) -> None:
        self.messages = messages

    def get_paginator(self, _: str) -> "Logs":
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        where = {"timestamp": 1_795_000_000_000, "logStreamName": "2026/11/18/ratchet-ExtractFunction-1a2b[3]5c6d"}
        return [{"events": [{**where, "message": message} for message in self.messages]}]


def said(function: str, message: str, **fields: Any) -> str:
    return json.dumps({"function_name": f"ratchet-{function}Function-1a2b", "message": message, **fields})


def test_logs_are_lines_with_their_fields() -> None:
    logs = Logs("START RequestId: 1", said("TakeLease", "Lease taken", level="INFO", token=3), said("Score", "Scored"))
    shown = ratchet(FakeTarget(logs=logs), "logs").stdout
    assert "take_lease         Lease taken  token=3" in shown
    assert "START" not in shown
    rows = json.loads(ratchet(FakeTarget(logs=logs), "logs", "score", "--json").stdout)
    assert [row["message"] for row in rows] == ["Scored"]


def test_an_error_that_ended_a_call_stands_among_the_lines_with_its_trace() -> None:
    error = '[ERROR] SourceMismatch: a.csv has other columns.\nTraceback (most recent call last):\n  File "app.py"\n'
    (row,) = json.loads(ratchet(FakeTarget(logs=Logs(error, "END RequestId: 1")), "logs", "extract", "--json").stdout)
    assert (row["level"], row["message"]) == ("ERROR", "SourceMismatch: a.csv has other columns.")
    assert row["exception"].startswith("Traceback")


def test_a_function_that_said_nothing_is_told_with_those_that_did() -> None:
    result = ratchet(FakeTarget(logs=Logs(said("Score", "Scored"))), "logs", "nope")
    assert result.exit_code == 1
    assert "these did: score" in result.stderr


def test_every_command_answers_in_json() -> None:
    for name, each in main.commands.items():
        # What `invoke` prints is JSON as it is, and --json is a body there.
        expected = "json_text" if name == "invoke" else "as_json"
        assert expected in {parameter.name for parameter in each.params}, name
        assert each.help, name


class Answers:
    """A client that answers each call with what is given for it."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def __getattr__(self, name: str) -> Any:
        def answer(**_: Any) -> Any:
            if isinstance(self.answers[name], Exception):
                raise self.answers[name]
            return self.answers[name]

        return answer


class Quotas(Answers):
    """Service Quotas with one page."""

    def get_paginator(self, _: str) -> "Quotas":
        return self

    def paginate(self, **_: str) -> list[dict[str, Any]]:
        return [{"Quotas": [{"QuotaName": name, "Value": value} for name, value in self.answers.items()]}]


TAG = {"Key": "ratchet:retention", "Value": "run"}
RUNS_EXPIRE = {"Filter": {"Tag": TAG}, "Status": "Enabled", "Expiration": {"Days": 30}}


TLS_ONLY = {
    "Policy": '{"Statement": [{"Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}',
}
FEATURES = {
    "FeatureDefinitions": [
        {"FeatureName": name, "FeatureType": kind}
        for name, kind in definitions(catalog.load("adclick").source_as(TabularFiles)).items()
    ]
}


def examined(
    spot: str = "true",
    secret: str = '{"url": "u", "key": "k"}',
    rule: Any = RUNS_EXPIRE,
    group: Any = FEATURES,
    policy: Any = TLS_ONLY,
    **quotas: float,
) -> dict[str, Any]:
    bucket = Answers(
        get_bucket_versioning={"Status": "Enabled"},
        get_bucket_policy=policy,
        get_bucket_notification_configuration={"EventBridgeConfiguration": {}},
        get_bucket_lifecycle_configuration={"Rules": [{"Filter": {"Prefix": "jobs/"}, "Status": "Enabled"}, rule]},
    )
    clients = {
        "s3": bucket,
        "secretsmanager": Answers(get_secret_value={"SecretString": secret}),
        "scheduler": Scheduler(),
        "service-quotas": Quotas(**quotas),
        "sagemaker": Answers(describe_feature_group={"FeatureGroupStatus": "Created", **group}),
    }
    target = FakeTarget(**clients)
    told = {"TrainInstanceType": "ml.g4dn.xlarge", "TrainSpot": spot, "SupabaseSecret": "ratchet/supabase"}
    target.__dict__["outputs"] = {**OUTPUTS, **told, "FeatureGroup": "theirs"}
    return {check.check: check for check in check_aws(target)}


SPOT, ON_DEMAND = "ml.g4dn.xlarge for spot training job usage", "ml.g4dn.xlarge for training job usage"


def test_a_stack_in_order_passes_every_check() -> None:
    assert [check for check in examined(**{SPOT: 1.0}).values() if not check.ok] == []


@pytest.mark.parametrize(
    ("spot", "quotas"), [("true", {ON_DEMAND: 1.0, SPOT: 0.0}), ("false", {ON_DEMAND: 0.0, SPOT: 1.0})]
)
def test_the_quota_that_binds_is_the_one_of_the_capacity_that_is_asked_for(spot: str, quotas: dict[str, float]) -> None:
    found = examined(spot, **quotas)["training quota"]
    assert not found.ok
    assert "TrainInstanceType=ml.m5.xlarge" in found.remedy


@pytest.mark.parametrize(
    "policy",
    [{"Policy": '{"Statement": []}'}, ClientError({"Error": {"Code": "NoSuchBucketPolicy"}}, "GetBucketPolicy")],
)
def test_a_bucket_that_allows_plain_http_is_a_finding_with_its_remedy(policy: Any) -> None:
    found = examined(policy=policy)["bucket policy"]
    assert (found.ok, found.detail) == (False, "allows plain HTTP")
    assert "aws:SecureTransport" in found.remedy


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ({"FeatureDefinitions": FEATURES["FeatureDefinitions"][:-1]}, "theirs lacks click (Integral)"),
        (
            {"FeatureDefinitions": [{**each, "FeatureType": "String"} for each in FEATURES["FeatureDefinitions"]]},
            "theirs lacks age (Fractional), click (Integral)",
        ),
        ({**FEATURES, "FeatureGroupStatus": "Creating"}, "theirs is Creating"),
    ],
)
def test_a_feature_group_has_what_records_have(group: dict[str, Any], said: str) -> None:
    found = examined(group=group)["feature group"]
    assert (found.ok, found.detail) == (False, said)


@pytest.mark.parametrize(
    ("secret", "ok"), [('{"db_url": "postgresql://h/d"}', True), ('{"url": "u"}', False), ("x", False)]
)
def test_a_secret_needs_what_one_of_the_two_sources_needs(secret: str, ok: bool) -> None:
    assert examined(secret=secret)["secret"].ok is ok


@pytest.mark.parametrize(
    ("changed", "expire"),
    [
        ({}, True),
        ({"Filter": {"And": {"Prefix": "", "Tags": [TAG]}}}, True),
        ({"Filter": {"And": {"Prefix": "rul/", "Tags": [TAG]}}}, False),
        ({"Filter": {"And": {"Tags": [TAG, {"Key": "other", "Value": "x"}]}}}, False),
        ({"Filter": {"Tag": {**TAG, "Value": "champion"}}}, False),
        ({"Status": "Disabled"}, False),
        ({"Filter": {}}, False),
    ],
)
def test_runs_expire_where_a_rule_is_for_their_tag_and_nothing_else(changed: dict[str, Any], expire: bool) -> None:
    found = examined(rule={**RUNS_EXPIRE, **changed})["bucket lifecycle"]
    assert (found.ok, found.detail) == (expire, "runs expire" if expire else "runs are kept for ever")
