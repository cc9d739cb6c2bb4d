"""A CSV file as bytes: text of UTF-8 or refused, with its lines counted, and the names of its columns."""

import codecs
import csv
from collections.abc import Iterable
from pathlib import Path

from ratchet.errors import SourceMismatch

HEADER_BYTES = 1 << 16
PIECE_BYTES = 1 << 22


def lines(path: Path) -> int:
    """How many lines of the file are not empty. Raises SourceMismatch for what is no text of UTF-8."""
    count, begun, read = 0, False, 0
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        while True:
            piece = file.read(PIECE_BYTES)
            try:
                decoder.decode(piece, final=not piece)
            except UnicodeDecodeError as error:
                # The decoder's own error holds the bytes, which begin with what it kept of the piece before.
                place = read + len(piece) - len(error.object) + error.start
                raise SourceMismatch(
                    f"The file is no text of UTF-8, as its bytes from {place:,} on show: save it as CSV in UTF-8."
                ) from None
            if not piece:
                return count + begun
            read += len(piece)
            *ended, rest = piece.replace(b"\r", b"\n").split(b"\n")
            if ended:
                count += bool(ended[0] or begun) + sum(map(bool, ended[1:]))
                begun = False
            begun = begun or bool(rest)


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
