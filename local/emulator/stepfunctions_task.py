"""Task states: one attempt with its timeout, heartbeat and callback, ended whole when the attempt is over."""

from __future__ import annotations

import contextvars
import json
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from ministack.services import stepfunctions as sfn

from local.emulator import stepfunctions_scope as scopes
from local.emulator.stepfunctions_limits import checked
from local.emulator.stepfunctions_retry import Step, with_retry_and_catch
from local.emulator.stepfunctions_states import Context, State, arguments, finish, handler, number, record

# AWS's own default for a Task without TimeoutSeconds.
DEFAULT_TIMEOUT_SECONDS = 99_999_999.0
_CALLBACK = ".waitForTaskToken"


@handler("Task")
def task(state: State, data: Any, ctx: Context) -> Step:
    """Run a Task state under its Retry and Catch."""
    resource = state["Resource"]
    kind = _resource_type(resource)
    about = {"resourceType": kind, "resource": resource.partition(f":::{kind}:")[2] or resource}

    def attempt() -> Step:
        if resource.endswith(_CALLBACK):
            ctx["Task"] = {"Token": sfn.new_uuid()}
        sent = checked(arguments(state, data, ctx), "task's arguments")
        record("TaskScheduled", "taskScheduledEventDetails", **about, parameters=json.dumps(sent))
        result = checked(_invoke(state, data, ctx, sent), "task's result")
        record("TaskSucceeded", "taskSucceededEventDetails", **about, output=json.dumps(result))
        return finish(state, data, ctx, result)

    def failed(error: Any) -> None:
        kind = "TimedOut" if error.error in ("States.Timeout", "States.HeartbeatTimeout") else "Failed"
        details = f"task{kind}EventDetails"
        record(f"Task{kind}", details, **about, error=error.error, cause=error.cause)

    return with_retry_and_catch(state, data, ctx, attempt, failed)


def _resource_type(resource: str) -> str:
    if ":states:::" not in resource:
        return "lambda"
    parts = resource.split(":::", 1)[1].split(":")
    return ":".join(parts[:2]) if parts[0] == "aws-sdk" else parts[0]


def _invoke(state: State, data: Any, ctx: Context, sent: Any) -> Any:
    timeout = number(state, "TimeoutSeconds", data, ctx, DEFAULT_TIMEOUT_SECONDS)
    heartbeat = number(state, "HeartbeatSeconds", data, ctx, DEFAULT_TIMEOUT_SECONDS)
    scope = scopes.Scope(scopes.current().execution, scopes.current())
    resource = state["Resource"]
    with scopes.entered(scope):
        try:
            if resource.endswith(_CALLBACK):
                return _await_callback(resource.removesuffix(_CALLBACK), sent, ctx["Task"]["Token"], timeout, heartbeat)
            return _within(timeout, lambda: sfn._invoke_resource(resource, sent))
        finally:
            # What the attempt started and did not wait for (a job after a timeout) ends with it.
            scope.cancel()


def _within(timeout: float, call: Callable[[], Any]) -> Any:
    """The call's result; it runs in its own thread, which is left behind when time is up."""
    done, outcome = threading.Event(), _Outcome()
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(outcome.of, call, done), daemon=True).start()
    if not scopes.current().wait(done, timeout):
        raise sfn._ExecutionError("States.Timeout", f"The task took longer than {timeout:g} seconds.")
    return outcome.get()


class _Outcome:
    """A result or an exception, carried from the thread that got it."""

    def __init__(self) -> None:
        self._result: Any = None
        self._error: BaseException | None = None

    def of(self, call: Callable[[], Any], done: threading.Event) -> None:
        try:
            self._result = call()
        except BaseException as error:
            self._error = error
        finally:
            done.set()

    def get(self) -> Any:
        if self._error is None:
            return self._result
        if isinstance(self._error, (sfn._ExecutionError, scopes.Cancelled)):
            raise self._error
        raise sfn._ExecutionError("States.TaskFailed", f"{type(self._error).__name__}: {self._error}")


def _await_callback(resource: str, sent: Any, token: str, timeout: float, heartbeat: float) -> Any:
    """Invoke with a task token and wait for SendTaskSuccess or Failure; the call's own failure fails the task."""
    answered = threading.Event()
    # ministack's own record of a token; a heartbeat replaces `heartbeat`.
    waiting = {"event": answered, "result": None, "error": None, "heartbeat": None}
    sfn._task_tokens[token] = waiting
    try:
        _within(timeout, lambda: sfn._invoke_resource(resource, sent))
        _await_answer(waiting, answered, timeout, heartbeat)
    finally:
        sfn._task_tokens.pop(token, None)
    if waiting["error"]:
        error: Any = waiting["error"]
        raise sfn._ExecutionError(error["Error"], error["Cause"])
    return json.loads(str(waiting["result"]))


def _await_answer(waiting: dict[str, Any], answered: threading.Event, timeout: float, heartbeat: float) -> None:
    ends, beat = time.time() + timeout, time.time()
    while not scopes.current().wait(answered, min(beat + heartbeat, ends) - time.time()):
        if time.time() >= ends:
            raise sfn._ExecutionError("States.Timeout", f"No callback came within {timeout:g} seconds.")
        if waiting["heartbeat"] is not None:
            beat = datetime.fromisoformat(waiting["heartbeat"]).timestamp()
        if time.time() >= beat + heartbeat:
            raise sfn._ExecutionError("States.HeartbeatTimeout", f"No heartbeat came for {heartbeat:g} seconds.")
