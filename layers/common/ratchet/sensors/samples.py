"""A sensor file: JSON Lines in, samples as arrays out; lines that break the contract are counted, never guessed at.

A file of flat objects, one a line, is read by Arrow's reader in one go; it crashes on some other texts, which it is not
given. They, and what it refuses, are read line by line instead: one bad line costs the file its speed and nothing else.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
from numpy.typing import NDArray

from ratchet.instants import plausible
from ratchet.sensors.layout import IDENTIFIER, Layout

FIELDS = {"zoneId": pa.string(), "equipId": pa.string(), "sensorType": pa.string(), "val": pa.float64()}
FIELDS |= {"category": pa.string(), "time": pa.string()}
HOUR = 3_600_000_000
"""In microseconds."""
LARGEST = 1e100
"""Of a value, whose square is summed up."""
BLOCK_BYTES = 1 << 22
Machine = tuple[str, str]
"""Zone and equipment."""


@dataclass(frozen=True)
class Samples:
    """N samples: `machine` and `sensor` are numbers in `machines` and the layout, `at` microseconds since the epoch."""

    machines: list[Machine]
    machine: NDArray[np.int64]
    sensor: NDArray[np.int64]
    at: NDArray[np.int64]
    value: NDArray[np.float64]
    ignored: Counter[str]
    """Records that are none of the layout's business, by the reason."""
    rejected: Counter[str]
    """Records that should have been samples and are none, by the reason."""


def read(body: bytes, layout: Layout) -> Samples:
    """The samples in a file. Raises nothing: whatever is wrong with the file is in the counts."""
    broken: Counter[str] = Counter()
    table = _read_lines(body) if _is_flat(body) else None
    return _samples(_read_each(body, broken) if table is None else table, layout, broken)


def _is_flat(body: bytes) -> bool:
    """Whether each line is one pair of braces, or blank."""
    lines = [line for line in body.split(b"\n") if line and not line.isspace()]
    whole = all(line[:1] == b"{" and line.rstrip()[-1:] == b"}" for line in lines)
    return whole and body.count(b"{") == body.count(b"}") == len(lines)


def _read_lines(body: bytes) -> pa.Table | None:
    """What Arrow makes of it, None where it refuses."""
    parse = pyarrow.json.ParseOptions(explicit_schema=pa.schema(FIELDS), unexpected_field_behavior="ignore")
    read = pyarrow.json.ReadOptions(use_threads=False, block_size=min(max(len(body), 1), BLOCK_BYTES))
    if not body or body.isspace():
        return pa.schema(FIELDS).empty_table()
    try:
        table = pyarrow.json.read_json(pa.BufferReader(body), read, parse)
        table.validate(full=True)
    except pa.ArrowException:
        return None
    return table


def _read_each(body: bytes, broken: Counter[str]) -> pa.Table:
    records = list(_each(body, broken))
    arrays = {name: pa.array([record[name] for record in records], kind) for name, kind in FIELDS.items()}
    return pa.table(arrays)


def _each(body: bytes, broken: Counter[str]) -> Iterator[dict[str, str | float | None]]:
    """The records one by one, with None for what is of another type than it should be."""
    lines = body.splitlines()
    if body.lstrip()[:1] == b"[":
        found = _parsed(body)
        lines = [json.dumps(each).encode() for each in found] if isinstance(found, list) else lines
    for line in lines:
        if not line.strip():
            continue
        record = _parsed(line)
        if not isinstance(record, dict):
            broken["no JSON object"] += 1
            continue
        yield {name: _typed(record.get(name), kind) for name, kind in FIELDS.items()}


def _parsed(text: bytes) -> object:
    try:
        return json.loads(text.decode(), parse_constant=lambda name: None)
    except (ValueError, RecursionError):
        return None


def _typed(value: object, kind: pa.DataType) -> str | float | None:
    try:
        if kind == pa.string():
            # Half a character is no text.
            return value if isinstance(value, str) and value.encode() is not None else None
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    except (UnicodeEncodeError, OverflowError):
        return None


