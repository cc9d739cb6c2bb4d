"""Executions of one state machine by their names; a refusal is told apart from what cannot be done now."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from ratchet.adapters.machine import StateMachine
from ratchet.errors import AlreadyRunning, BadConfiguration, RatchetError, Unavailable
from ratchet.executions import Execution

ARN = "arn:aws:states:us-east-1:123456789012:stateMachine:stack-rul"
NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)


class States:
    """Answers as told and remembers what it was asked."""

    def __init__(self, answer: Any = None) -> None:
        self.answer, self.asked = answer or {}, list[dict[str, Any]]()

    def start_execution(self, **asked: Any) -> Any:
        self.asked.append(asked)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    describe_execution = start_execution


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "No."}}, "StartExecution")


def test_an_execution_is_started_by_its_name() -> None:
    states = States()
    StateMachine(ARN, states).start_execution("api-1", {"sample": 5})
    assert states.asked == [{"stateMachineArn": ARN, "name": "api-1", "input": json.dumps({"sample": 5})}]


def test_an_execution_is_described_by_its_name() -> None:
    states = States({"status": "FAILED", "startDate": NOW, "stopDate": NOW, "input": '{"a": 1}', "error": "E"})
    assert StateMachine(ARN, states).describe_execution("x") == Execution("FAILED", NOW, NOW, '{"a": 1}', error="E")
    assert states.asked == [{"executionArn": f"{ARN.replace('stateMachine', 'execution')}:x"}]


@pytest.mark.parametrize("code", ["ExecutionDoesNotExist", "InvalidArn"])
def test_an_execution_that_nobody_knows_is_none(code: str) -> None:
    assert StateMachine(ARN, States(refusal(code))).describe_execution("x") is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (refusal("ExecutionAlreadyExists"), AlreadyRunning),
        (refusal("AccessDeniedException"), BadConfiguration),
        (refusal("StateMachineDoesNotExist"), BadConfiguration),
        (refusal("ThrottlingException"), Unavailable),
        (EndpointConnectionError(endpoint_url="x"), Unavailable),
    ],
    ids=["another input", "no right", "no machine", "throttled", "out of reach"],
)
def test_a_refusal_is_named_for_what_can_be_done(error: Exception, kind: type[RatchetError]) -> None:
    with pytest.raises(RatchetError) as raised:
        StateMachine(ARN, States(error)).start_execution("x", {})
    assert type(raised.value) is kind
