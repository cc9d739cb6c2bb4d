"""A bundle's reference rows as an attacker would pack them: its zip directory, and arrays within, tampered with."""

import io
import struct
import zipfile
from random import Random

import numpy as np
from ratchet.serving.bundle import LIMITS

from tests.faults.hostile import changes

MIB = 1 << 20
SHAPES = [
    "(2, 4)",
    "(4,)",
    "()",
    "(0, 6)",
    "(1099511627776, 4)",
    "(-1, 4)",
    "(2, 0)",
    "(2, 4, 1)",
    "2",
    "(9" + ", 9" * 99 + ")",
]
DTYPES = ["<f4", ">f4", "<f8", "|O", "<U9999999", "|V0", "nonsense"]
HEADS = ["-" * 9000 + "1", "(" * 3000, "[" * 150 + "]" * 150, "{'descr': [('a', '<f4')]}", "\0", "{1:" * 90]
PACKED = [zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


def reference(rng: Random) -> bytes:
    """A reference.npz with its bytes, the numbers of its directory, or its arrays' heads changed."""
    way = rng.random()
    if way < 0.3:
        return changes.of_bytes(rng, SOUND)
    if way < 0.6:
        return _misdirected(rng)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", rng.choice(PACKED)) as packed:
        for name, shape, size in (("features", "(2, 4)", 32), ("predictions", "(2, 6)", 48)):
            if rng.random() < 0.97:
                packed.writestr(f"{name}.npy", array(rng, shape, size))
    return buffer.getvalue()


def array(rng: Random, shape: str, size: int) -> bytes:
    kind, order = rng.choice(("<f4", "<f4", rng.choice(DTYPES))), rng.choice(("False", "False", "True", "0"))
    shape = rng.choice((shape, shape, rng.choice(SHAPES)))
    head = f"{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}"
    text = (head if rng.random() < 0.9 else rng.choice(HEADS)).encode().ljust(117) + b"\n"
    body = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(size)
    return changes.of_bytes(rng, body) if rng.random() < 0.2 else body


def _misdirected(rng: Random) -> bytes:
    data, magic = bytearray(SOUND), rng.choice((b"PK\3\4", b"PK\1\2", b"PK\5\6"))
    starts = [at for at in range(len(data)) if data.startswith(magic, at)]
    at, size = rng.choice(starts) + 4 + 2 * rng.randrange(18), rng.choice((2, 4))
    number = rng.choice((0, 1, 8, 9, 12, 14, 45, 99, *changes.EDGES)) % (1 << 8 * size)
    data[at : at + size] = number.to_bytes(size, "little")
    return bytes(data)


def _sound() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, features=np.ones((2, 4), "f4"), predictions=np.zeros((2, 6), "f4"))
    return buffer.getvalue()


SOUND = _sound()


def swollen() -> bytes:
    """Half a GiB of zeros whose directory says that they are few."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        with packed.open("features.npy", "w") as member:
            for _ in range(512):
                member.write(bytes(MIB))
        packed.writestr("predictions.npy", b"")
    return buffer.getvalue().replace(struct.pack("<L", 512 * MIB), struct.pack("<L", 160))


def crowded() -> bytes:
    """As many members as fit into the limit."""
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 3, 20, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    directory = entry * ((LIMITS["reference.npz"] - 22) // len(entry))
    return directory + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 2, 2, len(directory), 0, 0)
