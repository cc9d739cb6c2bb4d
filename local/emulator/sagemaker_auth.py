"""What IAM asks of a caller of SageMaker beyond the action itself: the job's ARN as resource, PassRole, AddTags."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ministack import app
from ministack.core import iam_actions, router
from ministack.core.iam_evaluator import enforce
from ministack.core.responses import get_account_id, get_region

ACCESS_DENIED = "AccessDeniedException"


def job_arn(name: str) -> str:
    """The ARN of a training job in the caller's account and region."""
    return f"arn:aws:sagemaker:{get_region()}:{get_account_id()}:training-job/{name}"


def resource(body: bytes) -> str:
    """The ARN that a call's policy must allow; `*` for calls that name none."""
    request = json.loads(body or b"{}")
    if "TrainingJobName" in request:
        return job_arn(request["TrainingJobName"])
    return str(request.get("ResourceArn", "*"))


def missing_permission(headers: dict[str, str], request: dict[str, Any]) -> str:
    """What a CreateTrainingJob's caller may not do, as AWS words it; empty when all is allowed or AUTH is off."""
    if not app.AUTH:
        return ""
    key = router.extract_access_key_id(headers, {})
    for action, service, arn, context in _needed(request):
        denied = enforce(key, action, service, get_region(), resource_arn=arn, service_context=context)
        if denied:
            who = getattr(denied, "principal_arn", "the caller")
            return f"User: {who} is not authorized to perform: {action} on resource: {arn}"
    return ""


def _needed(request: dict[str, Any]) -> Iterator[tuple[str, str, str, dict[str, str] | None]]:
    yield "iam:PassRole", "iam", request["RoleArn"], {"iam:passedtoservice": "sagemaker.amazonaws.com"}
    if request.get("Tags"):
        yield "sagemaker:AddTags", "sagemaker", job_arn(request["TrainingJobName"]), None


def install() -> None:
    """Let ministack's authorization know SageMaker's actions and resources."""
    iam_actions.SERVICE_TO_IAM_NAMESPACE["sagemaker"] = "sagemaker"
    stock = iam_actions.extract_resource_arn

    def extract(service: str, method: str, path: str, headers: Any, body: bytes, *more: Any) -> str:
        return resource(body) if service == "sagemaker" else stock(service, method, path, headers, body, *more)

    iam_actions.extract_resource_arn = extract
