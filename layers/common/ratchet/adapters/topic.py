"""The port to a topic on which people listen, on SNS."""

from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from ratchet.adapters.stepfunctions import CONFIG
from ratchet.errors import Unavailable


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
