"""What a training job runs: `source.tar.gz` with the product as it is installed here, named by its own content.

The first run that finds it absent writes it, so deploying the stack is all there is to deploying.
"""

import gzip
import hashlib
import io
import tarfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import ratchet
from ratchet.keys import source_archive
from ratchet.store import ObjectStore, create

PACKAGES = ("pipelines", "ratchet")
WHEELS = "wheels"
"""A folder beside the packages with wheels for what the training image lacks; a layer may ship it."""


def installed() -> Path:
    """The folder that `ratchet` and `pipelines` are installed in: the layer's in Lambda."""
    return Path(ratchet.__file__).resolve().parents[1]


@dataclass(frozen=True)
class Archive:
    """The source below `root`, without bytecode."""

    root: Path

    @cached_property
    def files(self) -> list[Path]:
        """Every file of the archive, sorted by name."""
        found = [path for package in PACKAGES for path in (self.root / package).rglob("*")]
        sources = [path for path in found if path.is_file() and "__pycache__" not in path.parts]
        return sorted([*sources, *(self.root / WHEELS).glob("*.whl")])

    @cached_property
    def digest(self) -> str:
        """The first 16 hexadecimal digits of SHA-256 over names and contents."""
        summed = hashlib.sha256()
        for path in self.files:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            summed.update(f"{path.relative_to(self.root).as_posix()}\n{content}\n".encode())
        return summed.hexdigest()[:16]

    def build(self) -> bytes:
        """The archive; the same files give the same bytes."""
        packed = io.BytesIO()
        with (
            gzip.GzipFile("", "wb", 6, packed, mtime=0) as stream,
            tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for path in self.files:
                entry = tarfile.TarInfo(path.relative_to(self.root).as_posix())
                entry.size, entry.mode, entry.mtime = path.stat().st_size, 0o644, 0
                with path.open("rb") as content:
                    archive.addfile(entry, content)
        return packed.getvalue()

    def publish(self, store: ObjectStore) -> str:
        """The archive's key, after writing it where it was absent."""
        key = source_archive(self.digest)
        if store.head(key) is None:
            create(store, key, self.build())
        return key
