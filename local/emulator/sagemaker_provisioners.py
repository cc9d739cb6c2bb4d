"""CloudFormation's AWS::SageMaker::FeatureGroup and AWS::SageMaker::ModelPackageGroup, which ministack has not.

Made and removed by the very calls of the API. A change of what is there fails the update.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ministack.services.cloudformation import provisioners

from local.emulator.sagemaker_calls import Refused, Request
from local.emulator.sagemaker_features import FeatureGroups
from local.emulator.sagemaker_package_groups import PackageGroups
from local.emulator.sagemaker_shapes import model, problems

Made = tuple[str, dict[str, Any]]


def _as_request(call: str, properties: Request) -> Request:
    """A resource's properties as the request of its create call. ValueError says what is wrong."""
    shape = model().operation_model(call).input_shape
    request = {name: _typed(value, shape.members.get(name)) for name, value in properties.items()}
    wrong = problems(request, shape)
    if wrong:
        raise ValueError(f"{call}: {wrong}")
    return request


def _typed(value: Any, shape: Any) -> Any:
    """Parameters of a template are text: booleans and numbers as the API has them."""
    kind = getattr(shape, "type_name", "")
    if kind == "structure" and isinstance(value, dict):
        return {name: _typed(each, shape.members.get(name)) for name, each in value.items()}
    if kind == "list" and isinstance(value, list):
        return [_typed(each, shape.member) for each in value]
    if kind == "boolean" and str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    return int(value) if kind == "integer" and str(value).isdigit() else value


def _called(call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except Refused as refused:
        raise ValueError(f"{refused.code}: {refused}") from refused


def _fixed(kind: str) -> Callable[..., Made]:
    """An update of what nobody updates; ministack asks only where properties differ."""

    def update(physical_id: str, before: Request, after: Request, stack: str) -> Made:
        names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
        told = f"{', '.join(names)} of {kind} {physical_id} cannot be changed on the laptop target"
        raise ValueError(f"{told}: run `ratchet destroy` and deploy anew.")

    return update


def _feature_groups(groups: FeatureGroups) -> dict[str, Callable[..., Any]]:
    def create(logical_id: str, properties: Request, stack: str) -> Made:
        request = _as_request("CreateFeatureGroup", properties)
        # CloudFormation goes on only after the group is Created.
        _called(groups.create, request, 0.0)
        shown = groups.find(request["FeatureGroupName"]).shown
        attributes = {"CreationTime": str(shown["CreationTime"]), "FeatureGroupStatus": "Created"}
        return str(request["FeatureGroupName"]), attributes

    def delete(physical_id: str, properties: Request) -> None:
        _gone(lambda: groups.delete({"FeatureGroupName": physical_id}), "ResourceNotFound")

    return {"create": create, "update": _fixed("the feature group"), "delete": delete}


def _package_groups(groups: PackageGroups) -> dict[str, Callable[..., Any]]:
    def create(logical_id: str, properties: Request, stack: str) -> Made:
        own = str(_called(groups.create, _as_request("CreateModelPackageGroup", properties))["ModelPackageGroupArn"])
        created = str(groups.find(own).shown["CreationTime"])
        attributes = {"ModelPackageGroupArn": own, "CreationTime": created, "ModelPackageGroupStatus": "Completed"}
        return own, attributes

    def delete(physical_id: str, properties: Request) -> None:
        _gone(lambda: groups.delete({"ModelPackageGroupName": physical_id}), "ValidationException")

    return {"create": create, "update": _fixed("the model package group"), "delete": delete}


def _gone(delete: Callable[[], Any], absent: str) -> None:
    """Delete what somebody else may have deleted before; ValueError where it cannot be deleted."""
    try:
        delete()
    except Refused as refused:
        if refused.code != absent:
            raise ValueError(f"{refused.code}: {refused}") from refused


def install(features: FeatureGroups, packages: PackageGroups) -> None:
    """Let CloudFormation make and remove both kinds."""
    provisioners._RESOURCE_HANDLERS["AWS::SageMaker::FeatureGroup"] = _feature_groups(features)
    provisioners._RESOURCE_HANDLERS["AWS::SageMaker::ModelPackageGroup"] = _package_groups(packages)
