"""The object store port on S3: conditional writes, whole listings, SDK errors turned into the domain's."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlencode

import boto3
from boto3.exceptions import S3UploadFailedError
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

from ratchet.errors import BadConfiguration, BadInput, ForeignDocument, Unavailable
from ratchet.store import Ambiguous, Listed, PreconditionFailed, Stored

ABSENT = {"NoSuchKey", "404", "NotFound"}
CONFIG = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 4})


class S3Store:
    """One bucket. `client` is for tests and for callers with credentials of their own."""

    def __init__(self, bucket: str, client: Any = None) -> None:
        """Connects with the process's own credentials unless a client is given."""
        self.bucket = bucket
        self._client = client or boto3.client("s3", config=CONFIG)

    def get(self, key: str) -> Stored | None:
        """See the port."""
        with self._errors(key):
            try:
                answer = self._client.get_object(Bucket=self.bucket, Key=key)
                return Stored(answer["Body"].read(), answer["ETag"])
            except ClientError as error:
                if _absent(error):
                    return None
                raise

    def head(self, key: str) -> Listed | None:
        """See the port."""
        with self._errors(key):
            try:
                answer = self._client.head_object(Bucket=self.bucket, Key=key)
                return Listed(key, answer["ContentLength"], answer["ETag"], answer["LastModified"])
            except ClientError as error:
                if _absent(error):
                    return None
                raise

    def put(
        self,
        key: str,
        body: bytes,
        *,
        if_match: str | None = None,
        if_none_match: bool = False,
        tags: Mapping[str, str] | None = None,
        content_type: str | None = None,
    ) -> str:
        """See the port."""
        kind = content_type or ("application/json" if key.endswith(".json") else None)
        extra = {"ContentType": kind} if kind else {}
        return self._put(key, body, {**extra, **_conditions(if_match, if_none_match), **_tagging(tags)})

    def tag(self, key: str, tags: Mapping[str, str]) -> None:
        """See the port."""
        entries = [{"Key": name, "Value": value} for name, value in tags.items()]
        with self._errors(key):
            try:
                self._client.put_object_tagging(Bucket=self.bucket, Key=key, Tagging={"TagSet": entries})
            except ClientError as error:
                if not _absent(error):
                    raise

    def list(self, prefix: str) -> Iterator[Listed]:
        """See the port."""
        with self._errors(prefix):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                for row in page.get("Contents", ()):
                    yield Listed(row["Key"], row["Size"], row["ETag"], row["LastModified"])

    def download(self, key: str, path: Path) -> str | None:
        """See the port."""
        with self._errors(key):
            try:
                answer = self._client.get_object(Bucket=self.bucket, Key=key)
            except ClientError as error:
                if _absent(error):
                    return None
                raise
            with path.open("wb") as file:
                for chunk in answer["Body"].iter_chunks(1 << 20):
                    file.write(chunk)
            etag: str = answer["ETag"]
            return etag

    def stream(self, key: str, start: int = 0) -> Iterator[bytes]:
        """See the port."""
        with self._errors(key):
            try:
                answer = self._client.get_object(Bucket=self.bucket, Key=key, Range=f"bytes={start}-")
            except ClientError as error:
                if _absent(error):
                    raise BadInput(f"{self.uri(key)} does not exist.") from error
                if str(error.response.get("Error", {}).get("Code")) == "InvalidRange":
                    return
                raise
            with closing(answer["Body"]) as body:
                yield from body.iter_chunks(1 << 16)

    def upload(
        self,
        path: Path,
        key: str,
        *,
        if_match: str | None = None,
        if_none_match: bool = False,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """See the port. Without a condition, larger files go up in parts: the transfer manager knows no conditions.

        One request takes up to 5 GiB, more than a function can store.
        """
        if if_match is not None or if_none_match:
            with path.open("rb") as file:
                return self._put(key, file, {**_conditions(if_match, if_none_match), **_tagging(tags)})
        with self._errors(key):
            try:
                self._client.upload_file(str(path), self.bucket, key, ExtraArgs=_tagging(tags))
            except S3UploadFailedError as error:
                # boto3 wraps what the service said; the reason is the cause.
                raise (error.__cause__ or error.__context__ or error) from None
        found = self.head(key)
        if found is None:
            raise Unavailable(f"{self.uri(key)} was written and is gone; is something else deleting it?")
        return found.etag

    def uri(self, key: str) -> str:
        """See the port."""
        return f"s3://{self.bucket}/{key}"

    def key_of(self, uri: str) -> str:
        """See the port."""
        start = f"s3://{self.bucket}/"
        if not uri.startswith(start):
            raise ForeignDocument(f"{uri} is not in the bucket {self.bucket}.")
        return uri.removeprefix(start)

    def _put(self, key: str, body: bytes | BinaryIO, extra: dict[str, str]) -> str:
        with self._errors(key, writing=True):
            etag: str = self._client.put_object(Bucket=self.bucket, Key=key, Body=body, **extra)["ETag"]
            return etag

    @contextmanager
    def _errors(self, key: str, *, writing: bool = False) -> Iterator[None]:
        """Turns SDK errors into the domain's; a write whose answer is lost becomes Ambiguous."""
        lost = Ambiguous if writing else Unavailable
        try:
            yield
        except ClientError as error:
            raise self._translate(error, key, lost) from error
        except (ConnectionError, HTTPClientError) as error:
            raise lost(f"S3 did not answer for {self.uri(key)}: {error}") from error
        except BotoCoreError as error:
            raise BadConfiguration(f"S3 cannot be used: {error}") from error

    def _translate(self, error: ClientError, key: str, lost: type[Unavailable]) -> Exception:
        code = str(error.response.get("Error", {}).get("Code"))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status == 412 or code == "PreconditionFailed" or (lost is Ambiguous and code in ABSENT - {"404"}):
            return PreconditionFailed(key)
        if code == "NoSuchBucket":
            return BadConfiguration(f"There is no bucket {self.bucket}; deploy the stack, or name another bucket.")
        if code == "RequestTimeTooSkewed":
            return BadConfiguration("This machine's clock is more than 15 minutes wrong, so S3 refuses: set it right.")
        if status == 403:
            return BadConfiguration(f"S3 refuses {self.uri(key)} ({code}); the role lacks a permission.")
        if status == 409 or status >= 500 or code in {"SlowDown", "RequestTimeout", "Throttling"}:
            return lost(f"S3 answers {code} for {self.uri(key)}.")
        return BadConfiguration(f"S3 refuses {self.uri(key)}: {error}")


def _conditions(if_match: str | None, if_none_match: bool) -> dict[str, str]:
    matched = {"IfMatch": if_match} if if_match is not None else {}
    return {**matched, "IfNoneMatch": "*"} if if_none_match else matched


def _tagging(tags: Mapping[str, str] | None) -> dict[str, str]:
    return {"Tagging": urlencode(tags)} if tags else {}


def _absent(error: ClientError) -> bool:
    return str(error.response.get("Error", {}).get("Code")) in ABSENT
