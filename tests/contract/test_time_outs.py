"""How long machines may run: what waits outlasts what it waits for, and there is time to undo."""

import re
from typing import Any

import pytest
from ratchet.catalog import load, names
from ratchet.training_request import SPOT_WAIT_SECONDS

from tests.contract.application import MACHINES, RESOURCES


@pytest.mark.parametrize(
    ("outer", "state", "inner"),
    [
        ("pipeline", "Release", "release"),
        ("approval", "Deploy what is approved", "deployment"),
        ("deployment", "Deploy", "endpoint"),
        ("deployment", "Serve the champion", "endpoint"),
    ],
)
def test_machines_stay_inside_the_machine_that_waits_for_them(outer: str, state: str, inner: str) -> None:
    waits = defined(outer)["States"][state]["TimeoutSeconds"]
    assert defined(inner)["TimeoutSeconds"] < waits < defined(outer)["TimeoutSeconds"]


def test_an_endpoint_is_put_back_before_the_time_of_its_machine_is_over() -> None:
    endpoint = defined("endpoint")
    found = endpoint["States"]
    looks = found["Name the variables"]["Assign"]["patience"]
    waits = [looks * state["Seconds"] for state in found.values() if state["Type"] == "Wait"]
    steps = [found[name]["TimeoutSeconds"] for name in ("Stage", "Verify the candidate", "Verify")]
    assert len(waits) == 4
    assert sum(waits + steps) < endpoint["TimeoutSeconds"]


def test_a_deployment_that_waited_for_the_lease_has_time_for_all_that_follows() -> None:
    deployment, moves = defined("deployment"), defined("endpoint")["States"]
    found = deployment["States"]
    looks = re.search(r"\$refused >= (\d+)", str(found["Lease taken?"]))
    assert looks
    lease = int(looks[1]) * found["Wait for the lease"]["Seconds"]
    judged = 3 * sum(found[name]["TimeoutSeconds"] for name in ("Evaluate", "Promote"))
    changes = 2 * moves["Name the variables"]["Assign"]["patience"] * moves["Wait for the move"]["Seconds"]
    verified = sum(moves[name]["TimeoutSeconds"] for name in ("Stage", "Verify the candidate", "Verify", "Tidy up"))
    back = sum(found[name]["TimeoutSeconds"] for name in ("Serve the champion", "Give back the lease"))
    assert lease + judged + changes + verified + back < deployment["TimeoutSeconds"]


@pytest.mark.parametrize("pipeline", names())
def test_a_job_that_waits_for_spot_capacity_ends_before_the_state_that_waits_for_it(pipeline: str) -> None:
    longest = load(pipeline).training.max_runtime_seconds + SPOT_WAIT_SECONDS
    assert longest < defined("release")["States"]["Train"]["TimeoutSeconds"] < defined("release")["TimeoutSeconds"]


def test_a_lease_is_told_how_long_the_machine_may_run() -> None:
    variables = RESOURCES["TakeLeaseFunction"]["Properties"]["Environment"]["Variables"]
    holders = [machine for machine in MACHINES if "TakeLeaseFunctionArn" in machine.substitutions]
    longest = max(machine.definition["TimeoutSeconds"] for machine in holders)
    assert int(variables["RATCHET_MACHINE_TIMEOUT_SECONDS"]) == longest


def defined(name: str) -> dict[str, Any]:
    """The definition in that file."""
    return next(machine.definition for machine in MACHINES if machine.path.name == f"{name}.asl.yaml")
