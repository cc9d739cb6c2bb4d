"""The feature group port on SageMaker's Feature Store: records are put one by one, many at a time."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError

from ratchet.errors import BadConfiguration, Unavailable

AT_ONCE = 16
CONFIG = Config(
    connect_timeout=5,
    read_timeout=20,
    max_pool_connections=AT_ONCE,
    retries={"mode": "adaptive", "max_attempts": 8},
)
"""Adaptive: a large file meets the limit of the account, and slows down."""
PASSING = {"ThrottlingException", "InternalFailure", "ServiceUnavailable"}


class SageMakerFeatureGroup:
    """The group of that name, with the process's own credentials or the given client."""

    def __init__(self, name: str, client: Any = None) -> None:
        """The client is made here once."""
        self.name = name
        self._client = client or boto3.client("sagemaker-featurestore-runtime", config=CONFIG)

    def put(self, records: list[dict[str, str]]) -> None:
        """See the port."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            # The first error of all is raised here, when those under way have ended.
            list(pool.map(self._put, records))

    def _put(self, record: dict[str, str]) -> None:
        told = [{"FeatureName": name, "ValueAsString": value} for name, value in record.items()]
        try:
            self._client.put_record(FeatureGroupName=self.name, Record=told)
        except ClientError as error:
            kind = Unavailable if error.response["Error"]["Code"] in PASSING else BadConfiguration
            raise kind(f"The feature group {self.name} does not take a record: {error}") from error
        except BotoCoreError as error:
            raise Unavailable(f"The feature group {self.name} did not answer: {error}") from error
