"""Extraction: every row of the source lands once, whatever the page cap, overlap or moment of a kill."""

from contextlib import suppress
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ratchet.errors import LeaseLost, SourceMismatch, SourceUnreadable, Unavailable
from ratchet.extraction import watermark
from ratchet.extraction.extract import Extraction, extract
from ratchet.extraction.progress import begin
from ratchet.extraction.source import Marker, Rejected, instant_of
from ratchet.tables import landing_file

from tests.fake_source import START, FakeSource, Killed, rows_every, small_pipeline, work_on
from tests.fakes import Clock, MemoryStore

KEYS = small_pipeline().keys


def landed(store, name="left"):
    table = small_pipeline().source.tables[name]
    value = next(column for column in table.columns if column != table.key)
    rows = {}
    for listed in store.list(KEYS.landing_root(name) + "dt="):
        columns = landing_file.read(table, store.get(listed.key).body, listed.key)
        values = np.atleast_2d(columns[value].T)[0]
        found = {instant_of(key): float(cell) for key, cell in zip(columns[table.key], values, strict=True)}
        assert not found.keys() & rows.keys()
        rows |= found
    return rows


def run_all(store, source, clock, run="r1", since=None, calls=10**9) -> Extraction:
    while True:
        result = extract(work_on(store, source, clock, run=run, calls=calls), since)
        if result.done:
            return result


@pytest.fixture
def clock():
    return Clock(START + timedelta(days=9))


def test_every_row_of_every_table_lands_in_the_file_of_its_day(clock):
    store, source = MemoryStore(), FakeSource({"left": rows_every(300, 20), "right": rows_every(700, 9)})
    result = run_all(store, source, clock)
    assert landed(store) == source.tables["left"]
    assert landed(store, "right") == source.tables["right"]
    assert (result.tables["left"].rows, result.rows_changed) == (20, 29)
    assert KEYS.landing("left", START.date()) in store.objects


def test_a_server_that_ignores_where_a_page_begins_is_a_named_error_and_nothing_lands(clock):
    class Deaf(FakeSource):
        def page(self, name, table, *, after, before=None, limit):
            return super().page(name, table, after=None, before=before, limit=limit)

    store, source = MemoryStore(), Deaf({"left": rows_every(10, 50), "right": rows_every(10, 7)}, cap=3)
    with pytest.raises(SourceMismatch, match="leaves the condition on ts out"):
        run_all(store, source, clock)
    assert watermark.read(store, KEYS, "left")[1] is None


def test_a_server_that_caps_pages_below_ours_hides_no_rows(clock):
    store, source = MemoryStore(), FakeSource({"left": rows_every(10, 50), "right": rows_every(10, 7)}, cap=3)
    run_all(store, source, clock)
    assert landed(store) == source.tables["left"]


@pytest.mark.parametrize("blank", [1, 3, 12, 13], ids=["first", "in the middle", "last", "beside the true end"])
def test_a_page_that_comes_empty_though_rows_follow_is_asked_for_again(blank, clock):
    store, source = MemoryStore(), FakeSource({"left": rows_every(60, 48), "right": rows_every(60, 5)}, blank={blank})
    result = run_all(store, source, clock)
    assert landed(store) == source.tables["left"]
    assert result.rows_read == 53


def test_a_source_that_contradicts_itself_about_its_end_is_unavailable_and_nothing_moves(clock):
    store = MemoryStore()
    source = FakeSource({"left": rows_every(60, 48), "right": rows_every(60, 5)}, blank=range(3, 1000))
    with pytest.raises(
        Unavailable, match=r"left shows no rows after 2026-11-01T07:00:00Z.*newest key is 2026-11-02T23"
    ):
        run_all(store, source, clock)
    assert source.pages == 2 + 3
    assert store.writes == [KEYS.lease()]


@pytest.mark.parametrize("at", [1, 3], ids=["after the check", "while they are read"])
def test_rows_that_are_all_hidden_are_not_the_end_of_the_table(at, clock):
    store, source = MemoryStore(), FakeSource({"left": rows_every(60, 48), "right": rows_every(60, 5)})
    source.on_page = lambda: source.pages == at and source.tables["left"].clear()
    with pytest.raises(Unavailable, match=r"left shows no rows after .* although it has shown some"):
        run_all(store, source, clock)
    assert store.writes == [KEYS.lease()]


