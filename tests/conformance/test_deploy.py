"""`sam build` and `sam deploy`, unmodified, against the emulator: what they make works, and survives a restart."""

import json
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from botocore.exceptions import ClientError
from ratchet.errors import BadConfiguration

from local.deploy import build_and_deploy


def run_to_its_end(emulator: Any, machine: str, **given: Any) -> dict[str, Any]:
    states = emulator.client("stepfunctions")
    arn = states.start_execution(stateMachineArn=machine, input=json.dumps(given))["executionArn"]
    end = time.monotonic() + 20
    while (execution := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
        assert time.monotonic() < end, "the execution did not end within 20 s"
        time.sleep(0.05)
    return dict(execution)


def test_a_yaml_machine_made_by_for_each_runs_in_jsonata(emulator: Any, deployment: Any) -> None:
    execution = run_to_its_end(emulator, deployment.outputs["BetaArn"], do="version")
    assert execution["status"] == "SUCCEEDED", execution
    assert json.loads(execution["output"]) == {
        "outcome": "asked",
        "pipeline": "beta",
        "number": 7,
        "since": "2026-11-21",
        "value": "1",
    }


def test_a_machine_catches_an_error_by_the_name_of_its_class(emulator: Any, deployment: Any) -> None:
    execution = run_to_its_end(emulator, deployment.outputs["AlphaArn"], do="raise")
    assert json.loads(execution["output"]) == {"outcome": "no paper", "cause": "the tray is empty"}


def test_a_crash_fails_the_execution_by_its_name(emulator: Any, deployment: Any) -> None:
    execution = run_to_its_end(emulator, deployment.outputs["AlphaArn"], do="exit")
    assert (execution["status"], execution["error"]) == ("FAILED", "Runtime.ExitError")


def test_a_schedule_keeps_its_time_zone_and_input(emulator: Any, deployment: Any) -> None:
    scheduler = emulator.client("scheduler")
    name = next(each["Name"] for each in scheduler.list_schedules()["Schedules"] if "Machinebeta" in each["Name"])
    schedule = scheduler.get_schedule(Name=name)
    assert schedule["ScheduleExpressionTimezone"] == "Asia/Seoul"
    assert json.loads(schedule["Target"]["Input"]) == {"do": "greet"}


def test_a_status_change_of_an_execution_reaches_a_function_through_its_rule(emulator: Any, deployment: Any) -> None:
    execution = run_to_its_end(emulator, deployment.outputs["AlphaArn"], do="greet")
    s3, bucket, key = emulator.client("s3"), deployment.outputs["BucketName"], f"status/{execution['name']}.json"
    s3.get_waiter("object_exists").wait(Bucket=bucket, Key=key, WaiterConfig={"Delay": 1, "MaxAttempts": 10})
    detail = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    assert (detail["status"], detail["executionArn"]) == ("SUCCEEDED", execution["executionArn"])


def test_a_buckets_lifecycle_rules_are_those_of_the_template(emulator: Any, deployment: Any) -> None:
    told = emulator.client("s3").get_bucket_lifecycle_configuration(Bucket=deployment.outputs["BucketName"])
    assert {rule["ID"]: (rule["Filter"], rule["Expiration"]["Days"]) for rule in told["Rules"]} == {
        "runs": ({"Tag": {"Key": "kept", "Value": "no"}}, 30),
        "jobs": ({"Prefix": "jobs/"}, 14),
    }


def test_sams_progress_is_streamed(deployment: Any) -> None:
    said = "\n".join(deployment.lines)
    assert "Build Succeeded" in said
    assert "Successfully created" in said


def test_a_second_deployment_builds_nothing(emulator: Any, deployment: Any) -> None:
    lines: list[str] = []
    outputs = build_and_deploy(
        deployment.folder,
        emulator.endpoint,
        "sample",
        {"Colour": 'deep "blue"'},
        sam=emulator.environments.sam,
        progress=lines.append,
    )
    assert outputs == deployment.outputs
    assert lines[0] == "Nothing changed since the last build."


def test_a_template_that_does_not_build_is_one_clear_line(emulator: Any, tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text("Resources: {F: {Type: AWS::Serverless::Function, Properties: {}}}\n")
    with pytest.raises(BadConfiguration, match=r"^sam build failed: .+") as failed:
        build_and_deploy(tmp_path, emulator.endpoint, "broken", sam=emulator.environments.sam)
    assert "\n" not in str(failed.value)


def test_a_resource_that_cannot_be_made_is_named_with_its_reason_and_can_be_corrected(
    emulator: Any, tmp_path: Path
) -> None:
    template = "Transform: AWS::Serverless-2016-10-31\nResources:\n  Copy: {Type: AWS::S3::Bucket, Properties: %s}\n"
    sam = emulator.environments.sam
    machine = "{Type: AWS::StepFunctions::StateMachine, Properties: {RoleArn: 'x', DefinitionString: 'a: [b'}}"
    (tmp_path / "template.yaml").write_text(template % "{}" + f"  Bad: {machine}\n")
    with pytest.raises(BadConfiguration, match=r"sam deploy failed: Bad: .*neither JSON nor YAML"):
        build_and_deploy(tmp_path, emulator.endpoint, "corrected", sam=sam)
    (tmp_path / "template.yaml").write_text(template % "{}")
    build_and_deploy(tmp_path, emulator.endpoint, "corrected", sam=sam)
    stacks = emulator.client("cloudformation").describe_stacks(StackName="corrected")["Stacks"]
    assert stacks[0]["StackStatus"] == "CREATE_COMPLETE"


def test_a_stopped_emulator_leaves_no_process_and_starts_again_with_its_stack_and_buckets(
    environments: Any, deployment: Any, tmp_path: Path, emulator: Any
) -> None:
    other = type(emulator)(environments, tmp_path / "emulator").start()
    outputs = build_and_deploy(deployment.folder, other.endpoint, "kept", sam=environments.sam)
    other.client("s3").put_object(Bucket=outputs["BucketName"], Key="kept", Body=b"content")
    pid = probe(other, outputs["ProbeName"])
    assert other.stop() == 0
    assert not Path(f"/proc/{pid}").exists()
    other.start()
    try:
        kept = other.client("s3").get_object(Bucket=outputs["BucketName"], Key="kept")["Body"].read()
        assert kept == b"content"
        assert run_to_its_end(other, outputs["AlphaArn"], do="greet")["status"] == "SUCCEEDED"
    finally:
        other.stop(signal.SIGINT)


def test_a_killed_emulator_takes_its_functions_with_it(
    environments: Any, tmp_path: Path, emulator: Any, deployment: Any
) -> None:
    other = type(emulator)(environments, tmp_path / "emulator").start()
    outputs = build_and_deploy(deployment.folder, other.endpoint, "killed", sam=environments.sam)
    pid = probe(other, outputs["ProbeName"])
    other.stop(signal.SIGKILL)
    end = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < end, "the function's process outlived the emulator"
        time.sleep(0.02)


def test_a_bucket_that_demands_tls_admits_a_function_over_loopback(emulator: Any, deployment: Any) -> None:
    s3 = emulator.client("s3")
    bucket = s3.create_bucket(Bucket="tls-only")["Location"].strip("/")
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": f"arn:aws:s3:::{bucket}/*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    key = role_with(emulator, "tls", "s3:PutObject")
    assert emulator.client("s3", **key).put_object(Bucket=bucket, Key="k", Body=b"")["ETag"]


@pytest.mark.parametrize(
    ("call", "action", "given"),
    [("get_object", "s3:GetObject", {}), ("put_object_tagging", "s3:PutObjectTagging", {"Tagging": {"TagSet": []}})],
)
def test_a_missing_object_is_404_only_to_a_role_that_may_list(
    emulator: Any, deployment: Any, call: str, action: str, given: dict[str, Any]
) -> None:
    bucket = deployment.outputs["BucketName"]
    codes = []
    for name, actions in ((call, [action]), (f"{call}-lists", [action, "s3:ListBucket"])):
        client = emulator.client("s3", **role_with(emulator, name, *actions))
        with pytest.raises(ClientError) as missing:
            getattr(client, call)(Bucket=bucket, Key="never", **given)
        codes.append(missing.value.response["ResponseMetadata"]["HTTPStatusCode"])
    assert codes == [403, 404]


def role_with(emulator: Any, name: str, *actions: str) -> dict[str, str]:
    """Credentials of a new role that may do `actions` on everything."""
    iam = emulator.client("iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    rights = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    documents = [json.dumps({"Version": "2012-10-17", "Statement": [each]}) for each in (trust, rights)]
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=documents[0])["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="rights", PolicyDocument=documents[1])
    key = emulator.client("sts").assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"]
    return {
        "aws_access_key_id": key["AccessKeyId"],
        "aws_secret_access_key": key["SecretAccessKey"],
        "aws_session_token": key["SessionToken"],
    }


def probe(emulator: Any, function: str) -> int:
    """The process id of a function's runtime."""
    reply = emulator.client("lambda").invoke(FunctionName=function, Payload=b'{"do": "pid"}')
    return int(json.loads(reply["Payload"].read())["value"])


def test_a_schedule_in_a_time_zone_fires_with_its_instant_in_the_input(emulator: Any, deployment: Any) -> None:
    machine, scheduler = deployment.outputs["AlphaArn"], emulator.client("scheduler")
    instant = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    local = instant.astimezone(ZoneInfo("Asia/Seoul")).replace(tzinfo=None)
    scheduler.create_schedule(
        Name="once",
        ScheduleExpression=f"at({local.isoformat()})",
        ScheduleExpressionTimezone="Asia/Seoul",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": machine, "RoleArn": machine, "Input": '{"do": "greet", "at": "<aws.scheduler.scheduled-time>"}'},
    )
    states, wanted = emulator.client("stepfunctions"), f"{instant:%Y-%m-%dT%H:%M:%SZ}"
    end = time.monotonic() + 10
    inputs: list[str] = []
    while wanted not in inputs:
        assert time.monotonic() < end, f"no execution for {wanted}; there are {inputs}"
        time.sleep(0.2)
        executions = states.list_executions(stateMachineArn=machine)["executions"]
        told = [states.describe_execution(executionArn=each["executionArn"])["input"] for each in executions]
        inputs = [json.loads(each).get("at") for each in told]
