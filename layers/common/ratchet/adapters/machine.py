"""The port of one state machine on Step Functions: starts its executions and describes them by name."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from ratchet.adapters.stepfunctions import CONFIG, UNKNOWN
from ratchet.errors import AlreadyRunning, BadConfiguration, Unavailable
from ratchet.executions import Execution

REFUSED = {"AccessDeniedException", "StateMachineDoesNotExist", "InvalidArn"}


class StateMachine:
    """The machine of that ARN, with the process's own credentials or the given client."""

    def __init__(self, arn: str, states: Any = None) -> None:
        """Asks nothing yet."""
        self._arn = arn
        self._states = states or boto3.client("stepfunctions", config=CONFIG)

    def start_execution(self, name: str, document: Mapping[str, Any]) -> None:
        """See the port."""
        with self._errors():
            try:
                self._states.start_execution(stateMachineArn=self._arn, name=name, input=json.dumps(document))
            except ClientError as error:
                if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
                    raise
                raise AlreadyRunning(f"'{name}' was started with another input: ask for it, or again later.") from error

    def describe_execution(self, name: str) -> Execution | None:
        """See the port."""
        execution = f"{self._arn.replace(':stateMachine:', ':execution:')}:{name}"
        with self._errors():
            try:
                told = self._states.describe_execution(executionArn=execution)
            except ClientError as error:
                if error.response["Error"]["Code"] in UNKNOWN:
                    return None
                raise
        texts = {field: told.get(field) for field in ("output", "error", "cause")}
        return Execution(told["status"], told["startDate"], told.get("stopDate"), told.get("input", "{}"), **texts)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            kind = BadConfiguration if error.response["Error"]["Code"] in REFUSED else Unavailable
            raise kind(f"Step Functions does not do what {self._arn} was asked for: {error}") from error
        except BotoCoreError as error:
            raise Unavailable(f"Step Functions did not answer about {self._arn}: {error}") from error
