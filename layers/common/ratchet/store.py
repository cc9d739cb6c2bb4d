"""The object store port and its one primitive for concurrency: compare-and-swap on a single object.

Leases, claims, watermarks and the pointer all move by `create` and `replace`; nothing else here decides who wins.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from ratchet.errors import ForeignDocument, Unavailable

Document = dict[str, Any]


@dataclass(frozen=True)
class Stored:
    """An object's content and the version tag that `if_match` takes."""

    body: bytes
    etag: str


@dataclass(frozen=True)
class Listed:
    """One row of a listing; `modified` is when the object was put there, where the store says so."""

    key: str
    size: int
    etag: str
    modified: datetime | None = field(default=None, compare=False)


class PreconditionFailed(Exception):
    """412: the object is not what the caller said. Internal: `create` and `replace` turn it into an answer."""


class Ambiguous(Unavailable):
    """A write was sent and its answer never came (time-out, 5xx, dropped connection, 409): did it happen?"""


class Reader(Protocol):
    """The part of `ObjectStore` that following the champion takes."""

    def get(self, key: str) -> Stored | None:
        """The object, or None where there is none."""

    def download(self, key: str, path: Path) -> str | None:
        """Streams an object to a file and returns its tag, or None where there is none."""

    def key_of(self, uri: str) -> str:
        """The key of a URI in this bucket. Raises ForeignDocument for another bucket."""


class ObjectStore(Reader, Protocol):
    """S3, as far as Ratchet needs it. Every method raises Unavailable when the store cannot be reached or throttles."""

    def head(self, key: str) -> Listed | None:
        """Size and tag without the body, or None where there is none."""

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
        """Writes atomically, returns the new tag. Raises PreconditionFailed (412) or Ambiguous (no answer)."""

    def tag(self, key: str, tags: Mapping[str, str]) -> None:
        """Replaces the tags of an object; there is nothing to do where there is none."""

    def list(self, prefix: str) -> Iterator[Listed]:
        """All objects below a prefix in key order, every page."""

    def stream(self, key: str, start: int = 0) -> Iterator[bytes]:
        """The object's bytes from `start` on, in pieces; none beyond its end. Raises BadInput where there is none."""

    def upload(
        self,
        path: Path,
        key: str,
        *,
        if_match: str | None = None,
        if_none_match: bool = False,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Streams a file to an object, whole or not at all, and returns its tag. Raises as `put`."""

    def uri(self, key: str) -> str:
        """`s3://bucket/key`."""


def encode(document: Document) -> bytes:
    """The one spelling of a document: sorted keys, two blanks, a final newline; NaN refused."""
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def decode(stored: Stored, key: str) -> Document:
    """The JSON object in `stored`. Raises ForeignDocument when it is none."""
    try:
        text = stored.body.decode()
        document = json.loads(text)
        if "\\ud" in text.lower():
            # Half a character can be read but not written.
            json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ForeignDocument(f"{key} is not JSON; move it away, Ratchet keeps a document of its own there.") from error
    if not isinstance(document, dict):
        raise ForeignDocument(f"{key} is no JSON object; move it away, Ratchet keeps a document of its own there.")
    return document


def create(
    store: ObjectStore,
    key: str,
    body: bytes,
    *,
    attempts: int = 4,
    tags: Mapping[str, str] | None = None,
    content_type: str | None = None,
) -> str | None:
    """Creates an object that must not exist. Returns its tag, or None when another writer was first.

    After a lost answer the object is read back: our own bytes mean done, another's mean lost, none means try again.
    Bodies must therefore be unique to their writer (documents carry a token or the execution's name).
    """
    for _ in range(attempts):
        try:
            return store.put(key, body, if_none_match=True, tags=tags, content_type=content_type)
        except PreconditionFailed:
            # A retry inside the client may meet its own first write.
            return _own(store.get(key), body)
        except Ambiguous:
            found = store.get(key)
            if found is not None:
                return _own(found, body)
    raise Unavailable(f"Creating {key} got no answer {attempts} times.")


def replace(
    store: ObjectStore,
    key: str,
    body: bytes,
    etag: str,
    *,
    attempts: int = 4,
    tags: Mapping[str, str] | None = None,
    content_type: str | None = None,
) -> str | None:
    """Replaces exactly the version `etag` of an object. Returns the new tag, or None when that is no longer it.

    A new version has the `tags` given here and none of the old one's.
    """
    for _ in range(attempts):
        try:
            return store.put(key, body, if_match=etag, tags=tags, content_type=content_type)
        except PreconditionFailed:
            return _own(store.get(key), body)
        except Ambiguous:
            found = store.get(key)
            if found is None or found.etag != etag:
                return _own(found, body)
    raise Unavailable(f"Replacing {key} got no answer {attempts} times.")


class Versions:
    """The versions of some objects when a step began; the step overwrites each only as that version.

    So whoever was overtaken, by an execution that holds the lease now or by another call of the same step, overwrites
    nothing of theirs; called again, it finds what they wrote. A lease alone cannot do that: it may be lost between the
    look at it and the write.
    """

    def __init__(self, store: ObjectStore, *keys: str) -> None:
        """Looks at the objects. Raises Unavailable."""
        self._store = store
        listed = {key: store.head(key) for key in keys}
        self.etags = {key: found.etag if found else None for key, found in listed.items()}

    def put(
        self, key: str, body: bytes, *, tags: Mapping[str, str] | None = None, content_type: str | None = None
    ) -> str:
        """Writes one of them, returns its new tag. Raises Unavailable when another has written it since."""
        etag, options = self.etags[key], {"tags": tags, "content_type": content_type}
        if etag is None:
            written = create(self._store, key, body, **options)  # type: ignore[arg-type]
        else:
            written = replace(self._store, key, body, etag, **options)  # type: ignore[arg-type]
        return self._written(key, written)

    def upload(self, path: Path, key: str, *, tags: Mapping[str, str] | None = None) -> str:
        """Writes one of them from a file, as `put`; after a lost answer it is for the step to begin again."""
        etag = self.etags[key]
        try:
            written = self._store.upload(path, key, if_match=etag, if_none_match=etag is None, tags=tags)
        except PreconditionFailed:
            return self._written(key, None)
        return self._written(key, written)

    def _written(self, key: str, etag: str | None) -> str:
        if etag is None:
            raise Unavailable(f"{key} was written by another process since this one began; it begins again.")
        self.etags[key] = etag
        return etag


def _own(found: Stored | None, body: bytes) -> str | None:
    return found.etag if found is not None and found.body == body else None
