"""The offline store: records gathered for a while, then written as Parquet into the group's bucket, as its role.

The layout is the documented one: a folder for each hour of event time, a file named by its latest event time. Where the
role may not write, the group's OfflineStoreStatus is Blocked and says why; the records wait for the next attempt. What
waits is written when the emulator stops; one that is killed loses it.
"""

from __future__ import annotations

import logging
import secrets
import string
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from ministack.core import responses

from local.emulator import roles
from local.emulator.feature_values import Schema, Value
from local.emulator.sagemaker_resources import Resource, Resources

logger = logging.getLogger(__name__)
_DIGITS = string.ascii_letters + string.digits
_ADDED = (("write_time", "Time"), ("api_invocation_time", "Time"), ("is_deleted", "Boolean"))


@dataclass(frozen=True)
class Row:
    """One record: its event time, when it was sent, its values in the order of the group's features."""

    at: datetime
    sent: datetime
    values: list[Value | None]
    deleted: bool


Files = dict[str, list[Row]]


class Writer(Protocol):
    """Makes Parquet files."""

    def __call__(self, types: Sequence[tuple[str, str]], files: Sequence[list[list[Any]]]) -> list[bytes]:
        """One file for each list of rows; `types` are the columns' names and types. Raises OSError."""


class OfflineStore:
    """The records of all groups that wait to be written."""

    def __init__(self, resources: Resources, writer: Writer) -> None:
        """`resources` has the groups."""
        self._resources, self._writer = resources, writer
        self._lock, self._flushing = threading.Lock(), threading.Lock()
        self._waiting: dict[str, list[Row]] = defaultdict(list)

    def start(self, seconds: float) -> None:
        """Write what has gathered every so many seconds, as long as the process lives."""

        def regularly() -> None:
            while not threading.Event().wait(seconds):
                self.flush()

        threading.Thread(target=regularly, name="offline-store", daemon=True).start()

    def append(self, group: str, row: Row) -> None:
        """Take a record of the group with this ARN."""
        with self._lock:
            self._waiting[group].append(row)

    def flush(self) -> None:
        """Write all that waits; what cannot be written goes on waiting, and its group says why."""
        with self._flushing:
            with self._lock:
                waiting, self._waiting = self._waiting, defaultdict(list)
            for arn, rows in waiting.items():
                group = self._resources.find(arn)
                if group is not None:
                    self._written(group, rows)

    def _written(self, group: Resource, rows: list[Row]) -> None:
        left = by_hour(rows)
        status: dict[str, str] = {"Status": "Active"}
        try:
            self._write(group, left)
        except (ClientError, BotoCoreError, OSError) as error:
            logger.warning("%s: the offline store cannot be written: %s", group.arn, error)
            status = {"Status": "Blocked", "BlockedReason": str(error)[:1024]}
            with self._lock:
                self._waiting[group.arn][:0] = [row for kept in left.values() for row in kept]
        if group.shown["OfflineStoreStatus"] != status:
            self._resources.change(group.arn, {"OfflineStoreStatus": status})

    def _write(self, group: Resource, left: Files) -> None:
        """Write the files, each taken out of `left` when it is there."""
        types = [*Schema.of(group.shown).types.items(), *_ADDED]
        now = datetime.now(UTC).timestamp()
        lines = [[[*row.values, now, row.sent.timestamp(), row.deleted] for row in rows] for rows in left.values()]
        contents = self._writer(types, lines)
        bucket, _, prefix = _uri(group).removeprefix("s3://").partition("/")
        region, account = group.arn.split(":")[3:5]
        responses.set_request_account_id(account)
        s3 = roles.client("s3", group.shown["RoleArn"], "SageMakerFeatureStore", region)
        for name, content in zip(list(left), contents, strict=True):
            s3.put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=content)
            del left[name]


def _uri(group: Resource) -> str:
    return str(group.shown["OfflineStoreConfig"]["S3StorageConfig"]["ResolvedOutputS3Uri"])


def by_hour(rows: Sequence[Row]) -> Files:
    """The rows by the names of the files they belong in, relative to the group's data."""
    hours: Files = defaultdict(list)
    for row in rows:
        hours[row.at.astimezone(UTC).strftime("year=%Y/month=%m/day=%d/hour=%H")].append(row)
    return {f"{hour}/{_file(kept)}": kept for hour, kept in hours.items()}


def _file(rows: Sequence[Row]) -> str:
    latest = max(row.at for row in rows).astimezone(UTC)
    return f"{latest:%Y%m%dT%H%M%SZ}_{''.join(secrets.choice(_DIGITS) for _ in range(16))}.parquet"
