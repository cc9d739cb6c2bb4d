"""The watermark document: moved by compare-and-swap, foreign documents refused."""

import json
from dataclasses import replace

import pytest
from ratchet.errors import ForeignDocument, Unavailable
from ratchet.extraction.watermark import Day, Reading, Watermark, move, read
from ratchet.keys import Keys

from tests.fakes import MemoryStore

KEYS = Keys("")
MARK = Watermark(
    "t", "2026-11-21T04:00:00Z", 3, 7, {"2026-11-21": Day(7, 1, '"e"')}, token=2, reading=Reading("r", None, False)
)


def test_a_watermark_comes_back_as_it_was_moved():
    store = MemoryStore()
    etag = move(store, KEYS, MARK, None)
    assert read(store, KEYS, "t") == (MARK, etag)
    assert MARK.rejected == 1


def test_before_the_first_run_it_is_blank():
    mark, etag = read(MemoryStore(), KEYS, "t")
    assert (mark.instant, mark.changes, etag) == (None, 0, None)


@pytest.mark.parametrize("tag", [None, '"older"'])
def test_a_watermark_that_another_moved_stays_as_it_is(tag):
    store = MemoryStore()
    move(store, KEYS, MARK, None)
    with pytest.raises(Unavailable, match=r"landing/t/watermark\.json"):
        move(store, KEYS, replace(MARK, rows=8), tag)
    assert read(store, KEYS, "t")[0].rows == 7


@pytest.mark.parametrize("body", ["[]", "{}", '{"days": [], "reading": null}', json.dumps({"days": {}, "reading": 1})])
def test_a_foreign_document_is_named(body):
    store = MemoryStore()
    store.put(KEYS.watermark("t"), body.encode())
    with pytest.raises(ForeignDocument, match=r"landing/t/watermark\.json"):
        read(store, KEYS, "t")
