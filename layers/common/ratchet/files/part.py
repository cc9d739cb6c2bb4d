"""A part that has landed: what it was made from, what is in it, and whether it is still what its files say."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ratchet.errors import ForeignDocument
from ratchet.keys import Keys
from ratchet.records import record
from ratchet.store import Listed, ObjectStore, decode, encode


@dataclass(frozen=True)
class Part:
    """`landing/<table>/<part>.json`: the Parquet object beside it has the tag `etag`, that of lines set aside `aside`.

    `sources` is the digest of the files and of how they are meant; `records` were taken in, `ignored` and `rejected`
    were not, by the reason. `about` says what the kind of source must know of a part. `synthetic` and `source` are what
    the files' seed says.
    """

    name: str
    etag: str
    sources: str
    rows: int
    records: int
    ignored: dict[str, int]
    rejected: dict[str, int]
    about: dict[str, Any]
    aside: str | None = None
    synthetic: bool | None = None
    source: str | None = None


def digest(files: Iterable[Listed], reads: str) -> str:
    """SHA-256 over keys and tags and how they are meant: another as soon as a file comes, goes or changes, or that."""
    listed = (f"{file.key} {file.etag}" for file in sorted(files, key=lambda file: file.key))
    told = "\n".join([reads, *listed])
    return hashlib.sha256(told.encode()).hexdigest()


def landed(store: ObjectStore, keys: Keys, table: str) -> dict[str, Part]:
    """All parts of a table by name, in the order of their files where each is one. Raises ForeignDocument."""
    documents = [each.key for each in store.list(keys.landing_root(table)) if each.key.endswith(".json")]
    found = [part for part in (read(store, key) for key in documents) if part]
    # Of files that overlap, the one of the later name stands.
    found.sort(key=lambda part: str(part.about.get("file", part.name)))
    return {part.name: part for part in found}


def read(store: ObjectStore, key: str) -> Part | None:
    """The part that a document describes. Raises ForeignDocument."""
    stored = store.get(key)
    if stored is None:
        return None
    part = record(Part, decode(stored, key), key)
    if not key.endswith(f"/{part.name}.json"):
        raise ForeignDocument(f"{key} describes a part of another name; move it away, the next run lands it anew.")
    if any(type(count) is not int for count in (*part.ignored.values(), *part.rejected.values())):
        raise ForeignDocument(f"{key} counts what is no number; move it away, the next run lands it anew.")
    return part


def is_current(store: ObjectStore, keys: Keys, table: str, part: Part | None, sources: str) -> bool:
    """Whether what lies there was made from just these files: of two that land at once, either may have been last."""
    if part is None or part.sources != sources:
        return False
    tags = {keys.part(table, part.name): part.etag}
    if part.aside is not None:
        tags[keys.part_rejected(table, part.name)] = part.aside
    return all((found := store.head(key)) is not None and found.etag == tag for key, tag in tags.items())


def write(store: ObjectStore, keys: Keys, table: str, part: Part) -> None:
    """Says that a part has landed, after it has."""
    store.put(keys.part_document(table, part.name), encode(asdict(part)))


def fingerprint(parts: Mapping[str, Part]) -> str:
    """The same for the same parts made from the same files."""
    told = "\n".join(f"{name} {part.sources}" for name, part in sorted(parts.items()))
    return hashlib.sha256(told.encode()).hexdigest()
