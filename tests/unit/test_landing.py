"""Landing files: the same rows give the same bytes, nothing is lost on the way, writers do not overwrite each other."""

import io
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ratchet.errors import BadConfiguration, ForeignDocument, Unavailable
from ratchet.extraction.columns import changes, empty, merge, take
from ratchet.extraction.landing import Batch, survey
from ratchet.extraction.source import Rejected
from ratchet.keys import Keys
from ratchet.sources import Table
from ratchet.tables import landing_file

from tests.fakes import MemoryStore

TABLE = Table("ts", {"ts": "timestamp", "vector": "float32[3]", "value": "float64", "note": "text"})
DAY = date(1970, 1, 1)
KEYS = Keys("p/")


def rows(*keys, value=0.5):
    columns = empty(TABLE, len(keys))
    columns["ts"][:] = np.array(keys, "datetime64[us]")
    columns["vector"][:] = np.array(keys)[:, None] + [0, 0.25, 0.5] if keys else 0
    columns["value"][:] = value
    columns["note"][:] = "ö"
    return columns


def same(one, other):
    return all(np.array_equal(one[name], other[name]) for name in TABLE.columns)


def test_rows_come_back_as_they_were_written():
    columns = rows(1, 2, 86_399_999_999)
    assert same(landing_file.read(TABLE, landing_file.write(TABLE, columns), "k"), columns)


def test_the_same_rows_are_the_same_bytes_and_floats_are_stored_split(tmp_path):
    path = tmp_path / "day.parquet"
    path.write_bytes(landing_file.write(TABLE, rows(1, 2)))
    assert path.read_bytes() == landing_file.write(TABLE, rows(1, 2))
    group = pq.ParquetFile(path).metadata.row_group(0)
    assert "BYTE_STREAM_SPLIT" in group.column(1).encodings
    assert str(pq.read_schema(path).field("ts").type) == "timestamp[us, tz=UTC]"


def test_a_day_without_rows_is_a_file_too():
    assert len(landing_file.read(TABLE, landing_file.write(TABLE, rows()), "k")["ts"]) == 0


@pytest.mark.parametrize("body", [b"", b"not parquet", landing_file.write_rejected([])[:40]])
def test_a_file_that_is_not_ours_is_named(body):
    with pytest.raises(ForeignDocument, match="the/key"):
        landing_file.read(TABLE, body, "the/key")


def test_a_file_whose_vectors_were_declared_nullable_is_read():
    columns = rows(1, 2)
    written = pq.read_table(io.BytesIO(landing_file.write(TABLE, columns)))
    fields = [
        pa.field(field.name, pa.list_(pa.float32(), field.type.list_size))
        if pa.types.is_fixed_size_list(field.type)
        else field
        for field in written.schema
    ]
    older = io.BytesIO()
    pq.write_table(written.cast(pa.schema(fields)), older)
    assert same(landing_file.read(TABLE, older.getvalue(), "k"), columns)


@pytest.mark.parametrize("at", [4, -20], ids=["a page", "the footer"])
def test_a_file_that_is_damaged_within_is_named(at):
    body = bytearray(landing_file.write(TABLE, rows(1, 2)))
    body[at] ^= 0xFF
    with pytest.raises(ForeignDocument, match="the/key"):
        landing_file.read(TABLE, bytes(body), "the/key")


def file_of(**columns):
    sink = io.BytesIO()
    sound = pq.read_table(io.BytesIO(landing_file.write(TABLE, rows(1, 2))))
    for name, values in columns.items():
        index = sound.column_names.index(name)
        sound = sound.set_column(index, name, pa.array(values, sound.schema.field(name).type))
    pq.write_table(sound, sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"ts": [2, 1]}, "order of their keys"),
        ({"ts": [1, 1]}, "order of their keys"),
        ({"ts": [1, None]}, "nulls"),
        ({"value": [None, 1.0]}, "nulls"),
    ],
    ids=["out of order", "a key twice", "a row without a key", "a missing value"],
)
def test_rows_that_cannot_have_landed_are_named(columns, says):
    with pytest.raises(ForeignDocument, match=says):
        landing_file.read(TABLE, file_of(**columns), "k")


def test_more_rows_than_can_be_merged_are_named_before_they_are_in_memory(monkeypatch):
    monkeypatch.setattr(landing_file, "LARGEST", 100)
    body = landing_file.write(TABLE, rows(*range(10)))
    with pytest.raises(ForeignDocument, match="more than 100 bytes"):
        landing_file.read(TABLE, body, "k")


@pytest.mark.parametrize("body", [b"", landing_file.write_rejected([])[:-20], landing_file.write(TABLE, rows(1))])
def test_a_file_of_rejected_rows_that_is_not_ours_is_named(body):
    with pytest.raises(ForeignDocument, match="the/key"):
        landing_file.read_rejected(body, "the/key")


