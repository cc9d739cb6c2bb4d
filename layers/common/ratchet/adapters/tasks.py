"""The port to tasks that wait for a token, on Step Functions."""

import json
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from ratchet.adapters.stepfunctions import CONFIG
from ratchet.errors import Unavailable

NOBODY = {"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"}


class WaitingTasks:
    """Step Functions with the process's own credentials, or the given client."""

    def __init__(self, states: Any = None) -> None:
        """The client is made here once."""
        self._states = states or boto3.client("stepfunctions", config=CONFIG)

    def succeed(self, token: str, output: dict[str, str]) -> bool:
        """See the port."""
        try:
            self._states.send_task_success(taskToken=token, output=json.dumps(output))
        except ClientError as error:
            if error.response["Error"]["Code"] in NOBODY:
                return False
            raise Unavailable(f"Step Functions did not take a decision: {error}") from error
        except BotoCoreError as error:
            raise Unavailable(f"Step Functions did not take a decision: {error}") from error
        return True
