"""Bundles as an attacker would pack them: gzip stream, tar headers, document or arrays of a sound one tampered with."""

import gzip
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
from ratchet.errors import BadBundle
from ratchet.serving.bundle import LIMITS, read_bundle

from tests.bundles import document
from tests.faults.hostile import changes, references
from tests.faults.hostile.target import Target, name_of

MIB = 1 << 20
TYPES = [tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE]
ABOUT_ANOTHER = [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE]
PATHS = ["../model.onnx", "/etc/passwd", "./bundle.json", "a/model.onnx", "model.onnx/", "", ".", "x" * 99, *LIMITS]
PATHS += [
    "code/../model.onnx",
    "code/wheels/../../x.whl",
    "code/wheels/a/b.whl",
    "code/wheels/.whl",
    "code//inference.py",
]
PATHS += [
    "code/inference.py/",
    "code/wheels/x.whl\n",
    "/code/features.py",
    "code",
    "code/wheels",
    "code/train.py",
    "Code/x",
]
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


def archive(rng: Random) -> bytes:
    """One of them."""
    level, members = rng.random(), dict(SOUND)
    members |= {name: block(name, b"import os") for name in CODE if rng.random() < 0.25}
    if level < 0.2:
        body = changes.dumps(changes.of_json(rng, document()))
        members["bundle.json"] = block("bundle.json", changes.of_bytes(rng, body) if rng.random() < 0.3 else body)
    elif level < 0.4:
        members["reference.npz"] = block("reference.npz", references.reference(rng))
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


SOUND = {
    "bundle.json": block("bundle.json", json.dumps(document()).encode()),
    "model.onnx": block("model.onnx", b"onnx"),
    "reference.npz": block("reference.npz", references.SOUND),
}
CODE = ["code/inference.py", "code/features.py", "code/wheels/a-1-py3-none-any.whl"]


def _packed(*blocks: bytes, **members: bytes) -> bytes:
    """An archive of sound members, but for those given, after some other blocks."""
    found = {**SOUND, **{name.replace("_", "."): block(name.replace("_", "."), body) for name, body in members.items()}}
    return gzip.compress(b"".join([*blocks, *found.values(), bytes(1024)]), 1, mtime=0)


def _wheels(count: int, megabytes: int = 0) -> bytes:
    """An archive of a sound bundle with so many wheels of so many zeros."""
    sizes, names = bytes(megabytes * MIB), (f"code/wheels/w{number}.whl" for number in range(count))
    return gzip.compress(b"".join([*SOUND.values(), *(block(name, sizes) for name in names), bytes(1024)]), 1, mtime=0)


def _zeros(times: int) -> bytes:
    return gzip.compress(bytes(16 * MIB), 1, mtime=0) * times


BOMBS: tuple[Callable[[], bytes], ...] = (
    lambda: gzip.compress(_sized(block("about", b"", b"x"), 600 * MIB)) + _zeros(38),
    lambda: _packed() + _zeros(64),
    lambda: gzip.compress(_sized(block("model.pth", b""), 256 * MIB)) + _zeros(16) + _packed(),
    lambda: _packed(block("about", b"a", b"L") * 2_000),
    lambda: _packed(block("about", b"0" * 20 * MIB, b"x")),
    lambda: _packed(bundle_json=b"[" * LIMITS["bundle.json"]),
    lambda: _packed(bundle_json=b"9" * LIMITS["bundle.json"]),
    lambda: _packed(bundle_json=b'{"inputs": [' + b"{}, " * 250_000 + b"{}]}"),
    lambda: _packed(reference_npz=references.swollen()),
    lambda: _packed(reference_npz=references.crowded()),
    lambda: _wheels(96),
    lambda: _wheels(98),
    lambda: _wheels(3, 64),
    lambda: _packed(_sized(block("code/wheels/w.whl", b""), 65 * MIB)),
    lambda: _packed(block("code/", b"", tarfile.DIRTYPE), block("code/wheels", b"../..", tarfile.SYMTYPE)),
    lambda: _packed(*(block(f"code/wheels/w{number}.whl", b"") for number in range(2)), block(CODE[0], b"", b"2")),
    lambda: gzip.compress(b"".join(_sized(block(f"code/wheels/{at}.whl", b""), 64 * MIB) for at in "a")) + _zeros(40),
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
