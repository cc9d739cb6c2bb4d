"""The calls of Feature Store's runtime: records go to the online store at once and to the offline store later."""

from __future__ import annotations

from datetime import UTC, datetime

from local.emulator.feature_values import Schema, Value
from local.emulator.sagemaker_calls import Call, Refused, Request, refuse_unbuilt
from local.emulator.sagemaker_features import FeatureGroups, is_created
from local.emulator.sagemaker_offline import OfflineStore, Row
from local.emulator.sagemaker_online import Kept, OnlineStore
from local.emulator.sagemaker_resources import Resource

_STORES = ["OnlineStore", "OfflineStore"]


class FeatureRecords:
    """PutRecord, GetRecord and DeleteRecord."""

    def __init__(self, groups: FeatureGroups, online: OnlineStore, offline: OfflineStore) -> None:
        """Where groups and records are."""
        self._groups, self._online, self._offline = groups, online, offline
        self.calls: dict[str, Call] = {"PutRecord": self._put, "GetRecord": self._get, "DeleteRecord": self._delete}

    def _put(self, request: Request) -> Request:
        refuse_unbuilt("PutRecord", request, ("TtlDuration",))
        group = self._group(request)
        stores, schema = _stores(request, group), Schema.of(group.shown)
        values = schema.values(request["Record"])
        if "OnlineStore" in stores:
            texts = {each["FeatureName"]: each["ValueAsString"] for each in request["Record"]}
            at = schema.instant(values[schema.event_time])
            self._online.put(group.arn, texts[schema.identifier], Kept(at, texts))
        if "OfflineStore" in stores:
            self._offline.append(group.arn, _row(schema, values, deleted=False))
        return {}

    def _get(self, request: Request) -> Request:
        group = self._group(request)
        if "OnlineStore" not in _kept_in(group):
            raise Refused("ValidationError", f"{request['FeatureGroupName']} has no online store to get records from.")
        types = Schema.of(group.shown).types
        names = request.get("FeatureNames") or list(types)
        unknown = [name for name in names if name not in types]
        if unknown:
            raise Refused("ValidationError", f"{', '.join(unknown)}: no features of the group.")
        texts = self._online.get(group.arn, request["RecordIdentifierValueAsString"])
        if texts is None:
            return {}
        return {"Record": [{"FeatureName": name, "ValueAsString": texts[name]} for name in names if name in texts]}

    def _delete(self, request: Request) -> Request:
        group = self._group(request)
        stores, schema = _stores(request, group), Schema.of(group.shown)
        identifier = request["RecordIdentifierValueAsString"]
        values = {
            schema.identifier: schema.value(schema.identifier, identifier),
            schema.event_time: schema.value(schema.event_time, request["EventTime"]),
        }
        at = schema.instant(values[schema.event_time])
        if "OnlineStore" in stores and request.get("DeletionMode") == "HardDelete":
            self._online.forget(group.arn, identifier, at)
        elif "OnlineStore" in stores:
            self._online.put(group.arn, identifier, Kept(at, None))
        if "OfflineStore" in stores:
            self._offline.append(group.arn, _row(schema, values, deleted=True))
        return {}

    def _group(self, request: Request) -> Resource:
        try:
            group = self._groups.find(request["FeatureGroupName"])
        except Refused as refused:
            raise Refused(refused.code, str(refused), 404) from refused
        if not is_created(group):
            raise Refused("ValidationError", f"{request['FeatureGroupName']} is not in the status Created yet.")
        return group


def _kept_in(group: Resource) -> list[str]:
    online = group.shown.get("OnlineStoreConfig", {}).get("EnableOnlineStore")
    there = {"OnlineStore": bool(online), "OfflineStore": "OfflineStoreConfig" in group.shown}
    return [store for store in _STORES if there[store]]


def _stores(request: Request, group: Resource) -> list[str]:
    """The stores that the call writes to: those it names, else all that the group has."""
    there = _kept_in(group)
    asked = request.get("TargetStores", there)
    missing = [store for store in asked if store not in there]
    if missing:
        raise Refused("ValidationError", f"{request['FeatureGroupName']} has no {', '.join(missing)}.")
    return list(asked)


def _row(schema: Schema, values: dict[str, Value], deleted: bool) -> Row:
    at = schema.instant(values[schema.event_time])
    return Row(at, datetime.now(UTC), [values.get(name) for name in schema.types], deleted)
