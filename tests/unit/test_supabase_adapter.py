"""The Supabase adapter against a server on loopback that misbehaves by script: what is retried, what it ends as."""

import base64
import json
import math
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime

import numpy as np
import pytest
from ratchet.adapters import rest as rest_module
from ratchet.adapters.prediction_table import SupabaseTable
from ratchet.adapters.rows import Incomplete, decode_page
from ratchet.adapters.supabase import SupabaseSource
from ratchet.errors import BadConfiguration, MissingTable, SourceMismatch, SourceRefused, Unavailable
from ratchet.extraction.source import Marker, pages
from ratchet.sources import Table

from tests.faulty_rest import Fault, Rest, serve

TABLE = Table("ts", {"ts": "timestamp", "vector": "float32[2]", "value": "float64"})
KEY = "sb_secret_do-not-tell"


def row(minute, vector=(0.5, -0.25), value=1.5):
    return {"ts": f"2026-11-21T04:{minute:02d}:00+00:00", "vector": list(vector), "value": value}


@pytest.fixture
def rest():
    with serve(Rest({"t": [row(minute) for minute in range(10)]})) as server:
        yield server


@pytest.fixture
def naps():
    return []


@pytest.fixture
def source(rest, naps):
    with closing(SupabaseSource(rest.url, KEY, naps.append)) as source:
        yield source


def read_all(source, limit=4):
    keys, cursor = [], None
    while (page := source.page("t", TABLE, after=cursor, limit=limit)).cursor is not None:
        keys += page.columns["ts"].tolist()
        cursor = page.cursor
    return keys


def test_pages_follow_the_key_until_an_empty_one_whatever_the_server_caps(rest, source):
    rest.cap = 3
    assert [key.minute for key in read_all(source)] == list(range(10))
    assert rest.requests[1] == {
        "select": "ts,vector,value",
        "ts": f"gt.{row(2)['ts']}",
        "order": "ts.asc",
        "limit": "4",
    }
    assert set(rest.keys) == {KEY}


def test_columns_have_their_declared_types(source):
    columns = source.page("t", TABLE, after=None, limit=2).columns
    assert [str(columns[name].dtype) for name in TABLE.columns] == ["datetime64[us]", "float32", "float64"]
    assert columns["vector"].tolist() == [[0.5, -0.25]] * 2


RETRIED = {
    "too many requests": Fault(429, {}),
    "an internal error": Fault(500, {"code": "XX000", "message": "boom"}),
    "a bad gateway with a web page": Fault(502, "<html>", {"content-type": "text/html"}),
    "an unavailable service": Fault(503, {}),
    "a gateway that timed out": Fault(504, {}),
    "an unknown error of the network in front": Fault(520, "error"),
    "a dropped connection": Fault(reset=True),
    "a body that breaks off": Fault(cut=True),
    "half a document with a right length": Fault(200, '[{"ts":"2026'),
}


@pytest.mark.parametrize("fault", RETRIED.values(), ids=RETRIED.keys())
def test_is_tried_again(fault, rest, source, naps):
    rest.script = [fault, fault]
    assert len(read_all(source)) == 10
    assert len(naps) == 2
    assert 0 < naps[0] < naps[1] <= 1


@pytest.mark.parametrize("fault", RETRIED.values(), ids=RETRIED.keys())
def test_is_given_up_after_a_bounded_number_of_attempts(fault, rest, source, naps):
    rest.script = [fault] * 50
    with pytest.raises(Unavailable, match="table t in 6 attempts") as caught:
        read_all(source)
    assert sum(naps) < 40
    assert one_line(caught)


SLOW = {
    "an answer that comes late": (Fault(late=5), "does not answer in time"),
    "a body that drips for ever": (Fault(drips=True), "does not come to an end in time"),
}


@pytest.mark.parametrize(("fault", "trouble"), SLOW.values(), ids=SLOW.keys())
def test_is_awaited_until_the_deadline_then_asked_for_again(fault, trouble, rest, naps):
    with closing(SupabaseSource(rest.url, KEY, naps.append, deadline_seconds=0.4)) as source:
        rest.script = [fault, fault]
        assert len(read_all(source)) == 10
        assert len(naps) >= 2
        rest.script = [fault] * 50
        with pytest.raises(Unavailable, match=f"table t in 6 attempts: it.* {trouble}") as caught:
            read_all(source)
    assert one_line(caught)