def test_rows_that_arrive_at_the_end_while_it_is_confirmed_are_read_too(clock):
    store, source = MemoryStore(), FakeSource({"left": rows_every(60, 8), "right": rows_every(60, 5)})
    later, newest = iter(range(8, 12)), source.newest

    def arrives(name, table, *, before=None):
        source.tables[name] |= rows_every(60, next(later, 11) + 1)
        return newest(name, table, before=before)

    source.newest = arrives
    run_all(store, source, clock)
    assert landed(store) == source.tables["left"]
    assert len(landed(store)) == 12


def test_a_last_row_that_is_deleted_while_it_is_read_does_not_keep_the_end_from_being_believed(clock):
    store, source = MemoryStore(), FakeSource({"left": rows_every(60, 8), "right": rows_every(60, 5)})
    source.on_page = lambda: source.pages == 3 and source.tables["left"].pop(START + timedelta(hours=7))
    assert run_all(store, source, clock).done


def rows_of_which_broken(count, first, broken):
    rows = rows_every(60, count)
    return {at: None if first <= number < first + broken else value for number, (at, value) in enumerate(rows.items())}


def test_a_column_that_changes_its_type_half_way_is_no_bad_rows_and_nothing_moves(clock):
    rows = rows_of_which_broken(48, first=12, broken=36)
    store, source = MemoryStore(), FakeSource({"left": rows, "right": rows_every(60, 5)})
    with pytest.raises(SourceMismatch, match=r"left has changed: vector is broken in each of 12.*vector float32\[2\]"):
        extract(work_on(store, source, clock, page_rows=12), None)
    assert store.writes == [KEYS.lease()]


def test_a_column_that_has_changed_shows_in_the_first_rows_where_there_are_few_new_ones(clock):
    store, source = MemoryStore(), FakeSource({"left": rows_every(120, 48), "right": rows_every(60, 5)})
    run_all(store, source, clock)
    before = landed(store)
    source.tables["left"] = dict.fromkeys(source.tables["left"])
    with pytest.raises(SourceMismatch, match="left has changed: vector is broken in each of 10 rows"):
        extract(work_on(store, source, clock, run="r2", page_rows=100), None)
    assert landed(store) == before


@pytest.mark.parametrize(
    ("first", "broken", "why", "page_rows"),
    [
        (12, 11, "broken", 12),
        (12, 36, "null", 12),
        (9, 39, "broken", 9),
    ],
    ids=["with a sound row among them", "of nulls", "fewer than ten of them, the table's first ones sound"],
)
def test_a_page_of_bad_rows_is_set_aside(first, broken, why, page_rows, clock):
    rows = rows_of_which_broken(48, first, broken)
    store, source = MemoryStore(), FakeSource({"left": rows, "right": rows_every(60, 5)}, broken=why)
    result = extract(work_on(store, source, clock, page_rows=page_rows), None)
    assert result.tables["left"].rejected == broken
    assert result.tables["left"].rows == 48 - broken


def test_a_second_run_without_news_writes_no_landing_file(clock):
    store, source = MemoryStore(), FakeSource({"left": rows_every(60, 50), "right": rows_every(60, 50)})
    first = run_all(store, source, clock)
    store.writes.clear()
    second = run_all(store, source, clock, run="r2")
    assert not [key for key in store.writes if key.endswith(".parquet")]
    assert second.rows_changed == 0
    assert second.tables["left"].changes == first.tables["left"].changes
    assert 0 < second.rows_read < 20


def test_late_rows_within_the_overlap_and_corrected_rows_are_found(clock):
    store, source = MemoryStore(), FakeSource({"left": rows_every(10, 50), "right": rows_every(10, 5)})
    before = run_all(store, source, clock).tables["left"]
    last = max(source.tables["left"])
    source.tables["left"] |= {last - timedelta(minutes=55): 99.0, last - timedelta(minutes=20): -1.0}
    result = run_all(store, source, clock, run="r2")
    assert landed(store) == source.tables["left"]
    assert result.rows_changed == 2
    assert result.tables["left"].changes > before.changes


