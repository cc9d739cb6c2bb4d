"""The landing bucket of a simulated world: S3's conditions, and all that can happen to a request on its way.

Etags are MD5 sums as S3's are, so the same bytes have the same tag again.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ratchet.errors import BadInput, ForeignDocument, Unavailable
from ratchet.store import Ambiguous, Listed, PreconditionFailed, Stored

from tests.faults.simulator.processes import Killed, Process

READS = ("get", "head", "list", "page", "newest", "counts", "has rows", "describe", "stop", "ask endpoint")
CALLS = ("register", "sign", "host", "tell task", "tell people", "begin")
WRITES = ("put", "tag", *CALLS)
BEFALLS = {
    "request lost": (*WRITES, *READS),
    "answer lost": (*WRITES, *READS),
    "412 on the client's own retry": ("put",),
    "the client's own retry": CALLS,
    "timed out, takes effect later": WRITES,
    "409 conflict": ("put",),
    "stale listing": ("list",),
    "empty page": ("page",),
    "killed before": (*WRITES, *READS),
    "killed after": WRITES,
}
"""What may befall which requests."""
FRESH = 40
"""Steps for which a stale listing does not show a new object."""


class Late(NamedTuple):
    """What takes effect though its sender gave it up long ago; `land` lets it."""

    by: str
    what: str
    land: Callable[[], None]


class Change(NamedTuple):
    """A write on its way: a body, or None where only the tags are replaced."""

    key: str
    body: bytes | None
    if_match: str | None
    if_none_match: bool
    tags: Mapping[str, str]
    by: str


class Bucket:
    """The objects, and who is told of each change (`watch` gets it after it took effect, and what stood before)."""

    name = "bucket"

    def __init__(self) -> None:
        self.objects: dict[str, Stored] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.born: dict[str, int] = {}
        self.late: list[Late] = []
        self.step = 0
        self.watch: Callable[[Change, Stored | None], None] = lambda change, before: None

    def copy(self) -> "Bucket":
        """A bucket of its own with the same objects."""
        other = Bucket()
        other.objects, other.tags, other.born = dict(self.objects), dict(self.tags), dict(self.born)
        return other

    def apply(self, change: Change) -> str:
        """Lets a write take effect; its new tag. Raises PreconditionFailed."""
        before = self.objects.get(change.key)
        if change.body is None:
            if before is not None:
                self.tags[change.key] = dict(change.tags)
                self.watch(change, before)
            return ""
        unmet = (change.if_none_match and before) or (
            change.if_match is not None and (before is None or before.etag != change.if_match)
        )
        if unmet:
            raise PreconditionFailed(change.key)
        etag = f'"{hashlib.md5(change.body, usedforsecurity=False).hexdigest()}"'
        self.objects[change.key] = Stored(change.body, etag)
        self.tags[change.key] = dict(change.tags)
        self.born.setdefault(change.key, self.step)
        self.watch(change, before)
        return etag

    def put_off(self, change: Change) -> None:
        """Lets a write take effect later, if its condition holds then."""

        def land() -> None:
            with suppress(PreconditionFailed):
                self.apply(change)

        self.late.append(Late(change.by, f"put {change.key}", land))

    def land_late(self, late: Late) -> None:
        """Lets something take effect that its sender gave up long ago."""
        self.late.remove(late)
        late.land()


class Requests:
    """`ObjectStore` as one process sees it: each request waits for its turn."""

    def __init__(self, bucket: Bucket, process: Process) -> None:
        self.bucket, self._process = bucket.name, process
        self._objects = bucket

    def get(self, key: str) -> Stored | None:
        self._read("get", key)
        return self._objects.objects.get(key)

    def head(self, key: str) -> Listed | None:
        self._read("head", key)
        found = self._objects.objects.get(key)
        return Listed(key, len(found.body), found.etag) if found else None

    def download(self, key: str, path: Path) -> str | None:
        found = self.get(key)
        if found is None:
            return None
        with open(path, "wb", buffering=0) as file:  # noqa: PTH123 - files are written by the thousand
            file.write(found.body)
        return found.etag

    def stream(self, key: str, start: int = 0) -> Iterator[bytes]:
        found = self.get(key)
        if found is None:
            raise BadInput(f"{self.uri(key)} does not exist.")
        yield found.body[start:]

    def list(self, prefix: str) -> Iterator[Listed]:
        seen_until = self._objects.step - (FRESH if self._read("list", prefix) == "stale listing" else -1)
        found = {key: stored for key, stored in self._objects.objects.items() if key.startswith(prefix)}
        for key in sorted(found):
            if self._objects.born[key] < seen_until:
                yield Listed(key, len(found[key].body), found[key].etag)

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
        action = self._process.ask("put", key)
        change = Change(key, body, if_match, if_none_match, tags or {}, self._process.name)
        if action == "409 conflict" and (if_match is not None or if_none_match):
            raise Ambiguous("ConditionalRequestConflict")
        return self._write(change, action)

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

    def tag(self, key: str, tags: Mapping[str, str]) -> None:
        action = self._process.ask("tag", key)
        self._write(Change(key, None, None, False, tags, self._process.name), action)

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def key_of(self, uri: str) -> str:
        start = f"s3://{self.bucket}/"
        if not uri.startswith(start):
            raise ForeignDocument(f"{uri} is not in the bucket {self.bucket}.")
        return uri.removeprefix(start)

    def _read(self, operation: str, key: str) -> str:
        action = self._process.ask(operation, key)
        if action == "killed before":
            raise Killed
        if action in {"request lost", "answer lost"}:
            raise Unavailable(f"S3 did not answer for {key}.")
        return action

    def _write(self, change: Change, action: str) -> str:
        lost = Ambiguous if change.body is not None else Unavailable
        if action == "killed before":
            raise Killed
        if action == "request lost":
            raise lost("The request was lost.")
        if action == "timed out, takes effect later":
            self._objects.put_off(change)
            raise lost("No answer came in time.")
        try:
            etag = self._objects.apply(change)
        except PreconditionFailed:
            if action == "answer lost":
                raise Ambiguous("The answer was lost.") from None
            raise
        if action == "killed after":
            raise Killed
        if action == "answer lost":
            raise lost("The answer was lost.")
        if action == "412 on the client's own retry" and (change.if_none_match or change.if_match is not None):
            raise PreconditionFailed(change.key)
        return etag
