"""The calls on versioned model packages, whose approval may change and nothing else; every change is an event."""

from __future__ import annotations

import threading
import time

from local.emulator import sagemaker_events
from local.emulator.sagemaker_calls import Call, Refused, Request, page, refuse_unbuilt
from local.emulator.sagemaker_names import arn
from local.emulator.sagemaker_package_groups import PackageGroups, caller
from local.emulator.sagemaker_resources import Resource, Resources, tags_of
from local.emulator.sagemaker_shapes import model, repeated

KIND = "model-package"
_UNBUILT = ("ModelPackageName", "SourceAlgorithmSpecification", "ValidationSpecification", "ManagedStorageType")
_CHANGEABLE = ("ModelApprovalStatus", "ApprovalDescription")


class Packages:
    """The versions of all model package groups."""

    def __init__(self, resources: Resources, groups: PackageGroups) -> None:
        """`resources` keep the packages."""
        self._resources, self._groups = resources, groups
        self._creating = threading.Lock()
        self.calls: dict[str, Call] = {
            "CreateModelPackage": self._create,
            "DescribeModelPackage": lambda request: self.find(request["ModelPackageName"]).shown,
            "ListModelPackages": self._list,
            "UpdateModelPackage": self._update,
            "DeleteModelPackage": self._delete,
        }

    def find(self, name: str) -> Resource:
        """The package of this ARN, or of `<group>/<version>`. Raises Refused."""
        found = self._resources.find(arn(KIND, name))
        if found is None:
            raise Refused("ValidationException", f"ModelPackage {arn(KIND, name)} does not exist.")
        return found

    def _create(self, request: Request) -> Request:
        refuse_unbuilt("CreateModelPackage", request, _UNBUILT)
        if "ModelPackageGroupName" not in request or "InferenceSpecification" not in request:
            raise Refused("ValidationException", "ModelPackageGroupName and InferenceSpecification are required.")
        group = self._groups.find(request["ModelPackageGroupName"])
        with self._creating:
            there = self._same_token(group, request)
            if there is not None:
                return {"ModelPackageArn": there.arn}
            package = _package(group, request, self._next(group))
            self._resources.add(package)
        sagemaker_events.package_changed(package)
        return {"ModelPackageArn": package.arn}

    def _same_token(self, group: Resource, request: Request) -> Resource | None:
        """The package that the same request has made before."""
        token = request.get("ClientToken")
        for package in self._groups.packages(group):
            if token and package.own["request"].get("ClientToken") == token:
                if package.own["request"] != request:
                    raise Refused("ConflictException", f"The ClientToken {token} was used with another request.")
                return package
        return None

    def _next(self, group: Resource) -> int:
        """The next version; one that was deleted is not given again."""
        version = int(group.own.get("versions", 0)) + 1
        self._resources.keep(group.arn, versions=version)
        return version

    def _update(self, request: Request) -> Request:
        others = [name for name in request if name not in (*_CHANGEABLE, "ModelPackageArn")]
        refuse_unbuilt("UpdateModelPackage", request, others)
        package = self.find(request["ModelPackageArn"])
        changed = {name: request[name] for name in _CHANGEABLE if name in request}
        was = package.shown["ModelApprovalStatus"]
        self._resources.change(package.arn, {**changed, "LastModifiedTime": time.time(), "LastModifiedBy": caller()})
        if changed.get("ModelApprovalStatus", was) != was:
            sagemaker_events.package_changed(package)
        return {"ModelPackageArn": package.arn}

    def _delete(self, request: Request) -> Request:
        package = self.find(request["ModelPackageName"])
        self._resources.remove(package.arn)
        return {}

    def _list(self, request: Request) -> Request:
        refuse_unbuilt("ListModelPackages", request, ("CreationTimeAfter", "CreationTimeBefore"))
        if "ModelPackageGroupName" not in request:
            # Without a group, the packages without versions are meant, of which there are none.
            return {"ModelPackageSummaryList": []}
        found = self._groups.packages(self._groups.find(request["ModelPackageGroupName"]))
        status, part = request.get("ModelApprovalStatus"), request.get("NameContains", "")
        wanted = [
            p for p in found if status in (None, p.shown["ModelApprovalStatus"]) and part in p.arn.split("/", 1)[1]
        ]
        summaries, more = page([_summary(package) for package in wanted], request, {"Name": "ModelPackageVersion"})
        return {"ModelPackageSummaryList": summaries, **more}


def _package(group: Resource, request: Request, version: int) -> Resource:
    name = group.shown["ModelPackageGroupName"]
    own = f"{group.arn.replace(':model-package-group/', ':model-package/')}/{version}"
    defaults = {"ModelApprovalStatus": "PendingManualApproval", "CertifyForMarketplace": False}
    shown = {
        **defaults,
        **repeated(request, "DescribeModelPackage"),
        "ModelPackageName": name,
        "ModelPackageGroupName": name,
        "ModelPackageVersion": version,
        "ModelPackageArn": own,
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
        "CreationTime": time.time(),
        "CreatedBy": caller(),
    }
    return Resource(own, shown, tags_of(request), {"request": request})


def _summary(package: Resource) -> Request:
    members = model().shape_for("ModelPackageSummary").members
    # A version's own name is its group's.
    return {name: package.shown[name] for name in members if name in package.shown and name != "ModelPackageName"}