def _samples(table: pa.Table, layout: Layout, rejected: Counter[str]) -> Samples:
    """The rows that are samples of the layout's sensors; the first fault of any other is its reason."""
    columns = {name: table[name].combine_chunks() for name in FIELDS}
    category = _coded(columns["category"], lambda text: 0 if text == layout.category else -1)
    numbers = layout.numbers
    sensor = _coded(columns["sensorType"], lambda text: numbers.get(text, -1))
    others, unknown = category == -1, sensor == -1
    ignored = Counter({"another category": int(others.sum()), "another sensor": int((unknown & ~others).sum())})
    left = ~(others | unknown)
    at, no_time = _instants(columns["time"], layout.time_zone)
    machine, machines, malformed = _machines(columns["zoneId"], columns["equipId"])
    value = columns["val"].to_numpy(zero_copy_only=False)
    faults = {
        "category is missing": category == -2,
        "sensorType is missing": sensor == -2,
        "zoneId or equipId is malformed": malformed,
        "time is no instant": no_time,
        "val is no number": ~(np.abs(value) <= LARGEST),
    }
    for reason, faulty in faults.items():
        rejected[reason] += int((left & faulty).sum())
        left &= ~faulty
    return Samples(machines, machine[left], sensor[left], at[left], value[left], +ignored, +rejected)


def _coded(column: pa.Array, code: Callable[[str], int]) -> NDArray[np.int64]:
    """A number for each text, asked for once per different text; -2 where there is none."""
    encoded = column.dictionary_encode()
    codes = np.array([code(text) for text in encoded.dictionary.to_pylist()] + [-2], np.int64)
    coded: NDArray[np.int64] = codes[encoded.indices.fill_null(len(codes) - 1).to_numpy()]
    return coded


def _machines(zones: pa.Array, machines: pa.Array) -> tuple[NDArray[np.int64], list[Machine], NDArray[np.bool_]]:
    """The number of each row's machine, the machines, and where an identifier is missing or cannot be part of a key."""
    codes, texts, malformed = [], [], np.zeros(len(zones), np.bool_)
    for column in (zones, machines):
        encoded = column.dictionary_encode()
        texts.append([*encoded.dictionary.to_pylist(), ""])
        codes.append(encoded.indices.fill_null(len(texts[-1]) - 1).to_numpy().astype(np.int64))
        malformed |= np.array([not IDENTIFIER.fullmatch(text) for text in texts[-1]])[codes[-1]]
    pairs, inverse = np.unique(codes[0] * len(texts[1]) + codes[1], return_inverse=True)
    named = [(texts[0][pair // len(texts[1])], texts[1][pair % len(texts[1])]) for pair in pairs.tolist()]
    return inverse.astype(np.int64), named, malformed


def _instants(column: pa.Array, zone: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Microseconds since the epoch, and which are none; local times that come twice in a year are the first ones."""
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            found = pc.cast(column, kind)
            break
        except pa.ArrowException:
            continue
    else:
        return _instants_each(column, zone)
    missing = found.is_null().to_numpy(zero_copy_only=False)
    micros = found.fill_null(0).cast(pa.int64()).to_numpy()
    if found.type.tz:
        return micros, missing | ~plausible(micros)
    hours, which = np.unique(micros // HOUR, return_inverse=True)
    offsets = np.array([_offset(int(hour), zone) for hour in hours.tolist()], np.int64)
    at = micros - offsets[which]
    return at, missing | ~plausible(at)


def _instants_each(column: pa.Array, zone: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    at, missing = np.zeros(len(column), np.int64), np.zeros(len(column), np.bool_)
    for index, text in enumerate(column.to_pylist()):
        try:
            found = datetime.fromisoformat(text)
            found = found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))
            at[index] = (found - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        except (ValueError, TypeError, OverflowError):
            missing[index] = True
    return at, missing | ~plausible(at)


def _offset(hour: int, zone: str) -> int:
    """Microseconds by which an hour of local time, counted since 1970, is ahead of UTC."""
    try:
        local = datetime(1970, 1, 1) + timedelta(hours=hour)
        ahead = local.replace(tzinfo=ZoneInfo(zone)).utcoffset()
    except OverflowError:
        return 0
    return (ahead or timedelta()) // timedelta(microseconds=1)