def test_an_invocation_that_runs_out_of_time_is_taken_up_where_it_stopped(clock):
    store, source = MemoryStore(), FakeSource({"left": rows_every(60, 60), "right": rows_every(60, 10)})
    first = extract(work_on(store, source, clock, calls=3), None)
    assert not first.done
    assert first.tables["left"].rows == 12
    run_all(store, source, clock, calls=3)
    assert landed(store) == source.tables["left"]
    assert source.pages < 60 / 4 + 10 / 4 + 12


def test_since_reads_again_from_that_instant_once_over_several_invocations(clock):
    store, source = MemoryStore(), FakeSource({"left": rows_every(60, 60), "right": rows_every(60, 10)})
    run_all(store, source, clock)
    source.tables["left"][START + timedelta(hours=5)] = 500.0
    run_all(store, source, clock, run="r2")
    assert landed(store)[START + timedelta(hours=5)] == 6.0
    run_all(store, source, clock, run="r3", since=START + timedelta(hours=5), calls=3)
    assert landed(store) == source.tables["left"]


def test_since_later_than_the_watermark_leaves_no_gap(clock):
    store, source = MemoryStore(), FakeSource({"left": rows_every(60, 10), "right": rows_every(60, 10)})
    run_all(store, source, clock)
    source.tables["left"] |= rows_every(60, 30)
    run_all(store, source, clock, run="r2", since=START + timedelta(hours=25))
    assert landed(store) == source.tables["left"]


def test_rows_that_break_their_type_land_beside_the_others_and_leave_when_they_are_mended(clock):
    bad = START + timedelta(hours=30)
    store, source = MemoryStore(), FakeSource({"left": {**rows_every(60, 31), bad: None}, "right": rows_every(60, 9)})
    result = run_all(store, source, clock)
    key = KEYS.rejected("left", bad.date())
    (row,) = landing_file.read_rejected(store.get(key).body, key)
    assert (row.key, row.reason) == ("2026-11-02T06:00:00Z", "vector is broken")
    assert result.tables["left"].rejected == 1
    source.tables["left"][bad] = 4.0
    assert run_all(store, source, clock, run="r2").tables["left"].rejected == 0
    assert landed(store) == source.tables["left"]
    assert landing_file.read_rejected(store.get(key).body, key) == []


def test_a_landed_row_that_breaks_later_is_landed_no_more(clock):
    store, source = MemoryStore(), FakeSource({"left": rows_every(60, 9), "right": rows_every(60, 9)})
    run_all(store, source, clock)
    source.tables["left"][START + timedelta(hours=8)] = None
    assert run_all(store, source, clock, run="r2").tables["left"].rejected == 1
    assert START + timedelta(hours=8) not in landed(store)


def test_a_run_that_lost_its_lease_lands_nothing_and_moves_no_watermark(clock):
    store, source = MemoryStore(), FakeSource({"left": rows_every(60, 9), "right": rows_every(60, 9)})
    work = work_on(store, source, clock)
    store.delete(KEYS.lease())
    store.writes.clear()
    with pytest.raises(LeaseLost):
        extract(work, None)
    assert store.writes == []


def test_a_run_that_lost_its_lease_lands_no_row_without_a_key(clock):
    store, source = MemoryStore(), FakeSource({"left": rows_every(60, 9), "right": rows_every(60, 9)})
    work = work_on(store, source, clock)
    progress = begin(work, "left", Marker())
    store.delete(KEYS.lease())
    store.writes.clear()
    with pytest.raises(LeaseLost):
        progress.land_keyless([Rejected("?", "ts is no timestamp", "{}")])
    assert store.writes == []


def test_the_marker_of_seeded_data_stands_in_the_watermark(clock):
    store = MemoryStore()
    source = FakeSource({"left": rows_every(60, 9), "right": rows_every(60, 9)}, seed=Marker(True, "price path"))
    run_all(store, source, clock)
    mark, _ = watermark.read(store, KEYS, "right")
    assert (mark.synthetic, mark.source) == (True, "price path")


