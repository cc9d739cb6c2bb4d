"""A template's lifecycle rules as S3 takes them."""

from typing import Any
from xml.etree import ElementTree

import pytest

from local.emulator.bucket_lifecycle import NAMESPACE, as_xml

TAG, OTHER = {"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}


def told(**rule: Any) -> str:
    """The XML of a rule."""
    whole = as_xml({"Rules": [{"Id": "runs", "Status": "Enabled", **rule}]}).decode()
    return whole.partition("<Status>Enabled</Status>")[2].removesuffix("</Rule></LifecycleConfiguration>")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, "<Prefix />"),
        ({"Prefix": "jobs/"}, "<Prefix>jobs/</Prefix>"),
        ({"TagFilters": [TAG]}, "<Tag><Key>a</Key><Value>b</Value></Tag>"),
        (
            {"Prefix": "jobs/", "TagFilters": [TAG]},
            "<And><Prefix>jobs/</Prefix><Tag><Key>a</Key><Value>b</Value></Tag></And>",
        ),
        (
            {"TagFilters": [TAG, OTHER]},
            "<And><Tag><Key>a</Key><Value>b</Value></Tag><Tag><Key>c</Key><Value>d</Value></Tag></And>",
        ),
    ],
)
def test_what_a_rule_is_for_joins_prefix_and_tags(rule: dict[str, Any], expected: str) -> None:
    assert told(**rule) == f"<Filter>{expected}</Filter>"


def test_what_a_rule_does_is_passed_on() -> None:
    rule = told(
        Prefix="a/",
        ExpirationInDays=30,
        NoncurrentVersionExpiration={"NoncurrentDays": 30},
        AbortIncompleteMultipartUpload={"DaysAfterInitiation": 7},
    )
    assert "<Expiration><Days>30</Days></Expiration>" in rule
    assert "<NoncurrentVersionExpiration><NoncurrentDays>30</NoncurrentDays></NoncurrentVersionExpiration>" in rule
    assert "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation>" in rule
    assert "<ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>" in told(ExpiredObjectDeleteMarker=True)


def test_a_prefix_of_any_letters_is_read_back_as_it_was() -> None:
    assert ElementTree.fromstring(as_xml({"Rules": [{"Status": "Enabled", "Prefix": "<&/"}]})).findtext(
        "s3:Rule/s3:Filter/s3:Prefix", namespaces={"s3": NAMESPACE}
    ) == ("<&/")


def test_what_is_not_built_is_named() -> None:
    with pytest.raises(ValueError, match="Transitions of a lifecycle rule is not implemented"):
        told(Transitions=[{"StorageClass": "GLACIER", "TransitionInDays": 1}])
