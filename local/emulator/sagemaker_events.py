"""SageMaker's events on the account's default bus, from where rules carry them to functions and machines."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from ministack.services import eventbridge

from local.emulator.sagemaker_resources import Resource

_DETAIL = (
    "ModelPackageName",
    "ModelPackageGroupName",
    "ModelPackageVersion",
    "ModelPackageArn",
    "ModelPackageDescription",
    "CreationTime",
    "InferenceSpecification",
    "ModelPackageStatus",
    "ModelPackageStatusDetails",
    "CertifyForMarketplace",
    "ModelApprovalStatus",
    "ApprovalDescription",
    "MetadataProperties",
    "ModelMetrics",
    "CustomerMetadataProperties",
    "CreatedBy",
    "LastModifiedTime",
    "LastModifiedBy",
)


def package_changed(package: Resource) -> None:
    """Tell that a package was made or its approval has changed."""
    _put("SageMaker Model Package State Change", package.arn, package_detail(package.shown))


def package_detail(shown: dict[str, Any]) -> dict[str, Any]:
    """The event's detail: what the package shows, with instants as text."""
    detail = {name: shown[name] for name in _DETAIL if name in shown}
    for name in ("CreationTime", "LastModifiedTime"):
        if name in detail:
            detail[name] = datetime.fromtimestamp(detail[name], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return detail


def _put(detail_type: str, resource: str, detail: dict[str, Any]) -> None:
    entry = {
        "Source": "aws.sagemaker",
        "DetailType": detail_type,
        "Resources": [resource],
        "Detail": json.dumps(detail),
    }
    eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)
