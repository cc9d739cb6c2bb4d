"""The bundle, `model.tar.gz`: written deterministically, read member by member with limits; nothing is unpickled.

Standard library and numpy only. Whether the model is any good is the gate's business, not this module's.
"""

import gzip
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from ratchet.disk import named_when_full
from ratchet.errors import BadBundle, BadConfiguration
from ratchet.serving.bundle_document import check_document

MIB = 1 << 20
LIMITS = {"bundle.json": MIB, "model.onnx": 256 * MIB, "model.pth": 256 * MIB, "reference.npz": 64 * MIB}
"""The only members a bundle may have, with their greatest size in bytes."""
NEEDED = ("bundle.json", "model.onnx", "reference.npz")
"""What serving and judging cannot do without; the native checkpoint is for people."""
TOTAL = 512 * MIB
CHUNK = MIB


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
        names = {"features.npy", "predictions.npy"}
        try:
            with zipfile.ZipFile(self.reference_path) as archive:
                members = archive.infolist()
                if {m.filename for m in members} != names or sum(m.file_size for m in members) > 2 * LIMITS[
                    "reference.npz"
                ]:
                    raise BadBundle("reference.npz must hold the arrays 'features' and 'predictions'; train again.")
            with np.load(self.reference_path, allow_pickle=False) as arrays:
                features, predictions = arrays["features"], arrays["predictions"]
        except (ValueError, OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise BadBundle(f"reference.npz cannot be read ({error}); train again.") from error
        if features.dtype != np.float32 or predictions.dtype != np.float32 or not len(features):
            raise BadBundle("reference.npz must hold at least one row of float32; train again.")
        if predictions.shape != (len(features), len(self.document["targets"])):
            raise BadBundle(f"reference.npz holds predictions of shape {predictions.shape}; train again.")
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
        for name in sorted(LIMITS):
            if (folder / name).is_file():
                _add(archive, folder / name)


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
        raise BadBundle(f"The bundle cannot be read to its end ({error}); train again or roll back.") from error
    except (BadBundle, BadConfiguration):
        _clear(folder)
        raise
    return Bundle(folder, document, folder / "model.onnx", folder / "reference.npz")


def _unpack(archive: Path, folder: Path) -> None:
    with (
        gzip.open(archive, "rb") as plain,
        tarfile.open(fileobj=cast(IO[bytes], _Limited(plain)), mode="r|") as members,
    ):
        for member in members:
            if member.isdir() and member.name in {"", "."}:
                continue
            with _target(member, folder).open("xb") as target:
                _copy(members.extractfile(member), target)
        # A gzip stream cut after tar's end marker still fails its own checksum here.
        while plain.read(CHUNK):
            pass
    missing = [name for name in NEEDED if not (folder / name).exists()]
    if missing:
        raise BadBundle(f"The bundle lacks {', '.join(missing)}; train again.")


def _target(member: tarfile.TarInfo, folder: Path) -> Path:
    """Where a member goes; its own path is compared, never used."""
    name = member.name.removeprefix("./")
    if name not in LIMITS:
        raise BadBundle(f"The bundle has a member {member.name!r}, which is none of {', '.join(sorted(LIMITS))}.")
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise BadBundle(f"The bundle's {name} is no regular file.")
    if member.size > LIMITS[name]:
        raise BadBundle(f"The bundle's {name} has {member.size:,} bytes; {LIMITS[name]:,} are allowed.")
    if (folder / name).exists():
        raise BadBundle(f"The bundle has two members {name}.")
    return folder / name


def _copy(source: IO[bytes] | None, target: IO[bytes]) -> None:
    while source and (piece := source.read(CHUNK)):
        target.write(piece)


def _add(archive: tarfile.TarFile, path: Path) -> None:
    entry = tarfile.TarInfo(path.name)
    entry.size, entry.mode, entry.mtime = path.stat().st_size, 0o644, 0
    with path.open("rb") as content:
        archive.addfile(entry, content)


def _clear(folder: Path) -> None:
    for name in LIMITS:
        (folder / name).unlink(missing_ok=True)


class _Limited:
    """A stream that refuses to unpack more than `TOTAL`: tar's own headers can be a bomb too."""

    def __init__(self, source: gzip.GzipFile) -> None:
        self.source = source
        self.read_so_far = 0

    def read(self, size: int) -> bytes:
        piece = self.source.read(size)
        self.read_so_far += len(piece)
        if self.read_so_far > TOTAL:
            raise BadBundle(f"The bundle unpacks to more than {TOTAL:,} bytes.")
        return piece