@pytest.mark.parametrize(
    ("tables", "hides", "unreadable"),
    [
        ({}, False, None),
        ({}, True, "left shows no rows to this key"),
        ({"right": rows_every(60, 3)}, False, "left shows no rows although right has rows"),
        ({"left": rows_every(60, 3)}, False, None),
        ({"left": rows_every(60, 3)}, True, "right shows no rows to this key"),
        ({"left": rows_every(60, 3), "right": rows_every(60, 3)}, True, None),
    ],
    ids=[
        "an empty source is believed where no policy applies",
        "an empty source is not believed where policies apply",
        "an empty canary beside a filled table is unreadable",
        "an empty table beside the canary is believed where no policy applies",
        "an empty table beside the canary is not believed where policies apply",
        "tables with rows are enough",
    ],
)
def test_canary(tables, hides, unreadable, clock):
    work = work_on(MemoryStore(), FakeSource(tables, hides=hides), clock)
    if unreadable:
        with pytest.raises(SourceUnreadable, match=rf"{unreadable}.*row level policy"):
            extract(work, None)
    else:
        assert extract(work, None).done


@pytest.mark.parametrize("name", ["left", "right"])
@pytest.mark.parametrize("hours", [1, 25], ids=["before a comparison", "when a comparison is due"])
def test_a_table_that_had_rows_before_and_shows_none_is_unreadable_and_keeps_them(name, hours, clock):
    store, source = MemoryStore(), FakeSource({"left": rows_every(60, 9), "right": rows_every(60, 9)})
    run_all(store, source, clock)
    before = dict(source.tables[name])
    source.tables[name] = {}
    clock.forward(hours=hours)
    with pytest.raises(SourceUnreadable, match=f"{name} shows no rows although 9 rows of it were read before"):
        run_all(store, source, clock, run="r2")
    assert landed(store, name) == before


def test_a_row_dated_into_the_future_does_not_hide_the_rows_of_the_present(clock):
    future = clock() + timedelta(days=40000)
    store = MemoryStore()
    source = FakeSource({"left": {**rows_every(60, 9 * 24), future: 1.0}, "right": rows_every(60, 9)})
    run_all(store, source, clock)
    source.tables["left"] |= rows_every(10, 6, clock())
    clock.forward(hours=1)
    run_all(store, source, clock, run="r2")
    assert landed(store) == source.tables["left"]


def test_what_is_held_in_memory_is_bounded_by_pages_not_by_the_day(clock):
    store, source = MemoryStore(), FakeSource({"left": rows_every(1, 200), "right": rows_every(60, 1)})
    run_all(store, source, clock)
    assert landed(store) == source.tables["left"]
    assert store.writes.count(KEYS.landing("left", START.date())) == 200 // 32 + 1


STEP = st.tuples(
    st.sampled_from(["add", "late", "correct", "nothing"]), st.integers(1, 6), st.one_of(st.none(), st.integers(1, 7))
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, min_size=1, max_size=6), st.integers(1, 5), st.integers(1, 6))
def test_any_interleaving_of_arrivals_kills_and_time_limits_lands_exactly_the_rows_of_the_source(steps, cap, calls):
    clock, store = Clock(START + timedelta(days=9)), MemoryStore()
    source = FakeSource({"left": rows_every(100, 11), "right": rows_every(400, 3)}, cap=cap)
    for number, (what, count, dies_after) in enumerate(steps):
        rows, last = source.tables["left"], max(source.tables["left"])
        if what == "add":
            rows |= rows_every(100, count, last + timedelta(minutes=100), value=number)
        elif what == "late":
            rows |= rows_every(1, count, last - timedelta(minutes=49), value=number)
        elif what == "correct":
            rows[last] = 1000.0 + number
        source.dies_at = source.pages + dies_after if dies_after else None
        with suppress(Killed):
            run_all(store, source, clock, run=f"r{number}", calls=calls)
        source.dies_at = None
    run_all(store, source, clock, run="last")
    assert landed(store) == source.tables["left"]
    mark, _ = watermark.read(store, KEYS, "left")
    assert mark.rows == len(source.tables["left"])
