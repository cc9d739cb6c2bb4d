"""The S3 adapter turns what the SDK says into the port's answers."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.stub import ANY, Stubber
from ratchet.adapters.s3 import S3Store
from ratchet.errors import BadConfiguration, ForeignDocument, Unavailable
from ratchet.store import Ambiguous, Listed, PreconditionFailed


@pytest.fixture
def stub() -> Iterator[Stubber]:
    client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stubber:
        yield stubber
    client.close()


def store(stub: Stubber) -> S3Store:
    return S3Store("b", stub.client)


def test_a_missing_object_is_none(stub: Stubber, tmp_path: Path) -> None:
    for method, call in (("get_object", "get"), ("head_object", "head")):
        stub.add_client_error(method, "NoSuchKey" if call == "get" else "404", http_status_code=404)
        assert getattr(store(stub), call)("k") is None
    stub.add_client_error("get_object", "NoSuchKey", http_status_code=404)
    assert store(stub).download("k", tmp_path / "k") is None
    assert not (tmp_path / "k").exists()


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("PreconditionFailed", 412, PreconditionFailed),
        ("NoSuchKey", 404, PreconditionFailed),
        ("ConditionalRequestConflict", 409, Ambiguous),
        ("InternalError", 500, Ambiguous),
        ("SlowDown", 503, Ambiguous),
        ("AccessDenied", 403, BadConfiguration),
        ("NoSuchBucket", 404, BadConfiguration),
        ("EntityTooLarge", 400, BadConfiguration),
    ],
)
def test_what_a_refused_write_means(stub: Stubber, code: str, status: int, error: type) -> None:
    stub.add_client_error("put_object", code, http_status_code=status)
    with pytest.raises(error):
        store(stub).put("k", b"x", if_match='"e"')


def test_a_refused_read_is_never_ambiguous(stub: Stubber) -> None:
    stub.add_client_error("get_object", "InternalError", http_status_code=500)
    with pytest.raises(Unavailable) as error:
        store(stub).get("k")
    assert not isinstance(error.value, Ambiguous)


def test_a_write_whose_answer_never_comes_is_ambiguous() -> None:
    class Silent:
        def put_object(self, **_: Any) -> None:
            raise ReadTimeoutError(endpoint_url="http://127.0.0.1")

    with pytest.raises(Ambiguous):
        S3Store("b", Silent()).put("k", b"x")


def test_conditions_tags_and_types_are_sent(stub: Stubber) -> None:
    sent = {"Bucket": "b", "Key": "k.json", "Body": b"x", "IfNoneMatch": "*", "Tagging": "a%3Ab=c"}
    stub.add_response("put_object", {"ETag": '"e"'}, {**sent, "ContentType": "application/json"})
    assert store(stub).put("k.json", b"x", if_none_match=True, tags={"a:b": "c"}) == '"e"'


def test_a_file_goes_up_whole_under_its_condition(stub: Stubber, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    sent = {"Bucket": "b", "Key": "k", "Body": ANY, "IfMatch": '"e"', "Tagging": "a=b"}
    stub.add_response("put_object", {"ETag": '"f"'}, sent)
    assert store(stub).upload(tmp_path / "f", "k", if_match='"e"', tags={"a": "b"}) == '"f"'
    stub.add_client_error("put_object", "PreconditionFailed", http_status_code=412)
    with pytest.raises(PreconditionFailed):
        store(stub).upload(tmp_path / "f", "k", if_none_match=True)


def test_an_object_that_is_not_there_needs_no_tags(stub: Stubber) -> None:
    stub.add_client_error("put_object_tagging", "NoSuchKey", http_status_code=404)
    store(stub).tag("k", {"a": "b"})
    stub.add_client_error("put_object_tagging", "AccessDenied", http_status_code=403)
    with pytest.raises(BadConfiguration):
        store(stub).tag("k", {"a": "b"})


def test_a_listing_has_every_page(stub: Stubber) -> None:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    row = {"Size": 1, "ETag": '"e"', "LastModified": at}
    first = {"IsTruncated": True, "NextContinuationToken": "t", "Contents": [{"Key": "p/1", **row}]}
    stub.add_response("list_objects_v2", first, {"Bucket": "b", "Prefix": "p/"})
    following = {"Bucket": "b", "Prefix": "p/", "ContinuationToken": "t"}
    stub.add_response("list_objects_v2", {"IsTruncated": False, "Contents": [{"Key": "p/2", **row}]}, following)
    assert [*store(stub).list("p/")] == [Listed(key, 1, '"e"', at) for key in ("p/1", "p/2")]


def test_uris_of_other_buckets_are_foreign(stub: Stubber) -> None:
    assert store(stub).key_of(store(stub).uri("a/b")) == "a/b"
    with pytest.raises(ForeignDocument, match="not in the bucket b"):
        store(stub).key_of("s3://bb/a")


@pytest.mark.parametrize(
    ("code", "status", "error"), [("SlowDown", 503, Unavailable), ("AccessDenied", 403, BadConfiguration)]
)
def test_a_refused_upload_is_named_as_any_other_refusal(
    stub: Stubber, tmp_path: Path, code: str, status: int, error: type
) -> None:
    (tmp_path / "f").write_text("x")
    stub.add_client_error("put_object", code, http_status_code=status)
    with pytest.raises(error):
        store(stub).upload(tmp_path / "f", "k")
