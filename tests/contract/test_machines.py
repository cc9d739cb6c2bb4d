"""House rules for every state machine, checked over all of them."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.contract.application import (
    DEPLOYED_MACHINES,
    FUNCTIONS,
    MACHINES,
    RESOURCES,
    ROOT,
    Machine,
    lint,
    logical_id,
    placeholders,
    states,
    tasks,
)

RATCHET = ROOT / "layers/common/ratchet"
KNOWN_ERRORS = {
    *("States.ALL", "States.Timeout", "States.TaskFailed"),
    *("Sandbox.Timedout", "Lambda.Unknown", "Runtime.ExitError"),
    *("Lambda.ServiceException", "Lambda.AWSLambdaException", "Lambda.SdkClientException"),
    *("Lambda.TooManyRequestsException", "Lambda.ClientExecutionTimeoutException"),
    *("SageMaker.AmazonSageMakerException", "SageMaker.SdkClientException", "SageMaker.ResourceLimitExceededException"),
    *("StepFunctions.SfnException", "StepFunctions.ExecutionLimitExceededException"),
    *("SNS.SnsException", "SNS.InternalErrorException", "SNS.ThrottledException", "SNS.SdkClientException"),
}
OUTCOMES = {"promoted", "kept_champion", "not_enough_data", "no_new_rows", "same_run", "already_running"}
OUTCOMES |= {"pending_approval", "rejected", "approval_expired"}
OUTCOMES |= {"scored", "landed", "ingested", "in_service", "not_approved"}
# A pointer that has moved stays moved, whether the message about it could be sent or not (docs/adr/0002).
NOT_FATAL = {("release.asl.yaml", "Notify"), ("approval.asl.yaml", "Notify"), ("endpoint.asl.yaml", "Tidy up")}
each_machine = pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
each_task = pytest.mark.parametrize(
    ("machine", "name", "task"), [pytest.param(*row, id=f"{row[0].name}: {row[1]}") for row in tasks()]
)


def family(root: str) -> set[str]:
    """The class names below an error class, over all of `ratchet`."""
    trees = [ast.parse(path.read_text()) for path in RATCHET.rglob("*.py")]
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found = {root}
    while more := {name for name, parents in bases.items() if parents & found} - found:
        found |= more
    return found


def test_every_machine_has_its_definition_and_every_definition_a_machine() -> None:
    assert {machine.path for machine in DEPLOYED_MACHINES} == set((ROOT / "statemachines").glob("*.asl.yaml"))


@each_machine
def test_a_definition_fits_on_two_pages(machine: Machine) -> None:
    assert len(machine.path.read_text().splitlines()) <= 120


@each_machine
def test_a_machine_speaks_jsonata_says_what_it_is_and_ends_in_time(machine: Machine) -> None:
    definition = machine.definition
    assert definition["QueryLanguage"] == "JSONata"
    assert definition["Comment"]
    assert definition["TimeoutSeconds"] > 0


@each_machine
def test_state_names_are_short_unique_and_tell_their_kind(machine: Machine) -> None:
    names = [name for name, _ in states(machine.definition)]
    assert len(names) == len(set(names))
    assert max(map(len, names)) <= 40
    for name, state in states(machine.definition):
        assert name.endswith("?") == (state["Type"] == "Choice"), f"'{name}': choices, and they alone, are questions"
        if state["Type"] == "Succeed":
            assert name.lower().replace(" ", "_") in OUTCOMES, f"'{name}' is no outcome that docs/contracts.md names"


@each_machine
def test_every_state_can_be_reached_and_every_target_exists(machine: Machine) -> None:
    for level in levels(machine.definition):
        seen, ahead = set(), [level["StartAt"]]
        while ahead:
            name = ahead.pop()
            if name not in seen:
                seen.add(name)
                ahead += targets(level["States"][name])
        assert seen == set(level["States"])


@each_machine
def test_a_machine_has_one_red_exit(machine: Machine) -> None:
    fails = [name for name, state in machine.definition["States"].items() if state["Type"] == "Fail"]
    assert fails == ["Failed"]


@each_machine
def test_the_template_fills_in_exactly_what_a_definition_asks_for(machine: Machine) -> None:
    assert placeholders(machine.path.read_text().replace("${...}", "")) == set(machine.substitutions)


@each_machine
def test_a_machine_may_call_the_functions_it_names_and_no_others(machine: Machine) -> None:
    named = [value["Fn::Sub"] for name, value in machine.substitutions.items() if name.endswith("FunctionArn")]
    statements = [one for policy in machine.resource["Properties"]["Policies"] for one in policy.get("Statement", [])]
    (invoke,) = (one["Resource"] for one in statements if one["Action"] == "lambda:InvokeFunction")
    assert sorted(resource["Fn::Sub"] for resource in invoke) == sorted(named)
    assert all(name.endswith(".Arn}:live") for name in named), "machines call the alias, not what is deployed meanwhile"


@each_task
def test_a_task_says_what_it_does_and_when_it_is_too_late(machine: Machine, name: str, task: dict[str, Any]) -> None:
    assert task["Comment"]
    assert 0 < task["TimeoutSeconds"] < machine.definition["TimeoutSeconds"]


@each_task
def test_a_task_outwaits_the_function_it_calls(machine: Machine, name: str, task: dict[str, Any]) -> None:
    step = function_of(task)
    if step:
        own = RESOURCES[step]["Properties"].get("Timeout", 60)
        assert own < task["TimeoutSeconds"], f"{step} may run {own} s"


@each_task
def test_a_task_retries_named_errors_with_jitter_and_a_longest_wait(
    machine: Machine, name: str, task: dict[str, Any]
) -> None:
    assert task["Retry"]
    for retrier in task["Retry"]:
        assert retrier["JitterStrategy"] == "FULL"
        assert retrier["MaxDelaySeconds"] > 0
        assert "States.ALL" not in retrier["ErrorEquals"]
        unknown = set(retrier["ErrorEquals"]) - KNOWN_ERRORS - family("RatchetError")
        assert not unknown, f"{sorted(unknown)} are in neither ratchet/errors.py nor AWS's lists"


@each_task
def test_a_function_is_called_again_when_something_was_unavailable_and_never_when_a_contract_broke(
    machine: Machine, name: str, task: dict[str, Any]
) -> None:
    if function_of(task):
        retried = {error for retrier in task["Retry"] for error in retrier["ErrorEquals"]}
        assert family("Unavailable") <= retried
        assert not family("ContractError") & retried


@each_task
def test_a_function_that_was_killed_half_way_is_called_again(machine: Machine, name: str, task: dict[str, Any]) -> None:
    if function_of(task):
        retried = {error for retrier in task["Retry"] for error in retrier["ErrorEquals"]}
        assert {"Sandbox.Timedout", "Lambda.Unknown", "Runtime.ExitError"} <= retried, (
            "every step may be repeated; only the machine can"
        )


@each_task
def test_whatever_goes_wrong_leads_to_the_red_exit(machine: Machine, name: str, task: dict[str, Any]) -> None:
    *_, last = task["Catch"]
    assert last["ErrorEquals"] == ["States.ALL"]
    if (machine.path.name, name) in NOT_FATAL:
        assert last["Next"] == task["Next"], "what it does not do changes nothing"
        return
    # A task of a Map hands its failure to the state behind the Map, which knows the way to the exit.
    assert {"Failed", "Hand up the failure"} & reachable(machine.definition, last["Next"])


@each_task
def test_the_function_of_a_task_has_a_folder(machine: Machine, name: str, task: dict[str, Any]) -> None:
    step = function_of(task)
    if step:
        assert step in {logical_id(folder) for folder in FUNCTIONS}


@each_machine
def test_cfn_lint_finds_nothing_in_a_definition(machine: Machine, tmp_path: Path) -> None:
    assert lint(embedded(machine.filled(), tmp_path)) == ""


def test_cfn_lint_looks_inside_an_embedded_definition(tmp_path: Path) -> None:
    machine = next(machine for machine in MACHINES if machine.path.name == "release.asl.yaml")
    broken = machine.filled().replace('"TimeoutSeconds": 9000', '"TimeOutSeconds": 9000')
    assert "E3601" in lint(embedded(broken, tmp_path))


def embedded(definition: str, folder: Path) -> Path:
    """A template with the definition inside: in a file of its own cfn-lint does not look at it."""
    properties = {"RoleArn": "arn:aws:iam::123456789012:role/x", "Definition": json.loads(definition)}
    machine = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    template = folder / "machine.json"
    template.write_text(json.dumps({"Resources": {"Machine": machine}}))
    return template


def levels(definition: dict[str, Any]) -> list[dict[str, Any]]:
    """A definition and those of its Maps."""
    inner = [state["ItemProcessor"] for state in definition["States"].values() if "ItemProcessor" in state]
    return [definition, *(level for each in inner for level in levels(each))]


def targets(state: dict[str, Any]) -> list[str]:
    """Where a state may go."""
    rules = [*state.get("Choices", []), *state.get("Catch", [])]
    return [*(state[key] for key in ("Next", "Default") if key in state), *(rule["Next"] for rule in rules)]


def reachable(definition: dict[str, Any], start: str) -> set[str]:
    """The states that may follow, within the level of the definition that holds the start."""
    level = next(one for one in levels(definition) if start in one["States"])
    seen: set[str] = set()
    ahead = [start]
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            ahead += targets(level["States"][name])
    return seen


def function_of(task: dict[str, Any]) -> str | None:
    """The logical id of the function that a Task calls, if it calls one."""
    called = re.fullmatch(r"\$\{(\w+Function)Arn\}", task["Resource"])
    named = re.search(r"\$\{(\w+Function)Arn\}", str(task.get("Arguments", "")))
    found = called or named
    return found.group(1) if found else None
