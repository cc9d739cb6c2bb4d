"""The challenger and the champion as the evaluation meets them: the very bytes that are named, unpacked and loaded."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ratchet.errors import BadBundle
from ratchet.instants import parse_instant
from ratchet.serving import session
from ratchet.serving.bundle import Bundle, read_bundle
from ratchet.serving.session import Model
from ratchet.store import ObjectStore


@dataclass(frozen=True)
class Candidate:
    """A bundle that loads: where it came from, what it weighs (bytes), its model."""

    uri: str
    etag: str
    sha256: str
    size: int
    bundle: Bundle
    model: Model

    @property
    def document(self) -> dict[str, Any]:
        """`bundle.json`."""
        return self.bundle.document

    @property
    def seen_until(self) -> datetime:
        """The end of the last label that its training or validation has seen."""
        return max(parse_instant(self.document[part]["end"]) for part in ("training", "validation"))

    @property
    def targets(self) -> list[tuple[str, str]]:
        """What it predicts: (name, unit) in order."""
        return [(target["name"], target["unit"]) for target in self.document["targets"]]


def fetch(store: ObjectStore, uri: str, folder: Path, pipeline: str) -> Candidate:
    """Downloads and loads a bundle into `folder`. Raises BadBundle when it is missing, unsafe or does not load."""
    folder.mkdir(parents=True)
    archive = folder / "model.tar.gz"
    etag = store.download(store.key_of(uri), archive)
    if etag is None:
        raise BadBundle(f"{uri} is missing; train again or roll back.")
    bundle = read_bundle(archive, folder / "bundle", pipeline)
    return Candidate(uri, etag, digest(archive), archive.stat().st_size, bundle, session.load(bundle))


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
