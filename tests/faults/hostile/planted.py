"""Readers with known faults, which the fuzzer must find: it would be worth nothing otherwise."""

import ctypes
import io
import tarfile
import zipfile
import zlib
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ratchet.errors import BadInput

from tests.faults.hostile import bundles, pages, parquet, references
from tests.faults.hostile.target import Target, name_of


def _bytes(rng: Random) -> bytes:
    return rng.randbytes(4)


def _rare(data: bytes) -> bool:
    return data[0] < 3


def _raises(data: bytes) -> str:
    return str(1 / 0) if _rare(data) else "fine"


def _crashes(data: bytes) -> str:
    return str(ctypes.string_at(0)) if _rare(data) else "fine"


def _hangs(data: bytes) -> str:
    while _rare(data):
        pass
    return "fine"


def _swells(data: bytes) -> str:
    return str(len(np.ones(1200 << 17))) if _rare(data) else "fine"


def _asks_for_too_much(data: bytes) -> str:
    return str(len(np.empty(1 << 40))) if _rare(data) else "fine"


def _hides(data: bytes) -> str:
    error = BadInput("Something is wrong; mend it.")
    error.__cause__ = MemoryError() if _rare(data) else None
    return name_of(error)


def _speaks_at_length(data: bytes) -> str:
    return name_of(BadInput("one line\nand another" if _rare(data) else "one line"))


RAISES, CRASHES, HANGS = Target(_bytes, _raises), Target(_bytes, _crashes), Target(_bytes, _hangs)
SWELLS, ASKS, HIDES = Target(_bytes, _swells), Target(_bytes, _asks_for_too_much), Target(_bytes, _hides)
SPEAKS = Target(_bytes, _speaks_at_length)


def _walks_the_archive(data: bytes) -> str:
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r|gz") as archive:
            return str([member.name for member in archive])
    except (tarfile.TarError, OSError, EOFError, zlib.error):
        return "refused"


def _loads_arrays(data: bytes) -> str:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return str(arrays["features"].shape)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, KeyError):
        return "refused"


def _reads_a_copy(data: bytes) -> str:
    position, rows = 19, 0
    while (count := int.from_bytes(data[position : position + 2], "big", signed=True)) >= 0:
        position, rows = position + 2, rows + 1
        for _ in range(count):
            position += 4 + max(0, int.from_bytes(data[position : position + 4], "big", signed=True))
    return str(rows)


def _reads_parquet(data: bytes) -> str:
    try:
        return str(pq.read_table(pa.BufferReader(data), use_threads=False).num_rows)
    except pa.ArrowException:
        return "refused"


WALKS, LOADS = Target(bundles.archive, _walks_the_archive), Target(references.reference, _loads_arrays)
COPIES, READS = Target(pages.copied, _reads_a_copy), Target(parquet.LANDED.make, _reads_parquet)
