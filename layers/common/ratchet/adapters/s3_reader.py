"""Reads objects of one bucket with plain signed requests, so that a cold start need not import the SDK (170 ms).

Only an answer of 200 is handled here; whatever else happens, the same read is repeated through the SDK, whose retries
and errors hold. The signature is AWS's Signature Version 4 for S3.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import quote, urlsplit

from ratchet.instants import Clock, utc_now
from ratchet.settings import Access
from ratchet.store import Reader, Stored

NO_BODY = hashlib.sha256(b"").hexdigest()
TIMEOUT_SECONDS = 5


class S3Reader:
    """`Reader` for one bucket; `sdk` gives the reader that takes over, and is called only then."""

    def __init__(self, bucket: str, access: Access, sdk: Callable[[], Reader], clock: Clock = utc_now) -> None:
        """Connects when first asked."""
        self._bucket, self._access, self._sdk, self._clock = bucket, access, sdk, clock
        endpoint = urlsplit(access.endpoint)
        kind = HTTPConnection if endpoint.scheme == "http" else HTTPSConnection
        self._host = endpoint.netloc
        self._connection = kind(self._host, timeout=TIMEOUT_SECONDS)

    def close(self) -> None:
        """Closes the connection; the next read opens another."""
        self._connection.close()

    def get(self, key: str) -> Stored | None:
        """See the port."""
        return self._fetch(key) or self._sdk().get(key)

    def download(self, key: str, path: Path) -> str | None:
        """See the port. Holds the object in memory: a bundle's compressed size."""
        fetched = self._fetch(key)
        if fetched is None:
            return self._sdk().download(key, path)
        path.write_bytes(fetched.body)
        return fetched.etag

    def key_of(self, uri: str) -> str:
        """See the port."""
        start = f"s3://{self._bucket}/"
        return uri.removeprefix(start) if uri.startswith(start) else self._sdk().key_of(uri)

    def _fetch(self, key: str) -> Stored | None:
        """The object, or None when the SDK shall see. A connection kept while the process slept may be dead: twice."""
        target = quote(f"/{self._bucket}/{key}", safe="/-_.~")
        for _ in range(2):
            try:
                self._connection.request("GET", target, headers=sign(target, self._host, self._access, self._clock()))
                answer = self._connection.getresponse()
                body, etag = answer.read(), answer.headers.get("ETag")
            except (OSError, HTTPException):
                self._connection.close()
                continue
            return Stored(body, etag) if answer.status == 200 and etag else None
        return None


def sign(
    target: str, host: str, access: Access, now: datetime, extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Headers of a signed GET of `target`, a quoted path without a query; `extra` are further headers to sign."""
    instant = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": host, "x-amz-content-sha256": NO_BODY, "x-amz-date": instant, **(extra or {})}
    if access.token:
        headers["x-amz-security-token"] = access.token
    names = ";".join(sorted(headers))
    listed = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"GET\n{target}\n\n{listed}\n{names}\n{NO_BODY}"
    scope = f"{instant[:8]}/{access.region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{instant}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    secret = f"AWS4{access.secret}".encode()
    for part in scope.split("/"):
        secret = _hmac(secret, part)
    signature = _hmac(secret, text).hex()
    credential = f"Credential={access.key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": f"AWS4-HMAC-SHA256 {credential}"}


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
