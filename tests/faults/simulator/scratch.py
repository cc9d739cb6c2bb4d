"""Temporary folders of the simulated steps: in memory where there is such a place, emptied and used again.

The steps make and remove thousands of them, which takes longer than what they do in them.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")
_free: list[str] = []


class Folder:
    """In place of `tempfile.TemporaryDirectory`."""

    def __enter__(self) -> str:
        self.name = _free.pop() if _free else tempfile.mkdtemp()
        return self.name

    def __exit__(self, *raised: object) -> None:
        with os.scandir(self.name) as entries:
            for entry in entries:
                shutil.rmtree(entry.path) if entry.is_dir() else os.unlink(entry.path)  # noqa: PTH108
        _free.append(self.name)


@contextmanager
def scratch() -> Iterator[None]:
    """A place for them all, which is gone when the block ends."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="ratchet-faults-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = before
            _free.clear()
