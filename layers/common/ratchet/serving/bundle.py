"""The bundle, `model.tar.gz`: written deterministically, read member by member with limits; nothing is unpickled.

Standard library and numpy only. Whether the model is any good is the gate's business, not this module's.
"""

import gzip
import math
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ratchet.disk import named_when_full
from ratchet.errors import BadBundle, BadConfiguration
from ratchet.serving.bundle_document import check_document

MIB = 1 << 20
LIMITS = {"bundle.json": MIB, "model.onnx": 256 * MIB, "model.pth": 256 * MIB, "reference.npz": 16 * MIB}
"""The members that serving reads, with their greatest size in bytes."""
CODE = re.compile(r"code/(inference\.py|features\.py|wheels/[A-Za-z0-9_.+-]{1,200}\.whl)")
LARGEST_CODE = 64 * MIB
"""What an endpoint runs and nothing here ever does: such members are read over. No other is allowed."""
FOLDERS = {"", ".", "code", "code/wheels"}
NEEDED = ("bundle.json", "model.onnx", "reference.npz")
"""What serving and judging cannot do without; the native checkpoint is for people."""
TOTAL = 512 * MIB
HEADERS = 100
CHUNK = MIB
ABOUT_ANOTHER = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
"""Headers that say more of a later member than fits its own. All that a bundle needs does: they are read over."""
NPY = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '<f4', 'fortran_order': (False|True), "
    rb"'shape': \(([0-9]{1,9}(?:, [0-9]{1,9})*),?\), \} *\n",
    re.DOTALL,
)
"""The head of a float32 array as numpy writes it; numpy's own reader evaluates what it finds there."""


