"""The registry port on SageMaker's model registry: one package group."""

from collections.abc import Mapping
from typing import Any

import boto3
from botocore.exceptions import ClientError

from ratchet.adapters.sagemaker import CONFIG
from ratchet.adapters.sagemaker_errors import errors, is_absent
from ratchet.registry.package import PENDING, Package, one_line

CONTENT_TYPES = ["application/json", "text/csv"]


class ModelRegistry:
    """Packages of one group, whose models are served by `image`."""

    def __init__(self, group: str, image: str, client: Any = None) -> None:
        """The client is made here once."""
        self._group, self._image = group, image
        self._client = client or boto3.client("sagemaker", config=CONFIG)

    def create(self, token: str, model_uri: str, evaluation_uri: str, facts: Mapping[str, str], about: str) -> str:
        """See the port."""
        containers = [{"Image": self._image, "ModelDataUrl": model_uri}]
        types = {"SupportedContentTypes": CONTENT_TYPES, "SupportedResponseMIMETypes": CONTENT_TYPES}
        quality = {"Statistics": {"ContentType": "application/json", "S3Uri": evaluation_uri}}
        with errors(self._group):
            made = self._client.create_model_package(
                ModelPackageGroupName=self._group,
                ModelPackageDescription=about,
                InferenceSpecification={"Containers": containers, **types},
                ModelApprovalStatus=PENDING,
                ModelMetrics={"ModelQuality": quality},
                CustomerMetadataProperties=dict(facts),
                ClientToken=token,
            )
        return str(made["ModelPackageArn"])

    def find(self, arn: str) -> Package | None:
        """See the port."""
        with errors(arn):
            try:
                told = self._client.describe_model_package(ModelPackageName=arn)
            except ClientError as error:
                if is_absent(error):
                    return None
                raise
        # Others may keep theirs in the group: of several containers, or of none.
        models = [each.get("ModelDataUrl", "") for each in told.get("InferenceSpecification", {}).get("Containers", ())]
        facts, why = told.get("CustomerMetadataProperties", {}), one_line(told.get("ApprovalDescription", ""))
        return Package(arn, told.get("ModelApprovalStatus", ""), facts, models[0] if len(models) == 1 else "", why)

    def decide(self, arn: str, status: str, why: str) -> None:
        """See the port."""
        with errors(arn):
            self._client.update_model_package(ModelPackageArn=arn, ModelApprovalStatus=status, ApprovalDescription=why)
