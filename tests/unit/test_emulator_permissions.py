"""What S3 asks of a caller beyond the action itself."""

import pytest

from local.emulator.s3_permissions import further_checks

OBJECT = "arn:aws:s3:::landing/a/b"


@pytest.mark.parametrize(
    ("method", "headers", "exists", "needed"),
    [
        pytest.param("GET", {}, True, [], id="reading what is there needs no more"),
        pytest.param(
            "GET", {}, False, [("s3:ListBucket", "arn:aws:s3:::landing")], id="a missing key needs ListBucket"
        ),
        pytest.param("HEAD", {}, False, [("s3:ListBucket", "arn:aws:s3:::landing")], id="so does asking for its head"),
        pytest.param("PUT", {}, False, [], id="a plain write needs no more"),
        pytest.param("PUT", {"if-none-match": "*"}, True, [], id="creating needs no more"),
        pytest.param("PUT", {"if-match": '"e"'}, True, [("s3:GetObject", OBJECT)], id="replacing reads the ETag"),
        pytest.param("PUT", {"x-amz-tagging": "a=b"}, True, [("s3:PutObjectTagging", OBJECT)], id="tags are tagging"),
        pytest.param("DELETE", {}, False, [], id="deleting needs no more"),
    ],
)
def test_an_object_request_needs(
    method: str, headers: dict[str, str], exists: bool, needed: list[tuple[str, str]]
) -> None:
    assert further_checks(method, "/landing/a/b", headers, set(), exists) == needed


@pytest.mark.parametrize(
    ("method", "subresource", "exists", "needed"),
    [
        pytest.param("PUT", "tagging", True, [], id="tagging what is there needs no more"),
        pytest.param(
            "PUT", "tagging", False, [("s3:ListBucket", "arn:aws:s3:::landing")], id="a missing key needs ListBucket"
        ),
        pytest.param("POST", "uploads", False, [("s3:PutObjectTagging", OBJECT)], id="tags of parts are tagging"),
        pytest.param("PUT", "uploadId", False, [], id="a part needs no more"),
    ],
)
def test_a_request_on_a_part_of_an_object_needs(
    method: str, subresource: str, exists: bool, needed: list[tuple[str, str]]
) -> None:
    headers = {"x-amz-tagging": "a=b"} if method == "POST" else {}
    assert further_checks(method, "/landing/a/b", headers, {subresource}, exists) == needed


@pytest.mark.parametrize(("path", "subresources"), [("/landing", set()), ("/landing/a", {"tagging"})])
def test_requests_on_buckets_and_subresources_are_left_to_ministack(path: str, subresources: set[str]) -> None:
    assert further_checks("GET", path, {}, subresources, exists=False) == []
