"""Rows of JSON that no sound server sends: what they cost is their row, or a named error."""

import json
from datetime import UTC, datetime

import pytest
from ratchet.adapters.rows import Incomplete, decode_page
from ratchet.errors import SourceMismatch
from ratchet.sources import Table

TABLE = Table("ts", {"ts": "timestamp", "vector": "float32[2]", "note": "text"})


def row(minute=0, **cells):
    return {"ts": f"2026-11-21T04:{minute:02d}:00+00:00", "vector": [0.5, minute], "note": "a", **cells}


def decoded(*rows):
    return decode_page(json.dumps(rows).encode(), "t", TABLE)


def reasons(page):
    return [rejected.reason for _, rejected in page.rejected]


@pytest.mark.parametrize(
    "other",
    ["a text", 5, None, [1], {}, {"ts": row()["ts"], "note": "a"}],
    ids=["a text", "a number", "null", "an array", "an empty object", "an object that lacks a column"],
)
@pytest.mark.parametrize("neighbours", [[], [row(1, note=None)]], ids=["alone", "beside a bad row"])
def test_a_row_that_is_no_object_of_the_declared_columns_is_a_mismatch(other, neighbours):
    with pytest.raises(SourceMismatch, match="lacks a declared column"):
        decoded(row(), other, *neighbours)


@pytest.mark.parametrize(
    "key",
    ["now+00:00", "NaT+00:00", "+00:00", "2026-11+00:00", "0000-01-01T00:00:00+00:00", "0001-01-01T00:00:00+14:00"],
)
def test_a_key_that_numpy_alone_takes_for_an_instant_is_none(key):
    page = decoded(row(ts=key))
    assert (reasons(page), len(page.columns["ts"])) == (["ts is no instant"], 0)


def test_a_row_set_aside_belongs_to_the_day_of_utc_wherever_the_server_stands():
    page = decoded(row(ts="2026-11-22T01:00:00+09:00", note=None))
    ((instant, rejected),) = page.rejected
    assert (instant, instant.date()) == (datetime(2026, 11, 21, 16, tzinfo=UTC), datetime(2026, 11, 21).date())
    assert rejected.key == "2026-11-21T16:00:00Z"


def test_an_array_within_an_array_is_no_number_though_a_missing_one_evens_out_the_brackets():
    page = decoded(row(1, vector=[[1, 2], []]), row(2, vector=None), row(3, vector=None))
    assert reasons(page) == ["vector holds a value that is no number", "vector is null", "vector is null"]


def test_a_key_that_is_no_text_is_spelled_alike_whenever_it_is_read():
    body = json.dumps([row(ts={"a": [1]}), row(1)]).encode()
    found = [decode_page(body, "t", TABLE).rejected[0][1] for _ in range(2)]
    assert found[0] == found[1]
    assert json.loads(found[0].key) == {"a": [1]}


@pytest.mark.parametrize(("column", "reason"), [("note", "note holds half a character"), ("ts", "ts is no instant")])
def test_half_a_character_costs_its_row_and_can_be_landed(column, reason):
    page = decoded(row(), row(1, **{column: "\ud800"}))
    assert reasons(page) == [reason]
    assert all(text.encode() for _, rejected in page.rejected for text in (rejected.key, rejected.row))


def test_a_number_beyond_any_float_costs_its_row():
    assert reasons(decoded(row(vector=[10**400, 1]))) == ["vector holds a value beyond float32"]


def test_a_text_for_a_vector_that_nests_without_end_costs_its_row():
    assert reasons(decoded(row(vector="[" * 100_000))) == ["vector is text that holds no array of numbers"]


def test_a_body_that_nests_without_end_is_no_whole_page():
    with pytest.raises(Incomplete):
        decode_page(b"[" * 1_000_000, "t", TABLE)