def test_retry_after_is_honoured_in_seconds_and_as_a_date(rest, source, naps):
    date_text = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    rest.script = [Fault(429, {}, {"retry-after": "7"}), Fault(429, {}, {"retry-after": date_text})]
    assert len(read_all(source)) == 10
    assert naps[0] == 7
    assert 15 < naps[1] <= 20


def test_a_pause_that_is_too_long_is_left_to_the_next_run(rest, source, naps):
    rest.script = [Fault(429, {}, {"retry-after": "3600"})]
    with pytest.raises(Unavailable, match="wait 3600 s"):
        read_all(source)
    assert naps == []


TIMED_OUT = Fault(500, {"code": "57014", "message": "canceling statement due to statement timeout"})


def test_a_statement_that_takes_too_long_halves_the_pages_that_follow(rest, source):
    rest.script = [TIMED_OUT, TIMED_OUT]
    assert len(read_all(source, limit=400)) == 10
    assert [request["limit"] for request in rest.requests] == ["400", "200", "100", "100"]


def test_a_statement_that_takes_too_long_for_any_page_names_the_index(rest, source):
    rest.script = [TIMED_OUT] * 20
    with pytest.raises(Unavailable, match="index on ts"):
        read_all(source, limit=400)


NAMED = {
    "a wrong key": (Fault(401, {"message": f"Invalid API key {KEY}"}), SourceRefused, "service_role key"),
    "a key without the right": (Fault(403, {"code": "42501", "message": "permission denied"}), SourceRefused, "grant"),
    "a missing table": (Fault(404, {"code": "PGRST205", "message": "no table"}), MissingTable, "no table t"),
    "a missing relation": (Fault(404, {"code": "42P01", "message": "no relation"}), MissingTable, "no table t"),
    "a missing column": (Fault(400, {"code": "42703", "message": "column t.x"}), SourceMismatch, "column t.x"),
    "a web page for rows": (Fault(200, "<!doctype html><p>hi"), SourceMismatch, "url in the secret"),
    "a web page by its type": (Fault(200, "hi", {"content-type": "text/html"}), SourceMismatch, "supabase.co"),
    "a path that is not there": (Fault(404, "<html>"), SourceMismatch, "url in the secret"),
    "a redirect": (Fault(301, "", {"location": "https://x"}), SourceMismatch, "HTTP 301"),
    "an object for a list": (Fault(200, {"rows": []}), SourceMismatch, "no list of rows"),
    "a paused project": (Fault(540, {}), Unavailable, "paused"),
}


@pytest.mark.parametrize(("fault", "error", "text"), NAMED.values(), ids=NAMED.keys())
def test_is_named_at_once_with_its_remedy(fault, error, text, rest, source, naps):
    rest.script = [fault]
    with pytest.raises(error, match=text) as caught:
        read_all(source)
    assert naps == []
    assert one_line(caught)


def one_line(caught):
    return "\n" not in str(caught.value) and KEY not in str(caught.value)


def test_an_unreachable_host_names_the_url_and_the_ways_there(naps):
    source = SupabaseSource("http://127.0.0.1:9", KEY, naps.append)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9.*cannot be reached.*secret") as caught:
        read_all(source)
    assert one_line(caught)


@pytest.mark.parametrize("url", ["", "project.supabase.co", "ftp://x"])
def test_a_url_without_http_is_a_bad_configuration(url):
    with pytest.raises(BadConfiguration, match=r"https://<project>\.supabase\.co"):
        SupabaseSource(url, KEY)


@pytest.mark.parametrize("url", [KEY, f"https://{KEY}", f"https://{KEY}.supabase.co", f"https://postgres:{KEY}@x.co"])
@pytest.mark.parametrize("adapter", [SupabaseSource, SupabaseTable])
def test_a_url_that_holds_the_key_is_a_bad_configuration_and_not_repeated(adapter, url):
    with pytest.raises(BadConfiguration) as caught:
        adapter(url, KEY)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("key", ["", "two words", "schlüssel", "a\nb"])
def test_text_that_is_no_key_is_a_bad_configuration_and_not_repeated(key):
    with pytest.raises(BadConfiguration) as caught:
        SupabaseSource("https://x.supabase.co", key)
    assert not key or key not in str(caught.value)


