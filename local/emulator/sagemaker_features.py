"""The calls on feature groups. No Glue table is made of an offline store, and no group is ever updated.

Boundary: what a group is; its records are `sagemaker_records`' business.
"""

from __future__ import annotations

import time

from local.emulator.feature_values import Schema
from local.emulator.sagemaker_calls import Call, Refused, Request, refuse_unbuilt
from local.emulator.sagemaker_names import arn
from local.emulator.sagemaker_online import OnlineStore
from local.emulator.sagemaker_resources import Resource, Resources, tags_of
from local.emulator.sagemaker_shapes import repeated

KIND = "feature-group"
CREATION_SECONDS = 1.0
"""How long a group is Creating: minutes on AWS, but long enough here that nobody forgets to wait."""


class FeatureGroups:
    """The feature groups of all accounts and regions."""

    def __init__(self, resources: Resources, online: OnlineStore) -> None:
        """`resources` keep the groups; the records in `online` go with their group."""
        self._resources, self._online = resources, online
        self.calls: dict[str, Call] = {
            "CreateFeatureGroup": self.create,
            "DescribeFeatureGroup": lambda request: _described(self.find(request["FeatureGroupName"])),
            "DeleteFeatureGroup": self.delete,
        }

    def find(self, name: str) -> Resource:
        """The group of this name or ARN. Raises Refused."""
        found = self._resources.find(arn(KIND, name))
        if found is None:
            message = f"Resource Not Found: Amazon SageMaker can't find a FeatureGroup with name {name}."
            raise Refused("ResourceNotFound", message)
        return found

    def create(self, request: Request, creation_seconds: float = CREATION_SECONDS) -> Request:
        """CreateFeatureGroup; the group can be used `creation_seconds` later."""
        _check(request)
        own, now = arn(KIND, request["FeatureGroupName"]), time.time()
        shown = repeated(request, "DescribeFeatureGroup")
        shown |= {"FeatureGroupArn": own, "CreationTime": now, "LastModifiedTime": now, "NextToken": ""}
        if "OfflineStoreConfig" in request:
            shown |= {
                "OfflineStoreConfig": _located(request, own, int(now)),
                "OfflineStoreStatus": {"Status": "Active"},
            }
        group = Resource(own, shown, tags_of(request), {"ready": now + creation_seconds})
        if not self._resources.add(group):
            raise Refused("ResourceInUse", f"Resource Already Exists: FeatureGroup with name {own} already exists.")
        return {"FeatureGroupArn": own}

    def delete(self, request: Request) -> Request:
        """DeleteFeatureGroup; what is in the offline store stays there, as on AWS."""
        group = self.find(request["FeatureGroupName"])
        self._resources.remove(group.arn)
        self._online.drop(group.arn)
        return {}


def is_created(group: Resource) -> bool:
    """Whether the group can be used by now."""
    return time.time() >= float(group.own["ready"])


def _described(group: Resource) -> Request:
    return {**group.shown, "FeatureGroupStatus": "Created" if is_created(group) else "Creating"}


def _check(request: Request) -> None:
    wrong = Schema.of(request).problem()
    if wrong:
        raise Refused("ValidationException", wrong)
    online, offline = request.get("OnlineStoreConfig", {}), request.get("OfflineStoreConfig", {})
    if not online.get("EnableOnlineStore") and not offline:
        raise Refused("ValidationException", "A feature group needs an online store, an offline store or both.")
    if offline and "RoleArn" not in request:
        raise Refused("ValidationException", "RoleArn is required for an offline store.")
    _refuse_unbuilt(request, online, offline)


def _refuse_unbuilt(request: Request, online: Request, offline: Request) -> None:
    call = "CreateFeatureGroup"
    refuse_unbuilt(call, online, ("TtlDuration",))
    refuse_unbuilt(call, offline, ("DataCatalogConfig",))
    for definition in request["FeatureDefinitions"]:
        refuse_unbuilt(call, definition, ("CollectionType", "CollectionConfig"))
    for kind in (online.get("StorageType"), offline.get("TableFormat")):
        if kind in ("InMemory", "Iceberg"):
            message = f"{kind} stores are not implemented by the laptop target's SageMaker."
            raise Refused("ValidationException", message)


def _located(request: Request, own: str, epoch: int) -> Request:
    """The offline store's configuration with the place of its files, as documented."""
    _, _, _, region, account, _ = own.split(":", 5)
    config = request["OfflineStoreConfig"]
    where = config["S3StorageConfig"]
    base = f"{where['S3Uri'].rstrip('/')}/{account}/sagemaker/{region}/offline-store"
    resolved = f"{base}/{request['FeatureGroupName']}-{epoch}/data"
    return {**config, "S3StorageConfig": {**where, "ResolvedOutputS3Uri": resolved}}