@dataclass(frozen=True)
class Bundle:
    """A bundle unpacked into a folder of its own: `bundle.json` and the paths of the rest."""

    folder: Path
    document: dict[str, Any]
    model_path: Path
    reference_path: Path

    def reference(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows for the parity check, float32 [R, ...], and the framework's own predictions, float32 [R, targets].

        Raises BadBundle when `reference.npz` is damaged, too large, pickled or without rows.
        """
        try:
            with zipfile.ZipFile(self.reference_path) as archive:
                members = {member.filename: member for member in archive.infolist()}
                if set(members) != {"features.npy", "predictions.npy"}:
                    raise BadBundle("reference.npz must hold the arrays 'features' and 'predictions'; train again.")
                features, predictions = (_array(archive, members[name]) for name in sorted(members))
        # Runtime errors are what the library raises for encryption and for what it does not implement.
        except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
            raise BadBundle(f"reference.npz cannot be read ({str(error)!r:.200}); train again.") from error
        if not len(features) or predictions.shape != (len(features), len(self.document["targets"])):
            raise BadBundle(
                f"reference.npz holds features {features.shape} and predictions {predictions.shape}; train again."
            )
        return features, predictions


def write_bundle(folder: Path, path: Path) -> None:
    """Packs the members in `folder` into `path`; the same content gives the same bytes on every machine.

    Raises BadBundle when a needed member is missing.
    """
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise BadBundle(f"{folder} lacks {', '.join(missing)}; a bundle cannot be made of it.")
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        inside = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        for name in (name for name in inside if name in LIMITS or CODE.fullmatch(name)):
            _add(archive, folder / name, name)


def read_bundle(archive: Path, folder: Path, pipeline: str) -> Bundle:
    """Unpacks a bundle of that pipeline into `folder`, which must be empty or absent, and checks `bundle.json`.

    Raises BadBundle for a truncated archive, another member than a bundle's, anything but a regular file, a member or a
    whole beyond the limits, and a `bundle.json` that breaks its schema, BadConfiguration when the disk is full; what it
    wrote until then is removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise BadBundle(f"{folder} is not empty; a bundle is read into a folder of its own.")
    try:
        with named_when_full("EvaluateFunction or ScoreFunction"):
            _unpack(archive, folder)
        document = check_document((folder / "bundle.json").read_bytes(), pipeline)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        _clear(folder)
        raise BadBundle(
            f"The bundle cannot be read to its end ({str(error)!r:.200}); train again or roll back."
        ) from error
    except (BadBundle, BadConfiguration):
        _clear(folder)
        raise
    return Bundle(folder, document, folder / "model.onnx", folder / "reference.npz")


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[np.float32]:
    """The float32 array in a member. Raises BadBundle, and what zipfile raises."""
    unusual = member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if unusual or member.file_size > LIMITS["reference.npz"]:
        raise BadBundle(f"reference.npz: {member.filename} is too large or packed in an unusual way; train again.")
    with archive.open(member) as content:
        # Never more than is declared: unpacking without a bound comes before the library's own comparison.
        body = content.read(member.file_size)
    head = NPY.match(body)
    shape = tuple(int(size) for size in head[2].split(b", ")) if head else ()
    if head is None or 4 * math.prod(shape) != len(body) - head.end():
        raise BadBundle(f"reference.npz: {member.filename} is no array of float32 as numpy writes it; train again.")
    return np.frombuffer(body, "<f4", offset=head.end()).reshape(shape, order="F" if head[1] == b"True" else "C")


def _unpack(archive: Path, folder: Path) -> None:
    with gzip.open(archive, "rb") as packed:
        plain, found = _Limited(packed), set[str]()
        for member in _members(plain):
            found.add(name := _checked(member, found))
            if name in LIMITS:
                with (folder / name).open("xb") as target:
                    for piece in plain.pieces(member.size):
                        target.write(piece)
            else:
                plain.skip(member.size)
            plain.skip(-member.size % tarfile.BLOCKSIZE)
        # A gzip stream cut after tar's end marker still fails its own checksum here.
        while plain.read(CHUNK):
            pass
    if missing := [name for name in NEEDED if name not in found]:
        raise BadBundle(f"The bundle lacks {', '.join(missing)}; train again.")


def _members(plain: "_Limited") -> Iterator[tarfile.TarInfo]:
    """The headers of an archive's members; whoever asks for the next one has read this one's content.

    The library's own walk takes what headers say of others at their word, at any length and depth.
    """
    for _ in range(HEADERS):
        head = plain.read(tarfile.BLOCKSIZE)
        if head == bytes(tarfile.BLOCKSIZE):
            return
        member = tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
        if member.type in ABOUT_ANOTHER:
            plain.skip(member.size + -member.size % tarfile.BLOCKSIZE)
        elif not (member.isdir() and member.name.removeprefix("./").rstrip("/") in FOLDERS):
            yield member
    raise BadBundle(f"The bundle has {HEADERS} members or more, which is too many.")


def _checked(member: tarfile.TarInfo, found: set[str]) -> str:
    """Which of a bundle's members it is, beside those found before; its own path is compared, never used."""
    name = member.name.removeprefix("./")
    limit = LARGEST_CODE if CODE.fullmatch(name) else LIMITS.get(name)
    if limit is None:
        raise BadBundle(f"The bundle has a member {member.name!r}, which is none of {', '.join(sorted(LIMITS))}.")
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise BadBundle(f"The bundle's {name} is no regular file.")
    if not 0 <= member.size <= limit:
        raise BadBundle(f"The bundle's {name} has {member.size:,} bytes; {limit:,} are allowed.")
    if name in found:
        raise BadBundle(f"The bundle has two members {name}.")
    return name


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = path.stat().st_size, 0o644, 0
    with path.open("rb") as content:
        archive.addfile(entry, content)


def _clear(folder: Path) -> None:
    for name in LIMITS:
        (folder / name).unlink(missing_ok=True)


class _Limited:
    """A stream that refuses to unpack more than `TOTAL`."""

    def __init__(self, source: gzip.GzipFile) -> None:
        self.source = source
        self.read_so_far = 0

    def read(self, size: int) -> bytes:
        piece = self.source.read(size)
        self.read_so_far += len(piece)
        if self.read_so_far > TOTAL:
            raise BadBundle(f"The bundle unpacks to more than {TOTAL:,} bytes.")
        return piece

    def pieces(self, size: int) -> Iterator[bytes]:
        """Exactly so many bytes. Raises EOFError when there are fewer."""
        while size > 0:
            piece = self.read(min(size, CHUNK))
            if not piece:
                raise EOFError("it ends within a member")
            size -= len(piece)
            yield piece

    def skip(self, size: int) -> None:
        """Reads over so many bytes."""
        for _ in self.pieces(size):
            pass
