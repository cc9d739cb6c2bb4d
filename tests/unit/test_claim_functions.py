"""The functions at both ends of a claim: what a run is told of itself, and what is left of one that died."""

import importlib.util
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ratchet import claim, lease
from ratchet.keys import Keys

from tests.fakes import Clock, Executions, MemoryStore

KEYS = Keys("")
START = datetime(2026, 11, 21, 4, 0, 7, 250_000, tzinfo=UTC)
RUN = "2026-11-21T04-00-07Z"
SLOT = {"scheduledTime": "2026-11-21T04:00:00Z"}


class Ports:
    """The ports that the functions ask for."""

    def __init__(self) -> None:
        self.made, self.asked = MemoryStore(), Executions()

    def store(self) -> MemoryStore:
        return self.made

    def executions(self) -> Executions:
        return self.asked


class Context:
    function_name, memory_limit_in_mb = "step", 256
    invoked_function_arn, aws_request_id = "arn:aws:lambda:eu-west-1:000000000000:function:step", "1"


def app(step: str) -> ModuleType:
    path = Path(__file__).parents[2] / "functions" / step / "app.py"
    spec = importlib.util.spec_from_file_location(f"{step}_app", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CLAIM, FREE = app("claim_run"), app("free_lease")


@pytest.fixture
def ports() -> Ports:
    return Ports()


def claimed(ports: Ports, given: dict[str, Any], execution: str = "a") -> dict[str, Any]:
    event = {"pipeline": "returns", "execution": execution, "started": "2026-11-21T04:00:07.250Z", "input": given}
    return dict(CLAIM.handler(event, Context(), ports, Clock(START)))


def ended(ports: Ports, given: Any, status: str = "ABORTED", execution: str = "a") -> dict[str, Any]:
    text = None if given is None else json.dumps(given)
    start = int(START.timestamp() * 1000)
    detail = {"executionArn": execution, "status": status, "input": text, "startDate": start}
    detail["stateMachineArn"] = "arn:aws:states:eu-west-1:000000000000:stateMachine:ratchet-dev-returns"
    return dict(FREE.handler({"detail": detail}, Context(), ports, Clock(START + timedelta(minutes=5))))


def outcome(ports: Ports, run_ts: str) -> tuple[str, str | None]:
    found = claim.read(ports.made, KEYS, run_ts)
    assert found
    return found[0].state, found[0].outcome


def test_a_claimed_run_is_told_what_its_first_attempt_was_asked_for(ports: Ports) -> None:
    first = claimed(ports, {"limit": 500, "skipDataPrep": True})
    assert first == {
        **{"status": "claimed", "run_ts": RUN, "attempt": 1, "holder": "a", "scheduled": False},
        **{"limit": 500, "skip_data_prep": True, "since_ts": None, "month": None, "sample": 0},
    }
    ended(ports, {"limit": 500, "skipDataPrep": True})
    assert claimed(ports, {"resume": RUN}, "b") == {**first, "attempt": 2, "holder": "b"}


@pytest.mark.parametrize(("given", "run_ts"), [({}, RUN), (SLOT, "2026-11-21T04-00-00Z")])
def test_a_run_that_died_before_it_had_the_lease_has_its_claim_closed(
    ports: Ports, given: dict[str, Any], run_ts: str
) -> None:
    claimed(ports, given)
    assert ended(ports, given) == {"status": "not_held"}
    assert outcome(ports, run_ts) == ("ended", "aborted")


def test_a_run_that_died_with_the_lease_has_its_leftovers_stopped_and_both_given_back(ports: Ports) -> None:
    claimed(ports, {})
    ttl = timedelta(hours=4)
    lease.take(ports.made, KEYS, ports.asked, Clock(START), execution="a", run_ts=RUN, ttl=ttl)
    assert ended(ports, {}, "TIMED_OUT") == {"status": "freed"}
    assert (outcome(ports, RUN), ports.asked.stopped) == (("ended", "timed_out"), ["a"])


def test_the_claim_and_the_lease_of_another_execution_stay_as_they_are(ports: Ports) -> None:
    claimed(ports, SLOT)
    lease.take(ports.made, KEYS, ports.asked, Clock(START), execution="a", run_ts=RUN, ttl=timedelta(hours=4))
    assert ended(ports, SLOT, "FAILED", "b") == {"status": "not_held"}
    assert outcome(ports, "2026-11-21T04-00-00Z") == ("running", None)


@pytest.mark.parametrize("given", [{"limit": "lots"}, [], None])
def test_an_execution_whose_input_was_refused_has_nothing_to_close(ports: Ports, given: Any) -> None:
    assert ended(ports, given, "FAILED") == {"status": "not_held"}
    assert not ports.made.writes
