"""What S3 asks of a caller beyond the action itself, where ministack does not: ListBucket, GetObject, PutObjectTagging.

And one thing it must not ask: the emulator speaks HTTP on loopback, which no wire leaves, so it counts as a secure
transport; a bucket policy that demands TLS would lock every role out otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

Check = tuple[str, str]
SUBRESOURCES = {"tagging", "acl", "uploadId", "uploads", "retention", "versionId"}


def further_checks(
    method: str, path: str, headers: Mapping[str, str], subresources: set[str], exists: bool
) -> list[Check]:
    """Actions and resources that a request on an object needs too; `exists` tells whether its key is there.

    A missing key is 404 only to those who may list the bucket, whether it is to be read or tagged; a conditional write
    reads the object's ETag, and tags sent along, also when a file begins to go up in parts, are tagging.
    """
    bucket, _, key = path.lstrip("/").partition("/")
    if not bucket or not key:
        return []
    resource, part = f"arn:aws:s3:::{bucket}/{key}", subresources & SUBRESOURCES
    if (method in ("GET", "HEAD") and not part) or (method == "PUT" and part == {"tagging"}):
        return [] if exists else [("s3:ListBucket", f"arn:aws:s3:::{bucket}")]
    if (method == "PUT" and not part) or (method == "POST" and part == {"uploads"}):
        needed = {"x-amz-tagging": "s3:PutObjectTagging", "if-match": "s3:GetObject"}
        return [(action, resource) for header, action in needed.items() if headers.get(header)]
    return []


def install() -> None:
    """Add the checks to ministack's own, and answer `aws:SecureTransport` with true."""
    from ministack.core import iam_actions, iam_evaluator
    from ministack.services import s3

    stock_checks, stock_condition = iam_actions.s3_additional_checks, iam_evaluator._resolve_condition_key

    def checks(method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]) -> list[Check]:
        plain = unquote(path)
        bucket, _, key = plain.lstrip("/").partition("/")
        record = s3._buckets.get(bucket)
        # A bucket that is not there answers for itself.
        exists = record is None or key in record["objects"]
        own: list[Check] = stock_checks(method, path, headers, body, query)
        return [*own, *further_checks(method, plain, headers, set(query), exists)]

    def condition(key: str, context: Any) -> Any:
        return "true" if key.lower() == "aws:securetransport" else stock_condition(key, context)

    iam_actions.s3_additional_checks = checks
    iam_evaluator._resolve_condition_key = condition
