"""A CSV file as bytes: text of UTF-8 or refused, with its lines counted, and the names of its columns."""

import codecs
import csv
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from ratchet.errors import SourceMismatch

HEADER_BYTES = 1 << 16
Seen = Callable[[int], None]
"""Is told how many bytes more have been read."""


class Text:
    """A file that Arrow reads from; `lines` counts those that are not empty, up to where it has been read."""

    def __init__(self, file: BinaryIO, seen: Seen) -> None:
        """Reads nothing yet."""
        self.lines, self.closed = 0, False
        self._file, self._seen, self._begun, self._read = file, seen, False, 0
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, none at the end. Raises SourceMismatch for what is no text of UTF-8."""
        piece = self._file.read(size)
        try:
            self._decoder.decode(piece, final=not piece)
        except UnicodeDecodeError:
            # The decoder's own error holds the bytes.
            raise SourceMismatch(
                f"The file is no text of UTF-8, as its bytes from {self._read:,} on show: save it as CSV in UTF-8."
            ) from None
        self._count(piece)
        self._read += len(piece)
        self._seen(len(piece))
        return piece

    def close(self) -> None:
        """The file is closed by who opened it."""
        self.closed = True

    def _count(self, piece: bytes) -> None:
        *ended, rest = piece.replace(b"\r", b"\n").split(b"\n")
        if ended:
            self.lines += bool(ended[0] or self._begun) + sum(map(bool, ended[1:]))
            self._begun = False
        self._begun = self._begun or bool(rest)
        if not piece:
            self.lines += self._begun
            self._begun = False


def header(path: Path, wanted: Iterable[str]) -> None:
    """Raises SourceMismatch unless the first line names each of the wanted columns once.

    It is not quoted: of a file without a header it is somebody's record.
    """
    with path.open("rb") as file:
        line = file.readline(HEADER_BYTES)
    if not line.strip():
        raise SourceMismatch("The file is empty: the first line names the columns, and records follow.")
    try:
        names = next(csv.reader([line.decode("utf-8-sig").strip()]), [])
    except (UnicodeDecodeError, csv.Error):
        raise SourceMismatch("The first line is no line of CSV in UTF-8: save the file as CSV in UTF-8.") from None
    wanted = [*wanted]
    missing = [name for name in wanted if name not in names]
    twice = [name for name in wanted if names.count(name) > 1]
    if missing:
        others = ", ".join(str(place) for place, name in enumerate(names, 1) if name not in wanted)
        told = f" (it has {len(names)} columns; those that are not read: {others or 'none'})"
        raise SourceMismatch(
            f"The first line does not name the column{'s' * (len(missing) > 1)} {', '.join(missing)}{told}: name the "
            "columns as source in pipeline.yaml does."
        )
    if twice:
        raise SourceMismatch(f"The first line names the column {twice[0]} more than once: leave one of them.")