def token(role):
    claims = base64.urlsafe_b64encode(json.dumps({"role": role}).encode()).decode().rstrip("=")
    return f"eyJ.{claims}.signature"


@pytest.mark.parametrize(
    ("key", "filtered"),
    [
        (token("anon"), True),
        (token("service_role"), False),
        ("sb_publishable_x", True),
        (KEY, False),
        ("a.b.c", False),
    ],
)
def test_the_key_tells_whether_row_policies_apply(key, filtered):
    assert SupabaseSource("https://x.supabase.co", key).filtered("t") is filtered


def test_an_empty_answer_is_no_rows(rest, source):
    assert source.has_rows("t", TABLE)
    rest.tables["t"] = []
    assert not source.has_rows("t", TABLE)


EMPTY = Fault(200, [])


def test_an_empty_answer_is_asked_for_again_where_there_is_a_newest_key(rest, source):
    rest.script = [EMPTY]
    assert source.has_rows("t", TABLE)
    rest.script = [EMPTY, Fault()] * 3
    with pytest.raises(
        Unavailable, match="t shows no rows after its beginning although its newest key is 2026"
    ) as caught:
        source.has_rows("t", TABLE)
    assert one_line(caught)


def test_the_newest_key_is_the_one_before_a_bound_and_never_null(rest, source):
    rest.tables["t"].append({**row(0), "ts": None})
    assert source.newest("t", TABLE) == row(9)["ts"]
    assert rest.requests == [{"select": "ts", "ts": "not.is.null", "order": "ts.desc", "limit": "1"}]
    assert source.newest("t", TABLE, before="2026-11-21T04:05:00Z") == row(4)["ts"]
    assert source.newest("t", TABLE, before="2026-11-21T04:00:00Z") is None


def test_a_newest_key_that_takes_too_long_to_find_names_the_index(rest, source):
    rest.script = [TIMED_OUT] * 20
    with pytest.raises(Unavailable, match="index on ts"):
        source.newest("t", TABLE)


def test_an_empty_page_amid_the_keys_hides_none_of_them_from_the_count(rest, source):
    rest.cap, rest.script = 4, [Fault(), EMPTY]
    start, end = datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC)
    assert source.counts("t", TABLE, start=start, end=end) == {date(2026, 11, 21): 10}


def test_keys_that_are_hidden_while_they_are_counted_are_not_counted_as_none(rest, source):
    rest.script = [Fault(), *[EMPTY] * 20]
    start, end = datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC)
    with pytest.raises(Unavailable, match="although it has shown some"):
        source.counts("t", TABLE, start=start, end=end)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [([{**row(0), "ts": None}] * 3, "ts is null"), ([row(0)] * 12, "duplicate ts")],
    ids=["without a key", "that share a key"],
)
def test_a_table_may_have_but_rows(rows, reason, rest, source):
    rest.tables["t"] = rows
    found = list(pages(source, "t", TABLE, after=None, limit=20, filled=True))
    assert [rejected.reason for page in found for _, rejected in page.rejected] == [reason] * len(rows)


def test_counts_per_day_hold_bad_rows_too_and_stop_before_the_end(rest, source):
    rest.cap = 4
    late = {"ts": "2026-11-22T00:00:00+00:00", "vector": None, "value": None}
    rest.tables["t"] += [late, {**late, "ts": "2026-11-23T00:00:00+00:00"}]
    start, end = datetime(2026, 11, 21, 4, 2, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC)
    assert source.counts("t", TABLE, start=start, end=end) == {date(2026, 11, 21): 8, date(2026, 11, 22): 1}


def test_the_marker_is_read_where_there_is_one(rest, source):
    assert source.marker() == Marker(None, None)
    rest.tables["ratchet_seed"] = []
    assert source.marker() == Marker(None, None)
    rest.tables["ratchet_seed"] = [{"synthetic": True, "source": "price path"}]
    assert source.marker() == Marker(True, "price path")


