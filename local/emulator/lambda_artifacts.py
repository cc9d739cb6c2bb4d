"""Function and layer archives as folders on disk, extracted once per content.

Boundary: knows archives and folders, nothing of functions. Folders are named by the SHA-256 of the archive.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import tempfile
import zipfile
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=128)
def _digest(archive: bytes) -> str:
    return hashlib.sha256(archive).hexdigest()


def extracted(archive: bytes, root: Path) -> Path:
    """The folder under `root` that holds the content of a zip archive; made when it is not there yet.

    Raises zipfile.BadZipFile for what is no archive. Safe against concurrent calls: the folder appears whole.
    """
    target = root / _digest(archive)
    if target.is_dir():
        return target
    root.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix="part-", dir=root))
    try:
        _extract(archive, part)
        part.chmod(0o755)
        part.rename(target)
    except OSError:
        # Somebody else was faster; a rename onto a filled folder fails.
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def _extract(archive: bytes, folder: Path) -> None:
    """Unlike `extractall`, keeps the permissions: binaries of a layer must stay executable."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        for member in opened.infolist():
            path = opened.extract(member, folder)
            mode = member.external_attr >> 16 & 0o777
            if mode and not member.is_dir():
                Path(path).chmod(mode)
