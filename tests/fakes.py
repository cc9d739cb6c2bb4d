"""In-memory ports for tests: an object store with real 412 answers, a settable clock."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ratchet.errors import BadInput, ForeignDocument
from ratchet.store import Ambiguous, Listed, PreconditionFailed, Stored

NOW = datetime(2026, 11, 20, tzinfo=UTC)
"""When objects are put into a store that is told nothing else."""


class MemoryStore:
    """`ObjectStore` in a dictionary, `now`. `lose_answers` makes the next writes happen but answer Ambiguous."""

    def __init__(self, bucket: str = "bucket") -> None:
        self.bucket = bucket
        self.objects: dict[str, Stored] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.modified: dict[str, datetime] = {}
        self.now = NOW
        self.writes: list[str] = []
        self.lose_answers = 0
        self.lose_requests = 0

    def get(self, key: str) -> Stored | None:
        return self.objects.get(key)

    def head(self, key: str) -> Listed | None:
        found = self.objects.get(key)
        return Listed(key, len(found.body), found.etag, self.modified.get(key, self.now)) if found else None

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
        if self.lose_requests:
            self.lose_requests -= 1
            raise Ambiguous("The request was lost.")
        found = self.objects.get(key)
        if (if_none_match and found) or (if_match is not None and (found is None or found.etag != if_match)):
            raise PreconditionFailed(key)
        etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
        self.objects[key] = Stored(body, etag)
        self.tags[key] = dict(tags or {})
        self.modified[key] = self.now
        self.writes.append(key)
        if self.lose_answers:
            self.lose_answers -= 1
            raise Ambiguous("The answer was lost.")
        return etag

    def tag(self, key: str, tags: Mapping[str, str]) -> None:
        if key in self.objects:
            self.tags[key] = dict(tags)

    def list(self, prefix: str) -> Iterator[Listed]:
        for key in sorted(self.objects):
            if key.startswith(prefix):
                yield Listed(key, len(self.objects[key].body), self.objects[key].etag, self.modified.get(key, self.now))

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)

    def download(self, key: str, path: Path) -> str | None:
        found = self.objects.get(key)
        if found is None:
            return None
        path.write_bytes(found.body)
        return found.etag

    def stream(self, key: str, start: int = 0) -> Iterator[bytes]:
        found = self.objects.get(key)
        if found is None:
            raise BadInput(f"{self.uri(key)} does not exist.")
        for at in range(start, len(found.body), 7):
            yield found.body[at : at + 7]

    def upload(
        self,
        path: Path,
        key: str,
        *,
        if_match: str | None = None,
        if_none_match: bool = False,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        return self.put(key, path.read_bytes(), if_match=if_match, if_none_match=if_none_match, tags=tags)

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def key_of(self, uri: str) -> str:
        start = f"s3://{self.bucket}/"
        if not uri.startswith(start):
            raise ForeignDocument(f"{uri} is not in the bucket {self.bucket}.")
        return uri.removeprefix(start)


class Clock:
    """A clock that stands until it is told to move."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **step: float) -> None:
        self.now += timedelta(**step)


class Executions:
    """Those that run; what is stopped of the others is noted."""

    def __init__(self, *running: str) -> None:
        self.running = set(running)
        self.stopped: list[str] = []

    def is_running(self, execution: str) -> bool:
        return execution in self.running

    def stop_leftovers(self, execution: str) -> list[str]:
        self.stopped.append(execution)
        return []
