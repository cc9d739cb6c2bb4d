"""Bundles as an attacker would pack them: gzip stream, tar headers, document or arrays of a sound one tampered with."""

import gzip
import io
import json
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
from ratchet.errors import BadBundle
from ratchet.serving.bundle import LIMITS, read_bundle

from tests.bundles import document
from tests.faults.hostile import changes
from tests.faults.hostile.target import Target, name_of

MIB = 1 << 20
TYPES = [tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE]
ABOUT_ANOTHER = [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE]
PATHS = ["../model.onnx", "/etc/passwd", "./bundle.json", "a/model.onnx", "model.onnx/", "", ".", "x" * 99, *LIMITS]
SIZES = [0, 1, 2**33, -1, -512, 300 * MIB, 1 << 62]
RECORDS = [
    b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n",
    b"22 GNU.sparse.map=a,b\n",
    b"32 GNU.sparse.realsize=20000000\n",
    b"13 size=-512\n",
    b"20 size=99999999999\n",
    b"13 path=../x\n",
    b"0" * 20_000,
]
"""What a header about the next one may say: maps of holes, sizes, paths, and nothing that makes sense."""
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


def archive(rng: Random) -> bytes:
    """One of them."""
    level, members = rng.random(), dict(SOUND)
    if level < 0.2:
        body = changes.dumps(changes.of_json(rng, document()))
        members["bundle.json"] = block("bundle.json", changes.of_bytes(rng, body) if rng.random() < 0.3 else body)
    elif level < 0.4:
        members["reference.npz"] = block("reference.npz", reference(rng))
    blocks = list(members.values())
    if 0.4 <= level < 0.95:
        blocks = tampered(rng, members)
    tar = b"".join(blocks) + bytes(rng.choice((1024, 1024, 1024, 512, 0, 9216)))
    if 0.8 < level < 0.95:
        tar = changes.of_bytes(rng, tar)
    packed = gzip.compress(tar, 0, mtime=0)
    return packed if level < 0.95 else changes.of_bytes(rng, packed)


def tampered(rng: Random, members: dict[str, bytes]) -> list[bytes]:
    """The blocks of an archive, some changed, out of order or there twice."""
    blocks = [rng.choice(HARM)(rng, one) if rng.random() < 0.4 else one for one in members.values()]
    if rng.random() < 0.3:
        rng.shuffle(blocks)
    return blocks + ([rng.choice(blocks)] if rng.random() < 0.2 else [])


def block(name: str, body: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A member with its header."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.size = kind, len(body)
    return entry.tobuf(tarfile.USTAR_FORMAT) + body + bytes(-len(body) % 512)


def checked(header: bytes) -> bytes:
    """A header of whatever length as 512 bytes with the checksum they ask for."""
    header = header[:512].ljust(512, b"\0")
    return header[:148] + b"%06o\0" % (256 + sum(header[:148]) + sum(header[156:])) + header[155:]


def _renamed(rng: Random, one: bytes) -> bytes:
    name = rng.choice((rng.choice(PATHS).encode(), rng.randbytes(20)))
    return checked(name.ljust(100, b"\0") + one[100:512]) + one[512:]


def _retyped(rng: Random, one: bytes) -> bytes:
    return checked(one[:156] + rng.choice((*TYPES, *ABOUT_ANOTHER, b"?")) + one[157:512]) + one[512:]


def _resized(rng: Random, one: bytes) -> bytes:
    return _sized(one, rng.choice(SIZES))


def _sized(one: bytes, size: int) -> bytes:
    return checked(one[:124] + tarfile.itn(size, 12, tarfile.GNU_FORMAT) + one[136:512]) + one[512:]


def _preceded(rng: Random, one: bytes) -> bytes:
    return block("about", rng.choice(RECORDS), rng.choice(ABOUT_ANOTHER)) * rng.choice((1, 1, 2, 40)) + one


def _reheaded(rng: Random, one: bytes) -> bytes:
    return checked(changes.of_bytes(rng, one[:512])) + one[512:]


def _rewritten(rng: Random, one: bytes) -> bytes:
    return one[:512] + changes.of_bytes(rng, one[512:])


HARM: list[Callable[[Random, bytes], bytes]] = [_renamed, _retyped, _resized, _preceded, _reheaded, _rewritten]


def reference(rng: Random) -> bytes:
    """A reference.npz with its bytes, the numbers of its directory, or its arrays' heads changed."""
    way = rng.random()
    if way < 0.3:
        return changes.of_bytes(rng, REFERENCE)
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
    data, magic = bytearray(REFERENCE), rng.choice((b"PK\3\4", b"PK\1\2", b"PK\5\6"))
    starts = [at for at in range(len(data)) if data.startswith(magic, at)]
    at, size = rng.choice(starts) + 4 + 2 * rng.randrange(18), rng.choice((2, 4))
    number = rng.choice((0, 1, 8, 9, 12, 14, 45, 99, *changes.EDGES)) % (1 << 8 * size)
    data[at : at + size] = number.to_bytes(size, "little")
    return bytes(data)


def _sound_reference() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, features=np.ones((2, 4), "f4"), predictions=np.zeros((2, 6), "f4"))
    return buffer.getvalue()


