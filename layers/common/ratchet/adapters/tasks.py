"""The port to tasks that wait for a token, on Step Functions; and a topic to which people listen, on SNS."""

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


class SnsTopic:
    """An SNS topic."""

    def __init__(self, arn: str, client: Any = None) -> None:
        """The client is made here once."""
        self._arn = arn
        self._client = client or boto3.client("sns", config=CONFIG)

    def tell(self, subject: str, message: str) -> None:
        """Publishes. Raises Unavailable."""
        try:
            self._client.publish(TopicArn=self._arn, Subject=subject[:100], Message=message)
        except (ClientError, BotoCoreError) as error:
            raise Unavailable(f"The message '{subject}' could not be sent: {error}") from error
