"""Reconciliation: once in a while counts per day are compared, and days that differ are read whole."""

from datetime import timedelta

import pytest
from ratchet.errors import SourceUnreadable, Unavailable
from ratchet.extraction import watermark

from tests.fake_source import START, FakeSource, rows_every
from tests.fakes import Clock, MemoryStore
from tests.unit.test_extract import KEYS, landed, run_all

DAY = timedelta(days=1)


@pytest.fixture
def lake():
    """A store with 200 days landed, its source, and a clock."""
    clock = Clock(START + 220 * DAY)
    store, source = MemoryStore(), FakeSource({"left": rows_every(720, 400), "right": rows_every(720, 3)})
    run_all(store, source, clock)
    return store, source, clock


def mark_of(store):
    return watermark.read(store, KEYS, "left")[0]


def test_a_row_deleted_long_ago_leaves_the_landing_area(lake):
    store, source, clock = lake
    del source.tables["left"][START + 10 * DAY]
    clock.forward(hours=25)
    run_all(store, source, clock, run="r2")
    assert landed(store) == source.tables["left"]
    assert mark_of(store).rows == 399


def test_rows_that_arrived_before_everything_landed_are_found(lake):
    store, source, clock = lake
    source.tables["left"] |= rows_every(60, 30, START - 40 * DAY)
    clock.forward(hours=25)
    before = mark_of(store).changes
    run_all(store, source, clock, run="r2")
    assert landed(store) == source.tables["left"]
    assert mark_of(store).changes == before + 2


def test_a_day_emptied_at_the_source_is_emptied_here(lake):
    store, source, clock = lake
    source.tables["left"] = {at: value for at, value in source.tables["left"].items() if at.date() != START.date()}
    clock.forward(hours=25)
    run_all(store, source, clock, run="r2")
    assert landed(store) == source.tables["left"]


def test_a_day_that_is_read_whole_keeps_what_comes_after_an_empty_page(lake):
    store, source, clock = lake
    day = START + 100 * DAY
    source.tables["left"] |= rows_every(60, 20, day)
    clock.forward(hours=25)
    # Two pages from the watermark on, one for the earliest row, and the second page of the day.
    source.blank = {source.pages + 5}
    run_all(store, source, clock, run="r2")
    assert landed(store) == source.tables["left"]


def test_the_earliest_row_is_not_missed_because_a_page_comes_empty(lake):
    store, source, clock = lake
    source.tables["left"] |= rows_every(60, 30, START - 40 * DAY)
    clock.forward(hours=25)
    source.blank = {source.pages + 3}
    run_all(store, source, clock, run="r2")
    assert landed(store) == source.tables["left"]


def test_rows_that_are_hidden_while_they_are_compared_stay_landed(lake):
    store, source, clock = lake
    before = landed(store)
    clock.forward(hours=25)
    reads = source.pages

    def hide():
        # The first pages are the new rows of the canary; the comparison comes after them.
        if source.pages > reads + 2:
            source.tables["left"] = {}

    source.on_page = hide
    with pytest.raises(Unavailable, match=r"left shows no rows after .* although it has shown some"):
        run_all(store, source, clock, run="r2")
    assert landed(store) == before
    with pytest.raises(SourceUnreadable, match="left shows no rows although 400 rows"):
        run_all(store, source, clock, run="r2")


def test_a_day_that_looks_empty_for_a_moment_is_not_emptied_here(lake):
    store, source, clock = lake
    source.tables["left"] |= rows_every(60, 3, START + 100 * DAY)
    clock.forward(hours=25)
    source.blank = {source.pages + 4}
    newest, hidden = source.newest, [2]

    def hides_once(name, table, *, before=None):
        if before and hidden:
            return hidden.clear()
        return newest(name, table, before=before)

    source.newest = hides_once
    run_all(store, source, clock, run="r2")
    assert hidden == []
    assert landed(store) == source.tables["left"]


def test_the_years_before_a_row_dated_into_the_future_are_not_counted(lake):
    store, source, clock = lake
    source.tables["left"][START + 40_000 * DAY] = 1.0
    run_all(store, source, clock, run="r2")
    clock.forward(hours=25)
    counted = []
    counts = source.counts
    source.counts = lambda name, table, **span: counted.append(span) or counts(name, table, **span)
    del source.tables["left"][START + 40_000 * DAY]
    run_all(store, source, clock, run="r3")
    assert len(counted) < 20
    assert landed(store) == source.tables["left"]


def test_a_landing_file_that_somebody_removed_is_read_again(lake):
    store, source, clock = lake
    store.delete(KEYS.landing("left", (START + 7 * DAY).date()))
    clock.forward(hours=25)
    run_all(store, source, clock, run="r2")
    assert landed(store) == source.tables["left"]


def test_nothing_is_compared_before_it_is_due(lake):
    store, source, clock = lake
    del source.tables["left"][START + 10 * DAY]
    clock.forward(hours=23)
    run_all(store, source, clock, run="r2")
    assert len(landed(store)) == 400


def test_a_row_that_was_set_aside_and_mended_within_a_month_lands(lake):
    store, source, clock = lake
    at = START + 195 * DAY
    value, source.tables["left"][at] = source.tables["left"][at], None
    assert run_all(store, source, clock, run="r2", since=START + 190 * DAY).tables["left"].rejected == 1
    source.tables["left"][at] = value
    run_all(store, source, clock, run="r3")
    assert at not in landed(store)
    clock.forward(hours=25)
    run_all(store, source, clock, run="r4")
    assert landed(store) == source.tables["left"]


def test_days_with_rows_set_aside_long_ago_are_not_read_again_and_again(lake):
    store, source, clock = lake
    source.tables["left"][START + 10 * DAY] = None
    run_all(store, source, clock, run="r2", since=START)
    clock.forward(hours=25)
    result = run_all(store, source, clock, run="r3")
    assert result.tables["left"].rejected == 1
    assert result.rows_changed == 0
    assert result.rows_read < 10


def test_a_comparison_cut_short_goes_on_in_the_next_invocation(lake):
    store, source, clock = lake
    for day in (10, 50, 120, 199):
        del source.tables["left"][START + day * DAY]
    clock.forward(hours=25)
    run_all(store, source, clock, run="r2", calls=4)
    assert landed(store) == source.tables["left"]
    assert mark_of(store).reconciling is None
