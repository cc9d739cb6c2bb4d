"""Parquet that no writer of ours made: our files with their bytes tampered with, and others of nearly their columns."""

import hashlib
import io
import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ratchet.errors import BadInput, ContractError, ForeignDocument
from ratchet.extraction.columns import length
from ratchet.extraction.source import Rejected
from ratchet.sources import Table
from ratchet.tables import holdout, landing_file, training_data, training_file

from tests.faults.hostile import changes
from tests.faults.hostile.target import Target, name_of

TABLE = Table("ts", {"ts": "timestamp", "vector": "float32[4]", "value": "float64", "note": "text"})
FIRST = 1_795_233_600_000_000
TARGETS = ["up", "down"]
HELD_OUT = training_file.schema(TARGETS, 4)
TRAIN = training_file.schema(TARGETS, 4, "part")
CODECS = ["none", "snappy", "gzip", "brotli", "zstd", "lz4"]
KINDS = [
    *(pa.int64(), pa.int32(), pa.float16(), pa.float32(), pa.float64(), pa.bool_(), pa.null(), pa.date32()),
    *(pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string()), pa.decimal128(20, 3)),
    *(pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.timestamp("ns", "UTC"), pa.timestamp("us", "Europe/Berlin")),
    *(
        pa.list_(pa.float32()),
        pa.list_(pa.float32(), 3),
        pa.list_(pa.float64(), 4),
        pa.list_(pa.list_(pa.float32()), 4),
    ),
    pa.struct([("a", pa.int32())]),
]


def hostile(ours: bytes, declared: pa.Schema) -> Callable[[Random], bytes]:
    """Makes files to put in the place of one of ours."""

    def make(rng: Random) -> bytes:
        body = ours if rng.random() < 0.6 else rng.choice(_others(declared))
        return body if rng.random() < 0.2 else _tampered(rng, body)

    return make


def _tampered(rng: Random, body: bytes) -> bytes:
    """The footer says where everything lies and how it is packed: changes there count for more than among values."""
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        size = int.from_bytes(body[-8:-4], "little")
        if rng.random() < 0.6 and 8 <= size <= len(body) - 8:
            footer = changes.of_bytes(rng, body[-8 - size : -8])
            body = body[: -8 - size] + footer + len(footer).to_bytes(4, "little") + b"PAR1"
        else:
            body = changes.of_bytes(rng, body)
    return body


@cache
def _others(declared: pa.Schema) -> list[bytes]:
    """Sound files whose columns are nearly the declared ones, packed in every way."""
    return [_other(Random(number), declared) for number in range(500)]


def _other(rng: Random, declared: pa.Schema) -> bytes:
    count = rng.choice((0, 1, 3, 3, 50))
    kept = [field for field in declared if rng.random() < 0.97]
    kinds = [_nullable(field.type) if rng.random() < 0.8 else rng.choice(KINDS) for field in kept]
    columns = [_column(rng, kind, count) for kind in kinds]
    names = [field.name if rng.random() < 0.98 else rng.choice(declared.names) for field in kept]
    sink = io.BytesIO()
    pq.write_table(
        pa.Table.from_arrays(columns, names=names),
        sink,
        compression=rng.choice(CODECS),
        use_dictionary=rng.random() < 0.5,
        data_page_version=rng.choice(("1.0", "2.0")),
        row_group_size=rng.choice((1, 2, 1000)),
        store_schema=rng.random() < 0.8,
    )
    return sink.getvalue()


def _nullable(kind: pa.DataType) -> pa.DataType:
    return pa.list_(kind.value_type, kind.list_size) if pa.types.is_fixed_size_list(kind) else kind


def _column(rng: Random, kind: pa.DataType, count: int) -> pa.Array:
    if kind == pa.timestamp("us", "UTC") and rng.random() < 0.7:
        return pa.array(FIRST + np.arange(count)).cast(kind)
    nulls = rng.choice((0, 0, 0, 0.2))
    return pa.array([None if rng.random() < nulls else _cell(rng, kind) for _ in range(count)], kind)


