"""A bucket's LifecycleConfiguration in a template becomes its lifecycle rules; ministack's CloudFormation drops it."""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_BUILT = {
    *("Id", "Status", "Prefix", "TagFilters", "ExpirationInDays", "ExpiredObjectDeleteMarker"),
    *("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"),
}

Properties = dict[str, Any]


def as_xml(configuration: Properties) -> bytes:
    """The body of PutBucketLifecycleConfiguration. ValueError names what of a rule is not built."""
    root = Element("LifecycleConfiguration", xmlns=NAMESPACE)
    for rule in configuration.get("Rules", ()):
        unbuilt = sorted(set(rule) - _BUILT)
        if unbuilt:
            raise ValueError(f"{', '.join(unbuilt)} of a lifecycle rule is not implemented on the laptop target.")
        _add_rule(root, rule)
    return tostring(root)


def _add_rule(root: Element, rule: Properties) -> None:
    told = SubElement(root, "Rule")
    if "Id" in rule:
        _add(told, "ID", rule["Id"])
    _add(told, "Status", rule["Status"])
    _add_filter(SubElement(told, "Filter"), rule.get("Prefix"), rule.get("TagFilters", []))
    expiration = {"Days": "ExpirationInDays", "ExpiredObjectDeleteMarker": "ExpiredObjectDeleteMarker"}
    if any(name in rule for name in expiration.values()):
        _add_all(told, "Expiration", {name: rule[given] for name, given in expiration.items() if given in rule})
    for name in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
        if name in rule:
            _add_all(told, name, rule[name])


def _add_filter(told: Element, prefix: str | None, tags: list[Properties]) -> None:
    if len(tags) + (prefix is not None) > 1:
        told = SubElement(told, "And")
    if prefix is not None or not tags:
        _add(told, "Prefix", prefix or "")
    for tag in tags:
        _add_all(told, "Tag", tag)


def _add_all(parent: Element, name: str, values: Properties) -> None:
    element = SubElement(parent, name)
    for each, value in values.items():
        _add(element, each, value)


def _add(parent: Element, name: str, value: Any) -> None:
    SubElement(parent, name).text = str(value).lower() if isinstance(value, bool) else str(value)


def install() -> None:
    """Join the configurations that CloudFormation hands on to S3."""
    from ministack.services import s3
    from ministack.services.cloudformation import provisioners

    def put(bucket: str, body: bytes) -> None:
        status, _, answer = s3._put_bucket_lifecycle(bucket, body)
        if status >= 400:
            raise ValueError(f"LifecycleConfiguration of {bucket}: {answer.decode()}")

    ours = ("LifecycleConfiguration", as_xml, put, s3._delete_bucket_lifecycle)
    provisioners._S3_BUCKET_CONFIGURATIONS = (*provisioners._S3_BUCKET_CONFIGURATIONS, ours)
