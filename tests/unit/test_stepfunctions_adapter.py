"""What an ended execution left running is found in its own history and stopped."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from ratchet.adapters.stepfunctions import StepFunctions
from ratchet.errors import Unavailable


class States:
    """Step Functions with executions that are a status and what they submitted."""

    def __init__(self, **executions: tuple[str, list[tuple[str, dict[str, str]]]]) -> None:
        self.executions, self.stopped = executions, list[str]()

    def describe_execution(self, executionArn: str) -> dict[str, str]:
        if executionArn not in self.executions:
            raise ClientError({"Error": {"Code": "ExecutionDoesNotExist"}}, "DescribeExecution")
        return {"status": self.executions[executionArn][0]}

    def stop_execution(self, executionArn: str, **_: str) -> None:
        self.stopped.append(executionArn)

    def get_paginator(self, _: str) -> "States":
        return self

    def paginate(self, executionArn: str) -> list[dict[str, Any]]:
        if executionArn not in self.executions:
            raise ClientError({"Error": {"Code": "ExecutionDoesNotExist"}}, "GetExecutionHistory")
        submitted = self.executions[executionArn][1]
        events = [
            {"taskSubmittedEventDetails": {"resourceType": kind, "output": json.dumps(output)}}
            for kind, output in submitted
        ]
        return [{"events": [{"type": "ExecutionStarted"}]}, {"events": events}]


class SageMaker:
    def __init__(self, **jobs: str) -> None:
        self.jobs, self.stopped = jobs, list[str]()

    def describe_training_job(self, TrainingJobName: str) -> dict[str, str]:
        return {"TrainingJobStatus": self.jobs[TrainingJobName]}

    def stop_training_job(self, TrainingJobName: str) -> None:
        self.stopped.append(TrainingJobName)


def job(name: str) -> tuple[str, dict[str, str]]:
    return "sagemaker", {"TrainingJobArn": f"arn:aws:sagemaker:x:1:training-job/{name}"}


def test_an_execution_that_nobody_knows_does_not_run() -> None:
    adapter = StepFunctions(States(a=("RUNNING", [])), SageMaker())
    assert adapter.is_running("a")
    assert not adapter.is_running("gone")


def test_a_surviving_child_and_its_job_are_stopped() -> None:
    states = States(
        parent=("ABORTED", [("states", {"ExecutionArn": "child"})]), child=("RUNNING", [job("running"), job("done")])
    )
    sagemaker = SageMaker(running="InProgress", done="Completed")
    assert StepFunctions(states, sagemaker).stop_leftovers("parent") == ["child", "running"]
    assert (states.stopped, sagemaker.stopped) == (["child"], ["running"])


def test_an_ended_child_may_still_have_a_job() -> None:
    states = States(parent=("FAILED", [("states", {"ExecutionArn": "child"})]), child=("TIMED_OUT", [job("j")]))
    assert StepFunctions(states, SageMaker(j="InProgress")).stop_leftovers("parent") == ["j"]


def test_an_execution_without_history_left_nothing() -> None:
    assert StepFunctions(States(), SageMaker()).stop_leftovers("gone") == []


def test_no_answer_is_retried_later() -> None:
    class Down(States):
        def describe_execution(self, executionArn: str) -> dict[str, str]:
            raise ClientError({"Error": {"Code": "ThrottlingException"}}, "DescribeExecution")

    with pytest.raises(Unavailable):
        StepFunctions(Down(), SageMaker()).is_running("a")
