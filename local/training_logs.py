"""A training job's output on its way from the log file to CloudWatch Logs."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

GROUP = "/aws/sagemaker/TrainingJobs"
_LONGEST_LINE = 200_000
_MOST_LINES = 1_000


class LogShipper:
    """Follows one file; each `ship` sends the whole lines that were added."""

    def __init__(self, file: Path, logs: Any, job: str) -> None:
        """`logs` is a boto3 client with the job's role; the stream is named as SageMaker names it."""
        self._file, self._logs = file, logs
        self._stream = f"{job}/algo-1-{int(time.time())}"
        self._at = file.stat().st_size if file.exists() else 0
        self._stopped = False

    def ship(self, last: bool = False) -> None:
        """Send what is new; at the `last` call an unfinished line as well."""
        if self._stopped or not self._file.exists():
            return
        with self._file.open("rb") as file:
            file.seek(self._at)
            data = file.read()
        whole = data if last else data[: data.rfind(b"\n") + 1]
        self._at += len(whole)
        lines = [line for line in whole.decode(errors="replace").splitlines() if line.strip()]
        try:
            for start in range(0, len(lines), _MOST_LINES):
                self._put(lines[start : start + _MOST_LINES])
        except ClientError as error:
            # SageMaker trains on when the role may not write logs; the file says why CloudWatch has none.
            self._stopped = True
            with self._file.open("a") as file_to_tell:
                file_to_tell.write(f"[laptop] CloudWatch Logs refused this job's output: {error}\n")

    def _put(self, lines: list[str]) -> None:
        self._create()
        now = int(time.time() * 1000)
        events = [{"timestamp": now, "message": line[:_LONGEST_LINE]} for line in lines]
        self._logs.put_log_events(logGroupName=GROUP, logStreamName=self._stream, logEvents=events)

    def _create(self) -> None:
        """Make the stream, and the group where it is missing: a role need not be allowed to make groups."""
        try:
            self._create_stream()
        except self._logs.exceptions.ResourceNotFoundException:
            self._logs.create_log_group(logGroupName=GROUP)
            self._create_stream()

    def _create_stream(self) -> None:
        with contextlib.suppress(self._logs.exceptions.ResourceAlreadyExistsException):
            self._logs.create_log_stream(logGroupName=GROUP, logStreamName=self._stream)
