"""The executions port on Step Functions: who still runs, and stopping what an ended execution left behind."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError

from ratchet.errors import Unavailable

CONFIG = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "max_attempts": 4})
UNKNOWN = {"ExecutionDoesNotExist", "InvalidArn", "ResourceNotFound", "ValidationException"}


class StepFunctions:
    """Step Functions and SageMaker with the process's own credentials, or the given clients."""

    def __init__(self, states: Any = None, sagemaker: Any = None) -> None:
        """Clients are made here once; both are cheap next to the calls."""
        self._states = states or boto3.client("stepfunctions", config=CONFIG)
        self._sagemaker = sagemaker or boto3.client("sagemaker", config=CONFIG)

    def is_running(self, execution: str) -> bool:
        """See the port."""
        with _errors(execution):
            try:
                answer = self._states.describe_execution(executionArn=execution)
            except ClientError as error:
                if error.response["Error"]["Code"] in UNKNOWN:
                    return False
                raise
            running: bool = answer["status"] in {"RUNNING", "PENDING_REDRIVE"}
            return running

    def stop_leftovers(self, execution: str) -> list[str]:
        """See the port. The execution's own history names what it started, whatever it was called."""
        stopped: list[str] = []
        with _errors(execution):
            for resource, output in self._submitted(execution):
                if resource == "states" and self.is_running(output["ExecutionArn"]):
                    self._states.stop_execution(
                        executionArn=output["ExecutionArn"], error="ParentEnded", cause=f"{execution} no longer runs."
                    )
                    stopped.append(output["ExecutionArn"])
                if resource == "states":
                    stopped += self.stop_leftovers(output["ExecutionArn"])
                if resource == "sagemaker":
                    stopped += self._stop_job(output["TrainingJobArn"].rpartition("/")[2])
        return stopped

    def _submitted(self, execution: str) -> Iterator[tuple[str, dict[str, Any]]]:
        try:
            pages = self._states.get_paginator("get_execution_history").paginate(executionArn=execution)
            for event in (event for page in pages for event in page["events"]):
                details = event.get("taskSubmittedEventDetails")
                if details:
                    yield details["resourceType"], json.loads(details.get("output") or "{}")
        except ClientError as error:
            if error.response["Error"]["Code"] not in UNKNOWN:
                raise

    def _stop_job(self, name: str) -> list[str]:
        status = self._sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"]
        if status != "InProgress":
            return []
        self._sagemaker.stop_training_job(TrainingJobName=name)
        return [name]


@contextmanager
def _errors(execution: str) -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise Unavailable(f"Step Functions did not answer about {execution}: {error}") from error
