"""The calls on model package groups, which hold the versions of one model."""

from __future__ import annotations

import time

from ministack.core.iam_evaluator import caller_arn

from local.emulator.sagemaker_calls import Call, Refused, Request, refuse_unbuilt
from local.emulator.sagemaker_names import arn
from local.emulator.sagemaker_resources import Resource, Resources, tags_of
from local.emulator.sagemaker_shapes import repeated

KIND = "model-package-group"


class PackageGroups:
    """The groups of all accounts and regions."""

    def __init__(self, resources: Resources) -> None:
        """`resources` keep the groups and the packages in them."""
        self._resources = resources
        self.calls: dict[str, Call] = {
            "CreateModelPackageGroup": self.create,
            "DescribeModelPackageGroup": lambda request: self.find(request["ModelPackageGroupName"]).shown,
            "DeleteModelPackageGroup": self.delete,
        }

    def find(self, name: str) -> Resource:
        """The group of this name or ARN. Raises Refused."""
        found = self._resources.find(arn(KIND, name))
        if found is None:
            raise Refused("ValidationException", f"ModelPackageGroup {arn(KIND, name)} does not exist.")
        return found

    def create(self, request: Request) -> Request:
        """CreateModelPackageGroup."""
        refuse_unbuilt("CreateModelPackageGroup", request, ("ManagedConfiguration",))
        own = arn(KIND, request["ModelPackageGroupName"])
        shown = repeated(request, "DescribeModelPackageGroup")
        shown |= {"ModelPackageGroupArn": own, "CreationTime": time.time(), "CreatedBy": caller()}
        shown |= {"ModelPackageGroupStatus": "Completed"}
        if not self._resources.add(Resource(own, shown, tags_of(request))):
            raise Refused("ValidationException", f"Model Package Group already exists: {own}")
        return {"ModelPackageGroupArn": own}

    def delete(self, request: Request) -> Request:
        """DeleteModelPackageGroup, which a group that is not empty survives."""
        group = self.find(request["ModelPackageGroupName"])
        if self.packages(group):
            raise Refused("ConflictException", f"{group.arn} still contains model packages: delete them first.")
        self._resources.remove(group.arn)
        return {}

    def packages(self, group: Resource) -> list[Resource]:
        """The packages of a group, in the order of their versions."""
        return self._resources.under(f"{group.arn.replace(':model-package-group/', ':model-package/')}/")


def caller() -> Request:
    """Who calls, as Describe calls show it."""
    who = caller_arn()
    return {"IamIdentity": {"Arn": who, "PrincipalId": who.rsplit(":", 1)[-1]}}
