"""Emptying versioned buckets: every version and every delete marker, in batches."""

from typing import Any


def empty(s3: Any, bucket: str, prefix: str = "") -> int:
    """Removes all versions below a prefix; returns how many there were."""
    removed = 0
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        rows = page.get("Versions", []) + page.get("DeleteMarkers", [])
        entries = [{"Key": row["Key"], "VersionId": row["VersionId"]} for row in rows]
        if entries:
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": entries, "Quiet": True})
            removed += len(entries) - len(answer.get("Errors", []))
    return removed