def _cell(rng: Random, kind: pa.DataType) -> Any:
    if pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind):
        size = kind.list_size if pa.types.is_fixed_size_list(kind) else rng.randrange(5)
        return [_cell(rng, kind.value_type) for _ in range(size)]
    if pa.types.is_struct(kind):
        return {"a": 1}
    if pa.types.is_floating(kind):
        return rng.choice((0.5, float("nan"), float("inf"), -1.0))
    if pa.types.is_decimal(kind) or pa.types.is_null(kind):
        return None
    if pa.types.is_binary(kind):
        return b"\xff"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        return rng.choice(("", "train", "validation", "é" * 100))
    return rng.choice((True, False) if pa.types.is_boolean(kind) else (0, 1))


def _landed() -> bytes:
    keys = np.array(FIRST + np.arange(3)).view("datetime64[us]")
    vectors = np.arange(12, dtype="f4").reshape(3, 4)
    notes = np.array(["a", "", "b"], object)
    return landing_file.write(TABLE, {"ts": keys, "vector": vectors, "value": np.ones(3), "note": notes})


def check_landed(body: bytes) -> str:
    """Reads it as merging does, and writes what was read."""
    try:
        columns = landing_file.read(TABLE, body, "the/key")
    except ForeignDocument as error:
        return name_of(error)
    rows = length(columns)
    assert [columns[name].shape for name in TABLE.columns] == [(rows,), (rows, 4), (rows,), (rows,)]
    assert (columns["ts"][1:] > columns["ts"][:-1]).all()
    landing_file.write(TABLE, columns)
    return "rows"


def check_rejected(body: bytes) -> str:
    """Reads it as landing does, and writes what was read."""
    try:
        rows = landing_file.read_rejected(body, "the/key")
    except ForeignDocument as error:
        return name_of(error)
    landing_file.write_rejected(rows)
    return "rows"


def _prepared(declared: pa.Schema, texts: dict[str, Any]) -> bytes:
    instants = FIRST + np.arange(3)
    rows = training_file.batch(declared, instants, instants, np.ones((3, 2)), np.ones((3, 4), "f4"), texts)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "prepared.parquet")
        with training_file.RowGroups(path, declared) as file:
            file.write(rows)
        return path.read_bytes()


def check_holdout(body: bytes) -> str:
    """Reads it as the evaluation does."""
    path = Path("holdout.parquet")
    path.write_bytes(body)
    try:
        for batch in holdout.read(path, TARGETS):
            rows = len(batch.minutes)
            assert (batch.realised.shape, batch.features.shape) == ((rows, 2), (rows, batch.features.shape[1]))
        holdout.count(path)
    except ContractError as error:
        return name_of(error)
    return "rows"


def check_train(body: bytes) -> str:
    """Reads it as a training job does, with a manifest that vouches for it."""
    Path("train.parquet").write_bytes(body)
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    manifest = {"digests": {"train": digest}, "targets": dict.fromkeys(TARGETS), "feature_dim": 4}
    Path("manifest.json").write_text(json.dumps(manifest))
    try:
        data = training_data.read(Path())
    except BadInput as error:
        return name_of(error)
    assert all(data.x[part].shape == (len(data.y[part]), 4) for part in ("train", "validation"))
    return "rows"


def _zeros(millions: int) -> bytes:
    """So many rows in a few hundred kilobytes."""
    count = 1_000_000
    instants = pa.array(np.zeros(count, np.int64)).cast(pa.timestamp("us", "UTC"))
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(4 * count, np.float32)), 4)
    texts = pa.array([""]).take(pa.array(np.zeros(count, np.int32)))
    table = pa.Table.from_arrays([instants, vectors, pa.array(np.zeros(count)), texts], names=list(TABLE.columns))
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema, compression="zstd") as writer:
        for _ in range(millions):
            writer.write_table(table)
    return sink.getvalue()


LANDED = Target(hostile(_landed(), landing_file.schema(TABLE)), check_landed, (lambda: _zeros(9), lambda: _zeros(6)))
REJECTED = Target(
    hostile(landing_file.write_rejected([Rejected("k", "is null", "{}")] * 2), landing_file.REJECTED), check_rejected
)
HOLDOUT = Target(hostile(_prepared(HELD_OUT, {}), HELD_OUT), check_holdout)
TRAINING = Target(hostile(_prepared(TRAIN, {"part": np.array(["train", "train", "validation"])}), TRAIN), check_train)
