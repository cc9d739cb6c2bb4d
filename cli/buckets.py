"""Emptying versioned buckets: every version and every delete marker, in batches."""

from typing import Any

from cli.errors import CommandError


def empty(s3: Any, bucket: str, prefix: str = "") -> int:
    """Removes all versions below a prefix; returns how many there were. Raises CommandError naming one that stays."""
    removed = 0
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        rows = page.get("Versions", []) + page.get("DeleteMarkers", [])
        entries = [{"Key": row["Key"], "VersionId": row["VersionId"]} for row in rows]
        if entries:
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": entries, "Quiet": True})
            for error in answer.get("Errors", []):
                raise CommandError(f"{error['Key']} cannot be deleted ({error['Code']}); then it may be run again.")
            removed += len(entries)
    return removed