def test_a_file_with_other_columns_is_named():
    other = Table("ts", {**TABLE.columns, "value": "text"})
    with pytest.raises(ForeignDocument, match="other columns"):
        landing_file.read(other, landing_file.write(TABLE, rows(1)), "k")


@pytest.mark.parametrize("kind", ["float32[0]", "int", "float32[]"])
def test_an_unknown_column_type_is_a_bad_configuration(kind):
    with pytest.raises(BadConfiguration, match="no column type"):
        empty(Table("ts", {"ts": "timestamp", "x": kind}))


def test_a_key_that_is_no_timestamp_is_a_bad_configuration():
    with pytest.raises(BadConfiguration, match="key 'id'"):
        empty(Table("id", {"id": "float64"}))


STATE = st.dictionaries(st.integers(0, 12), st.integers(0, 2), max_size=8)


@given(STATE, STATE, st.sets(st.integers(0, 12)))
def test_merging_is_what_dictionaries_do(old, new, dropped):
    dropped -= new.keys()

    def columns(state):
        found = rows(*sorted(state))
        found["value"][:] = [state[key] for key in sorted(state)]
        return found

    merged, changed = merge(columns(old), columns(new), "ts", without=np.array(sorted(dropped), "datetime64[us]"))
    expected = {key: value for key, value in {**old, **new}.items() if key not in dropped}
    assert same(merged, columns(expected))
    assert changed == sum(old.get(key) != expected.get(key) for key in old.keys() | expected.keys())
    assert changed == changes(columns(old), merged, "ts")


def test_landing_twice_writes_once():
    store = MemoryStore()
    first = survey(store, KEYS, "t", TABLE).land(DAY, Batch(rows(1, 2)))
    again = survey(store, KEYS, "t", TABLE).land(DAY, Batch(rows(1, 2)))
    assert first[0] == again[0]
    assert (first[1], again[1]) == (2, 0)
    assert store.writes == ["p/landing/t/dt=1970-01-01.parquet"]


def test_of_rows_with_the_same_key_the_last_read_stays():
    store = MemoryStore()
    both = {name: np.concatenate([rows(1)[name], rows(1, value=9.0)[name]]) for name in TABLE.columns}
    survey(store, KEYS, "t", TABLE).land(DAY, Batch(both))
    found = landing_file.read(TABLE, store.get("p/landing/t/dt=1970-01-01.parquet").body, "k")
    assert found["value"].tolist() == [9.0]


@pytest.mark.parametrize("before", [[], [1]], ids=["a new file", "one that stood there"])
def test_whoever_was_overtaken_lands_nothing_over_what_was_read_after_its_own_rows(before):
    store = MemoryStore()
    if before:
        survey(store, KEYS, "t", TABLE).land(DAY, Batch(rows(*before)))
    overtaken, later = survey(store, KEYS, "t", TABLE), survey(store, KEYS, "t", TABLE)
    later.land(DAY, Batch(rows(2, value=9.0)))
    with pytest.raises(Unavailable, match="Another process changed p/landing/t/dt="):
        overtaken.land(DAY, Batch(rows(2, value=1.0)))
    assert survey(store, KEYS, "t", TABLE).land(DAY, Batch(rows(3)))[0].rows == len(before) + 2
    landed = landing_file.read(TABLE, store.objects[KEYS.landing("t", DAY)].body, "k")
    assert landed["value"].tolist()[-2:] == [9.0, 0.5]


def test_an_unanswered_write_is_read_back():
    store = MemoryStore()
    store.lose_answers = 1
    assert survey(store, KEYS, "t", TABLE).land(DAY, Batch(rows(1, 2)))[0].rows == 2
    assert len(store.writes) == 1


def test_a_store_that_never_answers_is_unavailable():
    store = MemoryStore()
    store.lose_requests = 99
    with pytest.raises(Unavailable):
        survey(store, KEYS, "t", TABLE).land(DAY, Batch(rows(1)))


def test_rejected_rows_without_a_key_are_kept_too():
    store = MemoryStore()
    area = survey(store, KEYS, "t", TABLE)
    for _ in range(2):
        area.land_keyless([Rejected("infinity", "no instant", "{}")])
    key = "p/landing/t/rejected/dt=unknown.parquet"
    assert landing_file.read_rejected(store.get(key).body, key) == [Rejected("infinity", "no instant", "{}")]
    assert store.writes == [key]


def test_a_whole_day_replaces_what_landed_before():
    store = MemoryStore()
    area = survey(store, KEYS, "t", TABLE)
    area.land(DAY, Batch(rows(1, 2, 3), [Rejected("k", "r", "x")]))
    day, changed = area.land(DAY, Batch(take(rows(2, 3), slice(0, 1)), whole=True))
    assert (day.rows, day.rejected, changed) == (1, 0, 2)
