"""`states:startExecution` in its three forms: fire and forget, `.sync` and `.sync:2`; an abort stops the child."""

from __future__ import annotations

import json
from typing import Any

from ministack.services import stepfunctions as sfn

from local.emulator import stepfunctions_execution as executions
from local.emulator import stepfunctions_scope as scopes
from local.emulator.stepfunctions_states import record_submitted


def _start(sent: dict[str, Any]) -> dict[str, Any]:
    status, _, body = sfn._start_execution(sfn._nested_start_execution_request(sent))
    answer: dict[str, Any] = json.loads(body)
    if status >= 400:
        name = answer["__type"].rsplit("#", 1)[-1].removesuffix("Exception")
        raise sfn._ExecutionError(f"StepFunctions.{name}Exception", answer.get("message", ""))
    return answer


def start(resource: str, sent: dict[str, Any]) -> dict[str, Any]:
    """Start a child and go on: `{ExecutionArn, StartDate}`."""
    answer = _start(sent)
    return {"ExecutionArn": answer["executionArn"], "StartDate": answer["startDate"]}


def start_sync(resource: str, sent: dict[str, Any]) -> dict[str, Any]:
    """Run a child to its end; a child that does not succeed is `States.TaskFailed` with its description as Cause."""
    started = start(resource, sent)
    record_submitted("states", resource, started)
    execution = sfn._executions[started["ExecutionArn"]]
    scope = scopes.current()
    with scope.on_cancel(lambda: _stop(execution)):
        scope.wait(executions.running(execution).ended)
    if execution["status"] != "SUCCEEDED":
        raise sfn._ExecutionError("States.TaskFailed", json.dumps(description(execution, parsed=False)))
    return description(execution, parsed=resource.endswith(".sync:2"))


def _stop(execution: dict[str, Any]) -> None:
    if execution["status"] == "RUNNING":
        cause = "The parent execution ended."
        sfn._stop_execution({"executionArn": execution["executionArn"], "error": "Aborted", "cause": cause})


def description(execution: dict[str, Any], parsed: bool) -> dict[str, Any]:
    """DescribeExecution as Step Functions passes it on: PascalCase, milliseconds, payloads parsed for `.sync:2`."""
    load = json.loads if parsed else str
    described: dict[str, Any] = {
        "ExecutionArn": execution["executionArn"],
        "Input": load(execution["input"]),
        "InputDetails": {"Included": True},
        "Name": execution["name"],
        "RedriveCount": 0,
        "RedriveStatus": "NOT_REDRIVABLE" if execution["status"] == "SUCCEEDED" else "REDRIVABLE",
        "StartDate": sfn._iso_to_epoch_ms(execution["startDate"]),
        "StateMachineArn": execution["stateMachineArn"],
        "Status": execution["status"],
        "StopDate": sfn._iso_to_epoch_ms(execution["stopDate"]),
    }
    if execution["status"] == "SUCCEEDED":
        return {**described, "Output": load(execution["output"]), "OutputDetails": {"Included": True}}
    return {**described, **{key.title(): execution[key] for key in ("error", "cause") if execution.get(key)}}


def install() -> None:
    """Take over the nested executions."""
    sfn._invoke_nested_start_execution = start
    sfn._invoke_nested_start_execution_sync = start_sync
