"""The Step Functions our machines rely on: a table of tiny machines, and what needs a hand from outside."""

import itertools
import json
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

CASES = yaml.safe_load((Path(__file__).parent / "step_functions.yaml").read_text())
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
WAIT = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 300, "End": True}}}


class Machines:
    """Creates machines, starts executions and waits for their ends."""

    def __init__(self, emulator: Any) -> None:
        self.client = emulator.client("stepfunctions")
        iam = emulator.client("iam")
        self.role = iam.create_role(RoleName="conformance-machine", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
        iam.put_role_policy(RoleName="conformance-machine", PolicyName="all", PolicyDocument=json.dumps(ALLOW))
        self._count = 0

    def create(self, definition: dict[str, Any]) -> str:
        self._count += 1
        text = json.dumps({"QueryLanguage": "JSONata", **definition})
        created = self.client.create_state_machine(
            name=f"conformance-{self._count}", definition=text, roleArn=self.role["Arn"]
        )
        return str(created["stateMachineArn"])

    def start(self, machine: str, given: Any = None, **more: Any) -> str:
        return str(
            self.client.start_execution(stateMachineArn=machine, input=json.dumps(given or {}), **more)["executionArn"]
        )

    def end(self, execution: str, seconds: float = 20) -> dict[str, Any]:
        return dict(until(lambda: self.described(execution), lambda found: found["status"] != "RUNNING", seconds))

    def described(self, execution: str) -> dict[str, Any]:
        return dict(self.client.describe_execution(executionArn=execution))

    def history(self, execution: str) -> list[dict[str, Any]]:
        return list(self.client.get_execution_history(executionArn=execution, maxResults=1000)["events"])


def until(look: Callable[[], Any], found: Callable[[Any], bool], seconds: float = 20) -> Any:
    """What `look` sees once `found` says so."""
    deadline = time.monotonic() + seconds
    while not found(seen := look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)
    return seen


def task(resource: str, **state: Any) -> dict[str, Any]:
    return {"StartAt": "Do", "States": {"Do": {"Type": "Task", "Resource": resource, "End": True, **state}}}


@pytest.fixture(scope="module")
def machines(emulator: Any) -> Machines:
    return Machines(emulator)


@pytest.fixture(scope="module")
def s3(emulator: Any) -> Any:
    client = emulator.client("s3")
    client.create_bucket(Bucket="conformance")
    for key, body in {"hello.txt": "hello", "large.txt": "x" * 262_145, "lines.jsonl": '{"n": 1}\n{"n": 2}\n'}.items():
        client.put_object(Bucket="conformance", Key=key, Body=body.encode())
    return client


@pytest.fixture(scope="module")
def executions(machines: Machines, s3: Any) -> dict[str, str]:
    """All cases of the table, started together so that none waits for another."""
    ok = {"StartAt": "A", "States": {"A": {"Type": "Succeed", "Output": {"n": "{% $states.input.n + 1 %}"}}}}
    fails = {"StartAt": "A", "States": {"A": {"Type": "Fail", "Error": "Child.Broken", "Cause": "on purpose"}}}
    given = {"bucket": "conformance", "ok": machines.create(ok), "fails": machines.create(fails), "objects": "some/"}
    started = {}
    for case in CASES:
        limit = {"TimeoutSeconds": case["timeout"]} if "timeout" in case else {}
        machine = machines.create({"StartAt": next(iter(case["states"])), "States": case["states"], **limit})
        started[case["it"]] = machines.start(machine, given)
    return started


@pytest.mark.parametrize("case", CASES, ids=[case["it"] for case in CASES])
def test_conformance(case: dict[str, Any], machines: Machines, executions: dict[str, str]) -> None:
    ended = machines.end(executions[case["it"]], case.get("seconds", 20))
    expected = case.get("status") or ("FAILED" if "error" in case else "SUCCEEDED")
    assert ended["status"] == expected, ended
    assert ended.get("error") == case.get("error")
    assert case.get("cause", "") in ended.get("cause", "")
    if "output" in case:
        assert json.loads(ended["output"]) == case["output"]


def test_starting_a_running_execution_again_with_the_same_input_gives_the_same_execution(machines: Machines) -> None:
    machine = machines.create(WAIT)
    first = machines.start(machine, {"a": 1}, name="once")
    assert machines.start(machine, {"a": 1}, name="once") == first
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        machines.start(machine, {"a": 2}, name="once")
    machines.client.stop_execution(executionArn=first)
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        machines.start(machine, {"a": 1}, name="once")


def test_an_execution_name_with_a_colon_is_refused(machines: Machines) -> None:
    with pytest.raises(ClientError, match="InvalidName"):
        machines.start(machines.create(WAIT), name="2026-11-21T04:00:00Z")


def test_an_input_above_the_limit_is_refused(machines: Machines) -> None:
    with pytest.raises(ClientError, match="262144"):
        machines.start(machines.create(WAIT), {"a": "x" * 262_144})


def test_stopping_an_execution_stops_its_children(machines: Machines) -> None:
    child = machines.create(WAIT)
    arguments = {"StateMachineArn": child, "Input": {}}
    parent = machines.start(machines.create(task("arn:aws:states:::states:startExecution.sync:2", Arguments=arguments)))

    def running() -> list[Any]:
        return list(machines.client.list_executions(stateMachineArn=child, statusFilter="RUNNING")["executions"])

    until(running, bool)
    machines.client.stop_execution(executionArn=parent, error="Tired", cause="enough")
    until(running, lambda found: not found)
    ended = machines.described(parent)
    assert (ended["status"], ended["error"], ended["cause"]) == ("ABORTED", "Tired", "enough")


def test_a_task_that_times_out_stops_its_child(machines: Machines) -> None:
    child = machines.create(WAIT)
    resource = "arn:aws:states:::states:startExecution.sync:2"
    arguments = {"StateMachineArn": child, "Input": {}}
    parent = machines.start(machines.create(task(resource, Arguments=arguments, TimeoutSeconds=1)))
    assert machines.end(parent)["error"] == "States.Timeout"
    found = until(
        lambda: machines.client.list_executions(stateMachineArn=child)["executions"],
        lambda listed: listed[0]["status"] != "RUNNING",
    )
    assert found[0]["status"] == "ABORTED"


def test_a_nested_execution_of_a_taken_name_has_its_own_error(machines: Machines) -> None:
    child = machines.create(WAIT)
    taken = machines.start(child, {"a": 1}, name="taken")
    arguments = {"StateMachineArn": child, "Name": "taken", "Input": {"a": 2}}
    parent = machines.start(machines.create(task("arn:aws:states:::states:startExecution.sync:2", Arguments=arguments)))
    assert machines.end(parent)["error"] == "StepFunctions.ExecutionAlreadyExistsException"
    machines.client.stop_execution(executionArn=taken)


def callback(machines: Machines, s3: Any, key: str, **state: Any) -> tuple[str, str]:
    """A waiting execution and its task token."""
    resource = "arn:aws:states:::aws-sdk:s3:putObject.waitForTaskToken"
    body = "{% $states.context.Task.Token %}"
    arguments = {"Bucket": "conformance", "Key": key, "Body": body}
    execution = machines.start(machines.create(task(resource, Arguments=arguments, **state)))
    keys = until(
        lambda: [found["Key"] for found in s3.list_objects_v2(Bucket="conformance").get("Contents", [])],
        lambda found: key in found,
    )
    assert key in keys
    return execution, s3.get_object(Bucket="conformance", Key=key)["Body"].read().decode()


def test_a_callback_function_that_raises_fails_its_task_by_the_name_of_its_error(
    machines: Machines, deployment: Any
) -> None:
    resource = "arn:aws:states:::lambda:invoke.waitForTaskToken"
    payload = {"do": "raise", "token": "{% $states.context.Task.Token %}"}
    arguments = {"FunctionName": deployment.outputs["ProbeName"], "Payload": payload}
    execution = machines.start(machines.create(task(resource, Arguments=arguments, TimeoutSeconds=60)))
    assert machines.end(execution)["error"] == "OutOfPaper"


def asked(machines: Machines, deployment: Any, s3: Any, key: str, **state: Any) -> tuple[str, str]:
    """An execution whose function was told a task token and has returned, and that token."""
    payload = {"do": "put", "bucket": deployment.outputs["BucketName"], "key": f"allowed/{key}"}
    arguments = {"FunctionName": deployment.outputs["WriterName"], "Payload": payload}
    payload["body"] = "{% $states.context.Task.Token %}"
    resource = "arn:aws:states:::lambda:invoke.waitForTaskToken"
    execution = machines.start(machines.create(task(resource, Arguments=arguments, **state)))
    where = {"Bucket": payload["bucket"], "Key": payload["key"]}
    s3.get_waiter("object_exists").wait(**where, WaiterConfig={"Delay": 1, "MaxAttempts": 15})
    return execution, s3.get_object(**where)["Body"].read().decode()


def test_a_function_that_was_told_a_token_leaves_its_task_waiting_until_somebody_answers(
    machines: Machines, deployment: Any, s3: Any
) -> None:
    execution, token = asked(machines, deployment, s3, "token-success", TimeoutSeconds=60)
    time.sleep(0.5)
    assert machines.described(execution)["status"] == "RUNNING"
    machines.client.send_task_success(taskToken=token, output='{"yes": true}')
    assert json.loads(machines.end(execution)["output"]) == {"yes": True}


def test_a_function_that_was_told_a_token_may_be_answered_by_a_failure(
    machines: Machines, deployment: Any, s3: Any
) -> None:
    execution, token = asked(machines, deployment, s3, "token-failure", TimeoutSeconds=60)
    machines.client.send_task_failure(taskToken=token, error="Rejected", cause="by a person")
    ended = machines.end(execution)
    assert (ended["error"], ended["cause"]) == ("Rejected", "by a person")


def test_an_answer_that_does_not_come_in_time_is_a_timeout_and_counts_no_more(
    machines: Machines, deployment: Any, s3: Any
) -> None:
    execution, token = asked(machines, deployment, s3, "token-late", TimeoutSeconds=3)
    assert machines.end(execution)["error"] == "States.Timeout"
    for send in (machines.client.send_task_success, machines.client.send_task_failure):
        given = {"output": "{}"} if send == machines.client.send_task_success else {}
        with pytest.raises(ClientError, match=r"TaskTimedOut|TaskDoesNotExist|InvalidToken"):
            send(taskToken=token, **given)


def test_a_callback_succeeds_with_the_output_it_is_given(machines: Machines, s3: Any) -> None:
    execution, token = callback(machines, s3, "token-success")
    machines.client.send_task_success(taskToken=token, output='{"yes": true}')
    assert json.loads(machines.end(execution)["output"]) == {"yes": True}


def test_a_callback_fails_with_the_error_it_is_given(machines: Machines, s3: Any) -> None:
    execution, token = callback(machines, s3, "token-failure")
    machines.client.send_task_failure(taskToken=token, error="Rejected", cause="by a person")
    ended = machines.end(execution)
    assert (ended["error"], ended["cause"]) == ("Rejected", "by a person")


def test_heartbeats_keep_a_callback_alive_past_its_heartbeat_seconds(machines: Machines, s3: Any) -> None:
    execution, token = callback(machines, s3, "token-heartbeat", HeartbeatSeconds=1)
    for _ in range(4):
        time.sleep(0.5)
        machines.client.send_task_heartbeat(taskToken=token)
    assert machines.described(execution)["status"] == "RUNNING"
    assert machines.end(execution)["error"] == "States.HeartbeatTimeout"


def test_retries_wait_no_longer_than_max_delay_seconds(machines: Machines) -> None:
    retry = {
        "ErrorEquals": ["States.ALL"],
        "IntervalSeconds": 1,
        "BackoffRate": 50,
        "MaxDelaySeconds": 2,
        "MaxAttempts": 2,
    }
    resource = "arn:aws:states:::aws-sdk:s3:getObject"
    definition = task(resource, Arguments={"Bucket": "conformance", "Key": "absent"}, Retry=[retry])
    execution = machines.start(machines.create(definition))
    machines.end(execution)
    times = [event["timestamp"] for event in machines.history(execution) if event["type"] == "TaskScheduled"]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert len(gaps) == 2
    assert gaps[0] >= timedelta(seconds=0.9)
    assert timedelta(seconds=1.9) <= gaps[1] < timedelta(seconds=4)


def test_the_history_names_every_step_in_order(machines: Machines) -> None:
    branch = {"StartAt": "Inside", "States": {"Inside": {"Type": "Pass", "End": True}}}
    states = {
        "First": {"Type": "Pass", "Next": "Both"},
        "Both": {"Type": "Parallel", "Branches": [branch], "Next": "Last"},
        "Last": {"Type": "Succeed"},
    }
    execution = machines.start(machines.create({"StartAt": "First", "States": states}))
    machines.end(execution)
    events = machines.history(execution)
    entered = [event["stateEnteredEventDetails"]["name"] for event in events if event["type"].endswith("StateEntered")]
    exited = [event["stateExitedEventDetails"]["name"] for event in events if event["type"].endswith("StateExited")]
    assert entered == ["First", "Both", "Inside", "Last"]
    assert exited == ["First", "Inside", "Both", "Last"]
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))