REFERENCE = _sound_reference()
SOUND = {
    "bundle.json": block("bundle.json", json.dumps(document()).encode()),
    "model.onnx": block("model.onnx", b"onnx"),
    "reference.npz": block("reference.npz", REFERENCE),
}


def _packed(*blocks: bytes, **members: bytes) -> bytes:
    """An archive of sound members, but for those given, after some other blocks."""
    found = {**SOUND, **{name.replace("_", "."): block(name.replace("_", "."), body) for name, body in members.items()}}
    return gzip.compress(b"".join([*blocks, *found.values(), bytes(1024)]), 1, mtime=0)


def _zeros(times: int) -> bytes:
    return gzip.compress(bytes(16 * MIB), 1, mtime=0) * times


def _swollen_array() -> bytes:
    """Half a GiB of zeros whose directory says that they are few."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        with packed.open("features.npy", "w") as member:
            for _ in range(512):
                member.write(bytes(MIB))
        packed.writestr("predictions.npy", b"")
    return buffer.getvalue().replace(struct.pack("<L", 512 * MIB), struct.pack("<L", 160))


def _swollen_directory() -> bytes:
    """As many members as fit into the limit."""
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 3, 20, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    directory = entry * ((LIMITS["reference.npz"] - 22) // len(entry))
    return directory + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 2, 2, len(directory), 0, 0)


BOMBS: tuple[Callable[[], bytes], ...] = (
    lambda: gzip.compress(_sized(block("about", b"", b"x"), 600 * MIB)) + _zeros(38),
    lambda: _packed() + _zeros(64),
    lambda: gzip.compress(_sized(block("model.pth", b""), 256 * MIB)) + _zeros(16) + _packed(),
    lambda: _packed(block("about", b"a", b"L") * 2_000),
    lambda: _packed(block("about", b"0" * 20 * MIB, b"x")),
    lambda: _packed(bundle_json=b"[" * LIMITS["bundle.json"]),
    lambda: _packed(bundle_json=b"9" * LIMITS["bundle.json"]),
    lambda: _packed(bundle_json=b'{"inputs": [' + b"{}, " * 250_000 + b"{}]}"),
    lambda: _packed(reference_npz=_swollen_array()),
    lambda: _packed(reference_npz=_swollen_directory()),
)


ARCHIVED, FOLDER = Path("model.tar.gz"), Path("unpacked")


def check(data: bytes) -> str:
    """Reads it as training and evaluation do; no other file may appear, and none stay of a bundle that was refused."""
    ARCHIVED.write_bytes(data)
    try:
        read = read_bundle(ARCHIVED, FOLDER, "returns")
    except BadBundle as error:
        assert not [*os.scandir(FOLDER)]
        return name_of(error)
    finally:
        assert {each.name for each in os.scandir()} == {ARCHIVED.name, FOLDER.name}
    try:
        features, predictions = read.reference()
    except BadBundle as error:
        return f"{name_of(error)} (reference)"
    finally:
        for path in FOLDER.iterdir():
            assert path.name in LIMITS
            path.unlink()
    assert features.dtype == predictions.dtype == np.float32
    assert predictions.shape == (len(features), len(read.document["targets"]))
    return "bundle"


ARCHIVE = Target(archive, check, BOMBS)
