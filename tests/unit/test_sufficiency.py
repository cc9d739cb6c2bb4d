"""Sufficient? Too few rows and nothing new are reasons to end green; a person's run always goes on."""

import pytest
from ratchet.extraction.sufficiency import check_sufficiency
from ratchet.extraction.watermark import Day, Watermark, move
from ratchet.store import encode

from tests.fake_source import small_pipeline
from tests.fakes import MemoryStore

PIPELINE = small_pipeline()
KEYS = PIPELINE.keys


def lake(left=10, right=10, latest=None, evaluated=True):
    store = MemoryStore()
    for name, count in (("left", left), ("right", right)):
        if count is not None:
            move(store, KEYS, Watermark(name, changes=4, rows=count, days={"2026-11-21": Day(count, 2, "e")}), None)
    if latest:
        store.put(KEYS.train_latest(), encode({"run_ts": "R", "landing": latest}))
    if evaluated:
        store.put(KEYS.evaluation("R"), b"{}")
    return store


SAME = {"left": 4, "right": 4}


@pytest.mark.parametrize(
    ("store", "scheduled", "status", "reason"),
    [
        (lake(left=None), True, "not_enough_data", "left has no rows"),
        (lake(right=0), False, "not_enough_data", "right has no rows and 2 rejected ones; at least 3"),
        (lake(left=2), False, "not_enough_data", "left has 2 rows"),
        (lake(), True, "sufficient", "10 of left, 10 of right"),
        (lake(latest=SAME), True, "no_new_rows", "the run R"),
        (lake(latest=SAME), False, "sufficient", "landed"),
        (lake(latest={**SAME, "left": 3}), True, "sufficient", "landed"),
        (lake(latest=SAME, evaluated=False), True, "sufficient", "landed"),
    ],
    ids=[
        "a table that never landed is not enough",
        "an empty table is not enough even for a person",
        "fewer rows than the minimum are not enough",
        "the first scheduled run goes on",
        "a scheduled run without news ends",
        "a person's run goes on without news",
        "a change of one table is news",
        "unjudged data is prepared again",
    ],
)
def test_sufficiency(store, scheduled, status, reason):
    answer = check_sufficiency(store, PIPELINE, "2026-11-26T00-00-00Z-000000", None, scheduled=scheduled)
    assert answer.status == status
    assert reason in answer.reason