def test_the_history_of_a_sync_task_names_what_it_started(machines: Machines) -> None:
    child = machines.create({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    arguments = {"StateMachineArn": child, "Input": {}}
    parent = machines.start(machines.create(task("arn:aws:states:::states:startExecution.sync:2", Arguments=arguments)))
    machines.end(parent)
    (submitted,) = (event for event in machines.history(parent) if event["type"] == "TaskSubmitted")
    details = submitted["taskSubmittedEventDetails"]
    (listed,) = machines.client.list_executions(stateMachineArn=child)["executions"]
    assert (details["resourceType"], details["resource"]) == ("states", "startExecution.sync:2")
    assert json.loads(details["output"])["ExecutionArn"] == listed["executionArn"]


def test_a_published_version_runs_its_own_definition(machines: Machines) -> None:
    def ends(output: str) -> str:
        state = {"Type": "Succeed", "Output": output}
        return json.dumps({"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": state}})

    machine = machines.create(json.loads(ends("old")))
    version = machines.client.publish_state_machine_version(stateMachineArn=machine)["stateMachineVersionArn"]
    machines.client.update_state_machine(stateMachineArn=machine, definition=ends("new"))
    assert json.loads(machines.end(machines.start(version))["output"]) == "old"
    assert json.loads(machines.end(machines.start(machine))["output"]) == "new"


def test_every_end_is_an_event_on_the_bus(machines: Machines, emulator: Any) -> None:
    sqs, events = emulator.client("sqs"), emulator.client("events")
    url = sqs.create_queue(QueueName="ends")["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allowed = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": queue}
    sqs.set_queue_attributes(
        QueueUrl=url, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [allowed]})}
    )
    pattern = {"source": ["aws.states"], "detail": {"status": ["FAILED", "ABORTED", "TIMED_OUT"]}}
    events.put_rule(Name="ends", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="ends", Targets=[{"Id": "queue", "Arn": queue}])
    aborted = machines.start(machines.create(WAIT))
    machines.client.stop_execution(executionArn=aborted)
    late = machines.start(machines.create({**WAIT, "TimeoutSeconds": 1}))
    seen: dict[str, str] = {}

    def receive() -> dict[str, str]:
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            detail = json.loads(message["Body"])["detail"]
            seen[detail["executionArn"]] = detail["status"]
        return seen

    until(receive, lambda found: {aborted, late} <= found.keys())
    assert (seen[aborted], seen[late]) == ("ABORTED", "TIMED_OUT")