REJECTED = {
    "the text NaN among numbers": ({"vector": [0.5, "NaN"]}, "vector holds a value that is no number"),
    "a null among numbers": ({"vector": [0.5, None]}, "vector holds a value that is no number"),
    "a truth value among numbers": ({"vector": [0.5, True]}, "vector holds a value that is no number"),
    "too few numbers": ({"vector": [0.5]}, "vector has 1 values, not 2"),
    "nested arrays of the right total": ({"vector": [[0.5, 0.5], []]}, "vector holds a value that is no number"),
    "nested arrays of the right length": ({"vector": [[0.5], [1]]}, "vector holds a value that is no number"),
    "no array": ({"vector": 3}, "vector is no array"),
    "a null for an array": ({"vector": None}, "vector is null"),
    "text that is no array": ({"vector": "[0.5,"}, "vector has 1 values, not 2"),
    "text with a name in it": ({"vector": "{0.5,NaN}"}, "vector holds a value that is not finite"),
    "text with words": ({"vector": "{a,b}"}, "vector is text that holds no array of numbers"),
    "text without brackets": ({"vector": "0.5,1"}, "vector is text that holds no array of numbers"),
    "a number beyond float32": ({"vector": [0.5, 1e39]}, "vector holds a value beyond float32"),
    "a null target": ({"value": None}, "value is null"),
    "a target that is text": ({"value": "NaN"}, "value is no number"),
    "a target that is a truth value": ({"value": True}, "value is no number"),
    "an infinite key": ({"ts": "infinity"}, "ts is no instant"),
}


@pytest.mark.parametrize(("change", "reason"), REJECTED.values(), ids=REJECTED.keys())
def test_costs_its_row_alone(change, reason):
    rows = [row(0), {**row(1), **change}, row(2)]
    page = decode_page(json.dumps(rows).encode(), "t", TABLE)
    assert page.columns["ts"].astype("datetime64[m]").astype(int).tolist()[1] % 60 == 2
    ((instant, rejected),) = page.rejected
    assert rejected.reason == reason
    assert (instant is None) == ("ts" in change)
    assert json.loads(rejected.row) == rows[1]
    assert page.read == 3


def test_a_number_too_large_for_any_float_costs_its_row_alone():
    text = json.dumps([row(0), {**row(1), "value": 7}, row(2, value=10**400)]).replace('"value": 7', '"value": 1e400')
    page = decode_page(text.encode(), "t", TABLE)
    assert [rejected.reason for _, rejected in page.rejected] == ["value is not finite", "value is beyond float64"]


@pytest.mark.parametrize("vector", ["[0.5, 1]", "{0.5,1}", [0.5, 1], " {0.5 , 1.0} "])
def test_arrays_and_their_texts_are_the_same(vector):
    page = decode_page(json.dumps([{**row(0), "vector": vector}]).encode(), "t", TABLE)
    assert page.columns["vector"].tolist() == [[0.5, 1.0]]


@pytest.mark.parametrize(
    "text",
    ["2026-11-21 04:00:00+00", "2026-11-21T04:00:00Z", "2026-11-21T06:00:00+02:00", "2026-11-21T04:00:00.0+00:00"],
)
def test_instants_are_read_in_every_spelling(text):
    page = decode_page(json.dumps([{**row(0), "ts": text}]).encode(), "t", TABLE)
    assert page.columns["ts"][0] == np.datetime64("2026-11-21T04:00:00")
    assert page.cursor == text


def test_a_key_without_a_zone_is_the_wrong_column_type():
    with pytest.raises(SourceMismatch, match="timestamptz"):
        decode_page(json.dumps([{**row(0), "ts": "2026-11-21T04:00:00"}]).encode(), "t", TABLE)


def test_rows_that_share_a_key_are_all_set_aside():
    page = decode_page(json.dumps([row(0), row(1), row(1, value=2), row(2)]).encode(), "t", TABLE)
    assert len(page.columns["ts"]) == 2
    assert [rejected.reason for _, rejected in page.rejected] == ["duplicate ts"] * 2
    assert page.read == 4


@pytest.mark.parametrize("body", [b"", b"[1", b'[{"ts":', b"\xff"])
def test_what_is_no_json_is_incomplete(body):
    with pytest.raises(Incomplete):
        decode_page(body, "t", TABLE)


def test_retries_of_one_request_end_within_a_minute_and_a_half():
    pauses = [min(rest_module.LONGEST_DELAY, rest_module.FIRST_DELAY * 2**attempt) for attempt in range(6)]
    assert math.fsum(pauses[:-1]) < 20
