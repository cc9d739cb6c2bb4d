import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from ratchet.adapters.s3_reader import S3Reader, sign
from ratchet.settings import Access, access

from tests.fakes import MemoryStore

NAMES = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"}
AWS_EXAMPLE = Access("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "", "us-east-1", "https://s3")


class Bucket(BaseHTTPRequestHandler):
    """Serves one object, counting requests and connections; drops or refuses what it is told to."""

    protocol_version = "HTTP/1.1"
    requests: list[str]
    drops = 0
    status = 200
    short = False

    def do_GET(self) -> None:
        kind = type(self)
        kind.requests.append(self.path)
        if kind.drops:
            kind.drops -= 1
            self.close_connection = True
            return
        self.send_response(kind.status)
        self.send_header("Content-Length", "9" if kind.short else "4")
        self.send_header("ETag", '"tag"')
        self.end_headers()
        self.wfile.write(b"body")
        self.close_connection = kind.short

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def bucket() -> Iterator[tuple[type[Bucket], str]]:
    kind = type("OneBucket", (Bucket,), {"requests": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield kind, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def reader() -> Iterator[Callable[..., S3Reader]]:
    with ExitStack() as opened:

        def make(endpoint: str, sdk: MemoryStore | None = None) -> S3Reader:
            def take_over() -> MemoryStore:
                assert sdk, "the SDK was not to be asked"
                return sdk

            made = S3Reader("bucket", Access("key", "secret", "token", "eu-west-1", endpoint), take_over)
            return opened.enter_context(closing(made))

        yield make


def test_the_signature_is_the_one_that_aws_publishes() -> None:
    now = datetime(2013, 5, 24, tzinfo=UTC)
    headers = sign("/test.txt", "examplebucket.s3.amazonaws.com", AWS_EXAMPLE, now, {"range": "bytes=0-9"})
    assert headers["authorization"].endswith("f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")


def test_the_signature_with_a_session_token_is_the_sdks() -> None:
    session = Access("key", "secret", "token", "eu-west-1", "https://s3")
    request = AWSRequest("GET", "https://s3/bucket/model/run_ts%3D1/model.tar.gz")
    S3SigV4Auth(Credentials("key", "secret", "token"), "s3", "eu-west-1").add_auth(request)
    now = datetime.strptime(request.context["timestamp"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    ours = sign("/bucket/model/run_ts%3D1/model.tar.gz", "s3", session, now)
    assert ours["authorization"].rsplit("=", 1)[1] == request.headers["Authorization"].rsplit("=", 1)[1]


def test_an_object_and_a_file_are_read_over_one_path_style_address(
    bucket: tuple[type[Bucket], str], reader: Callable[..., S3Reader], tmp_path: Path
) -> None:
    kind, endpoint = bucket
    ours = reader(endpoint)
    found = ours.get("model/run_ts=1/ä.json")
    assert found is not None
    assert (found.body, found.etag) == (b"body", '"tag"')
    assert ours.download("x", tmp_path / "x") == '"tag"'
    assert (tmp_path / "x").read_bytes() == b"body"
    assert kind.requests == ["/bucket/model/run_ts%3D1/%C3%A4.json", "/bucket/x"]


def test_a_connection_that_died_meanwhile_is_opened_again(
    bucket: tuple[type[Bucket], str], reader: Callable[..., S3Reader]
) -> None:
    kind, endpoint = bucket
    ours = reader(endpoint)
    ours.get("a")
    kind.drops = 1
    assert ours.get("b") is not None


@pytest.mark.parametrize("harm", [{"status": 404}, {"status": 403}, {"status": 503}, {"drops": 2}, {"short": True}])
def test_whatever_is_no_whole_answer_is_left_to_the_sdk(
    bucket: tuple[type[Bucket], str], reader: Callable[..., S3Reader], harm: dict[str, int], tmp_path: Path
) -> None:
    kind, endpoint = bucket
    for name, value in harm.items():
        setattr(kind, name, value)
    sdk = MemoryStore()
    sdk.put("key", b"by the SDK")
    found = reader(endpoint, sdk).get("key")
    assert found is not None
    assert found.body == b"by the SDK"
    assert reader("http://127.0.0.1:9", sdk).download("none", tmp_path / "none") is None


def test_keys_are_told_from_uris_of_the_bucket(reader: Callable[..., S3Reader]) -> None:
    assert reader("http://s3").key_of("s3://bucket/a/b") == "a/b"


def test_access_comes_from_lambdas_own_variables_or_is_left_to_the_sdk() -> None:
    assert access(NAMES) == Access("AKIA", "secret", "", "eu-west-1", "https://s3.eu-west-1.amazonaws.com")
    local = access({**NAMES, "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_SESSION_TOKEN": "t"})
    assert local == Access("AKIA", "secret", "t", "eu-west-1", "http://127.0.0.1:1")
    assert access({**NAMES, "AWS_REGION": "cn-north-1"}) is None
    assert access({"AWS_REGION": "eu-west-1"}) is None


def test_the_secret_is_in_no_header() -> None:
    headers = sign("/b/k", "s3", AWS_EXAMPLE, datetime(2026, 1, 1, tzinfo=UTC))
    assert AWS_EXAMPLE.secret not in json.dumps(headers)
