"""A part's Parquet is read back as it landed, and what somebody else put in its place is named."""

import io
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ratchet.errors import ForeignDocument
from ratchet.extraction.sufficiency import check_sufficiency
from ratchet.files import rows
from ratchet.files.part import landed
from ratchet.meters.kind import Source as Meters
from ratchet.sensors.kind import Source as Sensors
from ratchet.tabular.kind import Source as Records

from tests import filed
from tests.fakes import MemoryStore

FILE = "energy/incoming/a.csv"
CLICKS = "adclick/datasets/a.csv"
SENSORS, METERS, RECORDS = Sensors(filed.sensors()), Meters(filed.meters()), Records(filed.clicks())
PARTS = {
    "sensors": (SENSORS, "rul/landing/hours/dt=2026-11-20"),
    "meters": (METERS, f"energy/landing/readings/{METERS.name_of(FILE)}"),
    "records": (RECORDS, f"adclick/landing/records/{RECORDS.name_of(CLICKS)}"),
}


@pytest.fixture(scope="module")
def bodies() -> dict[str, bytes]:
    """A landed part of each source, and its document."""
    store = MemoryStore()
    filed.fleet(store, days=1)
    store.put(FILE, filed.csv_hours(filed.NOW, [60.0, None, 120.0]))
    store.put(CLICKS, filed.impressions("7,Ann,31,Male,,,,,1", "8,Bo,,,,,,,0"))
    for source, _ in PARTS.values():
        filed.landed(store, source.pipeline)
    return {key: store.objects[key].body for _, key in PARTS.values() for key in (f"{key}.parquet", f"{key}.json")}


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def with_column(name: str, change: Callable[[pa.ChunkedArray], pa.Array]) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(table.column_names.index(name), name, change(table[name]))


def filled(value: object) -> Callable[[pa.ChunkedArray], pa.Array]:
    """The first value of a column is another."""
    return lambda column: pa.array([value, *column.to_pylist()[1:]], column.type)


@pytest.mark.parametrize("kind", PARTS)
def test_a_part_is_read_as_it_landed(kind: str, bodies: dict[str, bytes], tmp_path: Path) -> None:
    source, key = PARTS[kind]
    body = bodies[f"{key}.parquet"]
    (tmp_path / "part").write_bytes(body)
    found = rows.read(source, body, key)
    assert found.equals(rows.read(source, tmp_path / "part", key))
    assert found.schema.equals(source.schema)
    assert found.num_rows == {"sensors": 72, "meters": 2, "records": 2}[kind]
    assert found.equals(pq.read_table(io.BytesIO(body)))


HARM: list[tuple[str, str, Callable[[pa.Table], pa.Table]]] = [
    ("sensors", "columns", lambda table: table.drop_columns(["hour"])),
    ("sensors", "columns", with_column("temperature_mean", lambda column: column.cast(pa.float32()))),
    ("meters", "columns", lambda table: table.append_column("at", table["at"])),
    ("sensors", "its hour", with_column("hour", filled(0))),
    ("sensors", "its temperature_std", with_column("temperature_std", filled(1e200))),
    ("sensors", "its temperature_count", with_column("temperature_count", filled(0))),
    ("sensors", "some measures of temperature", with_column("temperature_low", filled(None))),
    ("sensors", "nulls", with_column("zone_id", filled(None))),
    ("meters", "its value", with_column("value", filled(float("nan")))),
    ("meters", "its count", with_column("count", filled(1 << 50))),
    ("meters", "nulls", with_column("value", filled(None))),
    ("meters", "not in order", lambda table: table.take([1, 0])),
    ("meters", "step", lambda table: table.replace_schema_metadata({"step_minutes": "1"})),
    ("meters", "step", lambda table: table.replace_schema_metadata(None)),
    ("records", "its event_time", with_column("event_time", filled(0))),
    ("records", "its age", with_column("age", filled(float("inf")))),
    ("records", "its age", with_column("age", filled(121.0))),
    ("records", "its gender", with_column("gender", filled("male"))),
    ("records", "its group", with_column("group", filled("9" * 65))),
    ("records", "its click", with_column("click", filled(2))),
    ("records", "nulls", with_column("click", filled(None))),
    ("records", "there twice", lambda table: table.take([0, 0])),
]


@pytest.mark.parametrize(("kind", "told", "harm"), HARM, ids=[f"{kind}: {told}" for kind, told, _ in HARM])
def test_what_no_part_of_ours_holds_is_named(
    kind: str, told: str, harm: Callable[[pa.Table], pa.Table], bodies: dict[str, bytes]
) -> None:
    source, key = PARTS[kind]
    table = pq.read_table(io.BytesIO(bodies[f"{key}.parquet"]))
    with pytest.raises(ForeignDocument, match=f"{key} holds no rows of ours .*{told}.*move it away"):
        rows.read(source, parquet(harm(table)), key)


def test_a_few_bytes_that_stand_for_too_many_rows_are_refused(
    bodies: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, key = PARTS["meters"]
    monkeypatch.setattr(rows, "MOST_BYTES", 40)
    with pytest.raises(ForeignDocument, match="more than 40 bytes"):
        rows.read(source, bodies[f"{key}.parquet"], key)


@pytest.mark.parametrize("body", [b"", b"PAR1", b"no Parquet"])
def test_what_is_no_parquet_is_named(body: bytes) -> None:
    with pytest.raises(ForeignDocument, match="the/key holds no rows of ours"):
        rows.read(METERS, body, "the/key")


@pytest.mark.parametrize(
    ("kind", "word", "other", "told"),
    [
        ("sensors", b'"dt=2026-11-20"', b'"../x"', "of another name"),
        ("sensors", b'"machines"', b'"others"', "no day of Ratchet's .it has 'others'."),
        ("meters", b'"days": 1', b'"days": "1"', "no file of Ratchet's .its days is of another type."),
        ("meters", b'"rejected": {}', b'"rejected": {"a": "b"}', "counts what is no number"),
        ("records", b'"groups": 2', b'"groups": []', "no file of Ratchet's .its groups is of another type."),
    ],
)
def test_a_document_of_a_part_that_is_not_ours_is_named(
    kind: str, word: bytes, other: bytes, told: str, bodies: dict[str, bytes]
) -> None:
    source, key = PARTS[kind]
    store = MemoryStore()
    changed = bodies[f"{key}.json"].replace(word, other)
    assert changed != bodies[f"{key}.json"]
    store.put(f"{key}.json", changed)
    with pytest.raises(ForeignDocument, match=told):
        check_sufficiency(store, source.pipeline, filed.RUN, None, scheduled=False)


def test_a_document_of_a_part_is_read(bodies: dict[str, bytes]) -> None:
    source, key = PARTS["sensors"]
    store = MemoryStore()
    store.put(f"{key}.json", bodies[f"{key}.json"])
    (part,) = landed(store, source.pipeline.keys, source.table).values()
    assert (part.rows, part.records, part.about["sensors"]) == (72, 144, ["temperature"])
