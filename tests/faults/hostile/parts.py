"""Parts of files that somebody replaced in the landing area: Parquet as others would write it, in place of ours."""

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ratchet.errors import ForeignDocument
from ratchet.files import rows
from ratchet.files.kind import Kind
from ratchet.files.land import land
from ratchet.files.span import Span
from ratchet.meters.kind import Source as Meters
from ratchet.sensors.kind import Source as Sensors
from ratchet.sources import SensorFiles
from ratchet.tabular.kind import Source as Records

from tests import filed
from tests.fakes import MemoryStore
from tests.faults.hostile.parquet import FIRST, hostile
from tests.faults.hostile.target import Target, name_of

UNTIL = datetime(2026, 11, 25, tzinfo=UTC)
DAY, FILE, TABLE = "2026-11-20", "energy/incoming/readings.csv", "adclick/datasets/a.csv"


def _sensors() -> Sensors:
    """Two sensors: what a reader does for each does not depend on how many there are."""
    pipeline = filed.sensors()
    source = pipeline.source_as(SensorFiles)
    few = {name: source.sensors[name] for name in ("temperature", "humidity")}
    return Sensors(replace(pipeline, source=replace(source, sensors=few, failures=[])))


SOURCES: list[tuple[Kind, str]] = [
    (_sensors(), f"dt={DAY}"),
    (Meters(filed.meters()), FILE),
    (Records(filed.clicks()), TABLE),
]
"""Sources, each with what it makes a part of."""


def _landed(source: Any, asked: str) -> bytes:
    """A sound part, with rows that can be learned from: hours before the cap, and a week before an origin."""
    store, midnight = MemoryStore(), datetime(2026, 11, 19, 15, tzinfo=UTC)
    told = [(0, "temp", 70.0), (1, "humid", 40.0), (22, "temp", 75.0)]
    records = [filed.record("m1", midnight + timedelta(hours=hour), value, sensor) for hour, sensor, value in told]
    filed.write_day(store, DAY, records)
    store.put(FILE, filed.csv_hours(midnight - timedelta(days=5), [60.0] * 24 * 9))
    store.put(TABLE, filed.impressions(*filed.people(20)))
    name = source.name_of(asked)
    land(store, store, source.pipeline, name)
    return store.objects[source.pipeline.keys.part(source.table, name)].body


MAKERS: list[Callable[[Random], bytes]] = []
for each in SOURCES:
    ours = _landed(*each)
    MAKERS.append(hostile(ours, pq.read_schema(pa.BufferReader(ours))))


def part(rng: Random) -> bytes:
    """One of them, after a byte that says which source it is a part of."""
    which = rng.randrange(len(SOURCES))
    return bytes([which]) + MAKERS[which](rng)


def check(data: bytes) -> str:
    """Reads it as preparation and scoring do; what is read can be learned from."""
    source, _ = SOURCES[data[0]]
    try:
        found = rows.read(source, data[1:], "the/key")
    except ForeignDocument as error:
        return name_of(error)
    made = source.examples(iter([found]), Span(), UNTIL)
    assert len(made.base_ts) == len(made.features) == len(made.targets)
    assert np.isfinite(made.targets).all()
    return "rows to learn from" if len(made.base_ts) else "rows"


def _meter(at: pa.Array, count: int, step: str = "60") -> bytes:
    """Readings at these instants, `count` times over."""
    declared = Meters.schema.with_metadata({"step_minutes": step})
    ones = pa.array(np.ones(len(at)))
    table = pa.Table.from_arrays([at, ones, pa.array(np.ones(len(at), np.int64))], schema=declared)
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, declared, compression="zstd") as writer:
        for _ in range(count):
            writer.write_table(table)
    return b"\1" + sink.getvalue()


def _instants(*micros: int) -> pa.Array:
    return pa.array(np.array(micros, np.int64)).cast(Meters.schema.field("at").type)


REPLACED = Target(
    part,
    check,
    (
        # A few hundred kilobytes that stand for gigabytes of rows, and two rows that stand for a series as long.
        lambda: _meter(_instants(*[FIRST] * 1_000_000), 60),
        lambda: _meter(_instants(-(1 << 62), 1 << 62), 1),
        lambda: _meter(_instants(FIRST - 50_000_000_000_000, FIRST), 1, "1"),
        lambda: _meter(_instants(FIRST - 700_000_000_000_000, FIRST - 1), 1),
    ),
)
