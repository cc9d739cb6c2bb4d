"""Random changes to bytes and to JSON, one at a time, whatever the format around them."""

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

EDGES = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63]
"""Lengths and counts where what holds them ends."""
NUMBERS = ["NaN", "Infinity", "-Infinity", "1e400", "1e39", "1e-400", "-0", "9" * 5000, "18446744073709551616"]
"""As they stand in JSON, where its grammar, double precision or Python's limits end; written `@<index>@` until then."""
INSTANTS = ["2026-11-21", "now", "NaT", "infinity", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
INSTANTS += ["0000-01-01T00:00:00+00:00", "2026-11-21T04:00:00.1234567+00:00", "2026-02-30T00:00:00+00:00", "+00:00"]
TEXTS = [*INSTANTS, "", "\0", "\ud800", "ééé", "a\nb", "../x", "[1,2]", "{1,2}", "[[1,2],[3]]", "{" * 5000]


def of_bytes(rng: Random, data: bytes) -> bytes:
    """The same bytes with some flipped, overwritten, cut, repeated or put in."""
    return rng.choice(_WAYS)(rng, data)


def of_json(rng: Random, document: Any) -> Any:
    """The document with one of its values changed, dropped, doubled, renamed or nested."""
    if not isinstance(document, dict | list) or not document or rng.random() < 0.1:
        return rng.choice((value(rng), [document], f"{document}x"))
    if isinstance(document, dict):
        return _of_object(rng, dict(document))
    return _of_array(rng, list(document))


def dumps(document: Any) -> bytes:
    """JSON, with the numbers as they stand in `NUMBERS`."""
    return re.sub(r'"@(\d)@"', lambda found: NUMBERS[int(found[1])], json.dumps(document)).encode()


def value(rng: Random) -> Any:
    """A value of any type."""
    return _VALUES[rng.randrange(len(_VALUES))](rng)


def _of_object(rng: Random, document: dict[str, Any]) -> dict[str, Any]:
    name, way = rng.choice(list(document)), rng.random()
    held = document.pop(name)
    if way < 0.1:
        return document
    if way < 0.15:
        return {**document, rng.choice(TEXTS): held}
    return {**document, name: of_json(rng, held)}


def _of_array(rng: Random, document: list[Any]) -> list[Any]:
    at, way = rng.randrange(len(document)), rng.random()
    if way < 0.1:
        del document[at]
    elif way < 0.2:
        document.insert(rng.randrange(len(document) + 1), document[at])
    else:
        document[at] = of_json(rng, document[at])
    return document


def _nested(rng: Random) -> Any:
    nested: Any = 1
    for _ in range(rng.choice((1, 2, 30, 900))):
        nested = [nested] if rng.random() < 0.7 else {"a": nested}
    return nested


_VALUES: list[Callable[[Random], Any]] = [
    lambda rng: rng.choice((None, True, False)),
    lambda rng: rng.choice((0, -1, 2**31, 2**53 + 1, 2**63, -(2**63) - 1)),
    lambda rng: rng.uniform(-1e3, 1e3),
    lambda rng: f"@{rng.randrange(len(NUMBERS))}@",
    lambda rng: rng.choice(TEXTS),
    lambda rng: [value(rng) for _ in range(rng.randrange(4))],
    lambda rng: {rng.choice(TEXTS): value(rng)},
    _nested,
]


def _flip(rng: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8)) if data else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _put_number(rng: Random, data: bytes) -> bytes:
    size, at = rng.choice((1, 2, 4, 8)), rng.randrange(len(data) + 1)
    number = rng.choice((1, -1)) * rng.choice(EDGES) % (1 << 8 * size)
    return data[:at] + number.to_bytes(size, rng.choice(("little", "big"))) + data[at + size :]


def _cut(rng: Random, data: bytes) -> bytes:
    start, end = _span(rng, data)
    return data[:start] + rng.choice((b"", data[end:]))


def _repeat(rng: Random, data: bytes) -> bytes:
    start, end = _span(rng, data)
    at = rng.choice((end, rng.randrange(len(data) + 1)))
    return data[:at] + data[start:end] * rng.choice((1, 1, 3)) + data[at:]


def _insert(rng: Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    more = rng.randbytes(rng.choice((1, 4, 16))) if rng.random() < 0.9 else b"[" * 20_000
    return data[:at] + more + data[at:]


def _overwrite(rng: Random, data: bytes) -> bytes:
    start, end = _span(rng, data)
    return data[:start] + rng.choice((bytes(end - start), rng.randbytes(end - start))) + data[end:]


def _span(rng: Random, data: bytes) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 2, 4, 16, 64, 1024)))


_WAYS: list[Callable[[Random, bytes], bytes]] = [_flip, _flip, _put_number, _cut, _repeat, _insert, _overwrite]
