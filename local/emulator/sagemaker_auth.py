"""What IAM asks of a caller of SageMaker beyond the action itself: the ARN as resource, PassRole, AddTags and so on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ministack import app
from ministack.core import iam_actions, router
from ministack.core.iam_evaluator import enforce
from ministack.core.responses import get_region

from local.emulator import sagemaker_rest
from local.emulator.sagemaker_names import arn

ACCESS_DENIED = "AccessDeniedException"
_PASSED = {"CreateTrainingJob": "RoleArn", "CreateFeatureGroup": "RoleArn", "CreateModel": "ExecutionRoleArn"}
# The member that names what a call is about, in this order: an endpoint before its configuration, a package before its
# group.
_KINDS = {
    "TrainingJobName": "training-job",
    "FeatureGroupName": "feature-group",
    "ModelPackageArn": "model-package",
    "ModelPackageName": "model-package",
    "ModelPackageGroupName": "model-package-group",
    "EndpointName": "endpoint",
    "EndpointConfigName": "endpoint-config",
    "ModelName": "model",
}


def resource(call: str, request: Mapping[str, Any]) -> str:
    """The ARN that a call's policy must allow; `*` for calls that name none or list."""
    if call == "CreateModelPackage" and "ModelPackageGroupName" in request:
        group = arn("model-package-group", request["ModelPackageGroupName"])
        return f"{group.replace(':model-package-group/', ':model-package/')}/*"
    if call.startswith("List") and "ResourceArn" not in request:
        return "*"
    kinds = (arn(kind, str(request[member])) for member, kind in _KINDS.items() if member in request)
    return next(kinds, str(request.get("ResourceArn", "*")))


def missing_permission(headers: dict[str, str], call: str, request: Mapping[str, Any]) -> str:
    """What a caller may not do that the call needs too, as AWS words it; empty when allowed or AUTH is off."""
    if not app.AUTH:
        return ""
    key = router.extract_access_key_id(headers, {})
    for action, service, needed, context in _needed(call, request):
        denied = enforce(key, action, service, get_region(), resource_arn=needed, service_context=context)
        if denied:
            who = getattr(denied, "principal_arn", "the caller")
            return f"User: {who} is not authorized to perform: {action} on resource: {needed}"
    return ""


def _needed(call: str, request: Mapping[str, Any]) -> Iterator[tuple[str, str, str, dict[str, str] | None]]:
    role = request.get(_PASSED.get(call, ""))
    if role:
        yield "iam:PassRole", "iam", role, {"iam:passedtoservice": "sagemaker.amazonaws.com"}
    if request.get("Tags") and call != "AddTags":
        yield "sagemaker:AddTags", "sagemaker", resource(call, request), None
    if call in ("CreateEndpoint", "UpdateEndpoint"):
        yield f"sagemaker:{call}", "sagemaker", arn("endpoint-config", request["EndpointConfigName"]), None


def _asked(method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[str, Mapping[str, Any]]:
    """A request's call, and as much of its request as names things."""
    target = headers.get("x-amz-target", "")
    if target:
        return target.rsplit(".", 1)[-1], json.loads(body or b"{}")
    found = sagemaker_rest.operation(method, path)
    return (found[0].name, found[1]) if found else ("", {})


def install() -> None:
    """Let ministack's authorization know SageMaker's actions and resources."""
    iam_actions.SERVICE_TO_IAM_NAMESPACE["sagemaker"] = "sagemaker"
    stock_action, stock_arn = iam_actions.extract_iam_action, iam_actions.extract_resource_arn

    def action(service: str, method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        if service != "sagemaker":
            return stock_action(service, method, path, headers, body, query)
        # Something always, lest a request that nobody knows go unchecked.
        return f"sagemaker:{_asked(method, path, headers, b'')[0] or 'Unknown'}"

    def resource_arn(service: str, method: str, path: str, headers: Any, body: bytes, *more: Any) -> Any:
        if service != "sagemaker":
            return stock_arn(service, method, path, headers, body, *more)
        return resource(*_asked(method, path, headers, body))

    iam_actions.extract_iam_action, iam_actions.extract_resource_arn = action, resource_arn
