"""The training jobs port on SageMaker: looking a job up by its name."""

from typing import Any

import boto3
from botocore.client import Config
from botocore.exceptions import ClientError

from ratchet.adapters.sagemaker_errors import errors, is_absent
from ratchet.training import Job

CONFIG = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "max_attempts": 4})


class SageMakerJobs:
    """SageMaker with the process's own credentials, or the given client."""

    def __init__(self, client: Any = None) -> None:
        """The client is made here once."""
        self._client = client or boto3.client("sagemaker", config=CONFIG)

    @property
    def region(self) -> str:
        """See the port."""
        return str(self._client.meta.region_name)

    def find(self, name: str) -> Job | None:
        """See the port."""
        with errors(name):
            try:
                described = self._client.describe_training_job(TrainingJobName=name)
                tags = self._client.list_tags(ResourceArn=described["TrainingJobArn"])["Tags"]
            except ClientError as error:
                if is_absent(error):
                    return None
                raise
        return Job(
            name,
            described["TrainingJobStatus"],
            described["SecondaryStatus"],
            described.get("FailureReason", ""),
            described.get("ModelArtifacts", {}).get("S3ModelArtifacts"),
            described.get("HyperParameters", {}),
            {tag["Key"]: tag["Value"] for tag in tags},
        )
