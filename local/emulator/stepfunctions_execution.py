"""The life of an execution: start (idempotent), run, time out, abort; each ends it exactly once and says so.

Replaces ministack's runner, which ignores TimeoutSeconds, published versions and aborts of what still runs.
"""

from __future__ import annotations

import contextvars
import json
import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import stepfunctions as sfn

from local.emulator import stepfunctions_map, stepfunctions_task
from local.emulator import stepfunctions_scope as scopes
from local.emulator.stepfunctions_rules import LIMIT_BYTES
from local.emulator.stepfunctions_states import run_states

logger = logging.getLogger(__name__)

# Importing these registers their states.
STATE_MODULES = (stepfunctions_task, stepfunctions_map)
_NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")
_lock = threading.RLock()
_requested: contextvars.ContextVar[str] = contextvars.ContextVar("ratchet_requested_machine", default="")


@dataclass
class Running:
    """What the emulator holds of an execution beside its record."""

    scope: scopes.Scope
    ended: threading.Event = field(default_factory=threading.Event)


_running: dict[str, Running] = {}


def running(execution: dict[str, Any]) -> Running:
    """The handle of an execution, the same for everyone who asks."""
    with _lock:
        return _running.setdefault(execution["executionArn"], Running(scopes.Scope(execution)))


def settle(execution: dict[str, Any], status: str, event: str, details: dict[str, Any], **fields: Any) -> bool:
    """End a running execution; False when it has already ended, however it did."""
    with _lock:
        if execution["status"] != "RUNNING":
            return False
        key = event[0].lower() + event[1:] + "EventDetails"
        sfn._add_event(execution, event, {key: {name: value for name, value in details.items() if value is not None}})
        execution.update(status=status, stopDate=sfn.now_iso(), **fields)
    sfn._emit_execution_status_event(execution)
    return True


def _run(arn: str) -> None:
    execution = sfn._executions.get(arn)
    handle = running(execution)
    timer = None
    try:
        with scopes.entered(handle.scope):
            definition, ctx = _definition(execution)
            timer = _start_timer(execution, definition.get("TimeoutSeconds"))
            output = json.dumps(run_states(definition, json.loads(execution["input"]), ctx))
            settle(execution, "SUCCEEDED", "ExecutionSucceeded", {"output": output}, output=output)
    except scopes.Cancelled:
        logger.info("execution %s was ended from outside", arn)
    except sfn._ExecutionError as error:
        _fail(execution, error.error, error.cause)
    except Exception as error:
        logger.exception("the emulator failed in execution %s", arn)
        _fail(execution, "States.Runtime", f"{type(error).__name__}: {error}")
    finally:
        if timer is not None:
            timer.cancel()
        handle.ended.set()


def _fail(execution: dict[str, Any], error: str, cause: str) -> None:
    settle(execution, "FAILED", "ExecutionFailed", {"error": error, "cause": cause}, error=error, cause=cause)


def _definition(execution: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The machine's definition, of the published version where one was named, and the context object."""
    machine = sfn._state_machines[execution["stateMachineArn"]]
    version = sfn._state_machine_versions.get(sfn._execution_version_arn(_requested.get())) or machine
    definition = json.loads(version["definition"])
    context = {
        "QueryLanguage": definition.get("QueryLanguage", "JSONPath"),
        "Execution": {
            "Id": execution["executionArn"],
            "Input": json.loads(execution["input"]),
            "Name": execution["name"],
            "RoleArn": machine["roleArn"],
            "StartTime": execution["startDate"],
            "RedriveCount": 0,
        },
        "StateMachine": {"Id": execution["stateMachineArn"], "Name": machine["name"]},
        "variables": {},
    }
    return definition, context


def _start_timer(execution: dict[str, Any], seconds: float | None) -> threading.Timer | None:
    """Past the machine's TimeoutSeconds the execution is TIMED_OUT, whatever its states would catch."""
    if seconds is None:
        return None

    def time_out() -> None:
        if settle(execution, "TIMED_OUT", "ExecutionTimedOut", {}):
            running(execution).scope.cancel()

    timer = threading.Timer(seconds, contextvars.copy_context().run, (time_out,))
    timer.daemon = True
    timer.start()
    return timer


def _refusal(request: dict[str, Any]) -> Any:
    """AWS's answer to a StartExecution that no machine would take, or None."""
    name, text = request.get("name"), request.get("input", "{}")
    if name is not None and not _NAME.fullmatch(name):
        return error_response_json("InvalidName", f"Invalid Name: '{name}'", 400)
    if len(text.encode()) > LIMIT_BYTES:
        return error_response_json("ValidationException", f"input must have at most {LIMIT_BYTES} bytes", 400)
    try:
        json.loads(text)
    except ValueError as error:
        return error_response_json("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'", 400)
    return None


def _same_start(request: dict[str, Any]) -> Any:
    """The answer for an execution that already runs by this name with this input, or None."""
    base = sfn._resolve_state_machine_arn(request.get("stateMachineArn", ""))
    for execution in list(sfn._executions.values()) if request.get("name") else []:
        if (execution["name"], execution["stateMachineArn"]) != (request["name"], base):
            continue
        if execution["status"] == "RUNNING" and execution["input"] == request.get("input", "{}"):
            return json_response({"executionArn": execution["executionArn"], "startDate": execution["startDate"]})
    return None


def _starter(stock: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    def start(request: dict[str, Any]) -> Any:
        answer = _refusal(request)
        with _lock:
            answer = answer or _same_start(request)
            if answer is not None:
                return answer
            token = _requested.set(request.get("stateMachineArn", ""))
            try:
                return stock(request)
            finally:
                _requested.reset(token)

    return start


def _stopper(stock: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    def stop(request: dict[str, Any]) -> Any:
        execution = sfn._executions.get(request.get("executionArn"))
        with _lock:
            answer = stock(request)
        if execution is not None and execution["status"] == "ABORTED":
            # In its own thread: what is stopped may call the server whose loop this request is served on.
            cancel = running(execution).scope.cancel
            threading.Thread(target=contextvars.copy_context().run, args=(cancel,), daemon=True).start()
        return answer

    return stop


def install() -> None:
    """Take over starting, running and stopping."""
    sfn._run_execution = _run
    sfn._start_execution = _starter(sfn._start_execution)
    sfn._stop_execution = _stopper(sfn._stop_execution)
