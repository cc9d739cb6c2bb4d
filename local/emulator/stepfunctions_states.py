"""The walk over the states of a machine, a branch or an item: scopes of variables, events, limits, both languages.

ministack's own evaluation of JSONata, JSONPath, Pass, Choice and Wait is used as it is; Task and Map live beside.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from ministack.services import stepfunctions as sfn

from local.emulator import stepfunctions_scope as scopes
from local.emulator.stepfunctions_limits import checked
from local.emulator.stepfunctions_retry import Step, with_retry_and_catch

State = dict[str, Any]
Context = dict[str, Any]
Handler = Callable[[State, Any, Context], Step]

_events = threading.Lock()
_handlers: dict[str, Handler] = {}


def handler(kind: str) -> Callable[[Handler], Handler]:
    """Register the function that runs the states of one Type."""

    def register(function: Handler) -> Handler:
        _handlers[kind] = function
        return function

    return register


def record(kind: str, details: str | None = None, **values: Any) -> None:
    """Append an event to the history of the current execution; `details` names its details structure."""
    execution = scopes.current().execution
    if execution["status"] == "RUNNING":
        sfn._add_event(execution, kind, {details: values} if details else None)


def record_submitted(kind: str, resource: str, output: dict[str, Any]) -> None:
    """What a `.sync` task started: an aborted parent's history is how its surviving children are found."""
    about = {"resourceType": kind, "resource": resource.partition(f":::{kind}:")[2]}
    record("TaskSubmitted", "taskSubmittedEventDetails", **about, output=json.dumps(output))


def is_jsonata(state: State, ctx: Context) -> bool:
    """Whether the state is written in JSONata."""
    return bool(sfn._state_query_language(state, ctx) == "JSONata")


def arguments(state: State, data: Any, ctx: Context) -> Any:
    """What a Task, Parallel or Map works on: Arguments, or InputPath and Parameters."""
    if is_jsonata(state, ctx):
        return sfn._apply_jsonata_arguments(state, data, ctx)
    return sfn._apply_parameters(state, sfn._apply_input_path(state, data, ctx), ctx)


def finish(state: State, data: Any, ctx: Context, result: Any) -> Step:
    """A state's output from its result, its variables assigned, and the next state's name (None at the end)."""
    if is_jsonata(state, ctx):
        output = sfn._apply_jsonata_output(state, data, ctx, result=result, default=result)
        sfn._apply_state_assign(state, data, ctx, result=result)
    else:
        selected = sfn._apply_result_selector(state, result)
        output = sfn._apply_output_path(state, sfn._apply_result_path(state, data, selected), ctx)
    return output, sfn._next_or_end(state)


def number(state: State, field: str, data: Any, ctx: Context, default: float) -> float:
    """A numeric field, which JSONata may compute and JSONPath may select by `<field>Path`."""
    if field in state:
        return float(sfn._jsonata_state_field(state, field, "number", data, ctx))
    if f"{field}Path" in state:
        return float(sfn._resolve_path_or_ctx(state[f"{field}Path"], data, ctx))
    return default


def inner(ctx: Context, **more: Any) -> Context:
    """The context of a branch or an item: it reads the outer variables and assigns only its own."""
    return {**ctx, "variables": copy.deepcopy(ctx.get("variables", {})), **more}


def run_states(machine: dict[str, Any], data: Any, ctx: Context) -> Any:
    """The output of the machine's last state. Raises ministack's `_ExecutionError`, or `Cancelled`."""
    name: str | None = machine.get("StartAt")
    while name is not None:
        scopes.current().check()
        if name not in machine.get("States", {}):
            raise sfn._ExecutionError("States.Runtime", f"There is no state named {name!r}.")
        data, name = _run_state(name, machine["States"][name], data, ctx)
    return data


def _run_state(name: str, state: State, data: Any, ctx: Context) -> Step:
    kind = state.get("Type", "")
    if kind not in _handlers:
        raise sfn._ExecutionError("States.Runtime", f"State {name!r} has an unknown Type {kind!r}.")
    ctx["State"] = {"Name": name, "EnteredTime": sfn.now_iso(), "RetryCount": 0}
    record(f"{kind}StateEntered", "stateEnteredEventDetails", name=name, input=json.dumps(data))
    checked(data, f"input of state {name!r}")
    output, following = _handlers[kind](state, data, ctx)
    checked(output, f"output of state {name!r}")
    scopes.current().check()
    record(f"{kind}StateExited", "stateExitedEventDetails", name=name, output=json.dumps(output))
    return output, following


@handler("Pass")
def _pass(state: State, data: Any, ctx: Context) -> Step:
    output, following = sfn._execute_pass(state, data, ctx)
    return output, following


@handler("Choice")
def _choice(state: State, data: Any, ctx: Context) -> Step:
    output, following = sfn._execute_choice(state, data, ctx)
    rules = [rule["Next"] for rule in state.get("Choices", [])]
    # ministack leaves out the Output that goes with Default.
    if is_jsonata(state, ctx) and following == state.get("Default") and following not in rules:
        output = sfn._apply_jsonata_output(state, data, ctx, default=output)
    return output, following


@handler("Wait")
def _wait(state: State, data: Any, ctx: Context) -> Step:
    output, following = sfn._execute_wait(state, data, ctx)
    return output, following


@handler("Succeed")
def _succeed(state: State, data: Any, ctx: Context) -> Step:
    if is_jsonata(state, ctx):
        return sfn._apply_jsonata_output(state, data, ctx, default=data), None
    return sfn._apply_output_path(state, sfn._apply_input_path(state, data, ctx), ctx), None


@handler("Fail")
def _fail(state: State, data: Any, ctx: Context) -> Step:
    raise sfn._ExecutionError(*sfn._fail_state_error(state, data, ctx))


@handler("Parallel")
def _parallel(state: State, data: Any, ctx: Context) -> Step:
    def attempt() -> Step:
        each = arguments(state, data, ctx)
        branches = [partial(run_states, branch, each, inner(ctx)) for branch in state["Branches"]]
        return finish(state, data, ctx, checked(scopes.run_all(branches), "result of the branches"))

    return with_retry_and_catch(state, data, ctx, attempt, lambda error: None)


def _assign(state: State, data: Any, ctx: Context, result: Any = None, error_output: Any = None) -> None:
    """All expressions of an Assign see the variables as they were before it."""
    if is_jsonata(state, ctx) and isinstance(state.get("Assign"), dict):
        new = sfn._apply_jsonata_template(state["Assign"], data, ctx, result=result, error_output=error_output)
        ctx.setdefault("variables", {}).update(checked(new, "set of assigned variables"))


def install() -> None:
    """Assign at once, and number the events of parallel branches without gaps."""
    stock = sfn._add_event

    def add_event(execution: dict[str, Any], kind: str, details: dict[str, Any] | None = None) -> Any:
        with _events:
            previous = len(execution["events"])
            return stock(execution, kind, {"previousEventId": previous, **(details or {})})

    sfn._add_event = add_event
    sfn._apply_state_assign = _assign
