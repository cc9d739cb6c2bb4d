import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ratchet.errors import BadInput, StaleInput, UnknownPipeline
from ratchet.extraction.source import Page, PageBuilder
from ratchet.instants import iso, parse_instant
from ratchet.serving.champion import Champion, follower
from ratchet.serving.request import File, Rows, Slots, parse
from ratchet.serving.score import Answer, score_rows
from ratchet.serving.service import serve
from ratchet.serving.slots import score_slots, table_inputs
from ratchet.sources import Table

from functions.score import app
from tests.bundles import RUN, TARGETS, champion, graph, promote, returns, row
from tests.fakes import Clock, MemoryStore

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
STEP = timedelta(minutes=10)


class MemorySource:
    """`Source.page` over a dictionary of instants to the first value of embedding A; None breaks the row's type."""

    def __init__(self, rows: dict[datetime, float | None]) -> None:
        self.rows = rows
        self.asked: list[str | None] = []

    def page(self, name: str, table: Table, *, after: str | None, before: str | None = None, limit: int) -> Page:
        self.asked.append(after)
        low, high = parse_instant(str(after)), parse_instant(str(before))
        builder, cursor = PageBuilder(table, limit), None
        for instant in sorted(instant for instant in self.rows if low < instant < high)[:limit]:
            cursor = iso(instant)
            value = self.rows[instant]
            if value is None:
                builder.reject(instant, cursor, "embedding_a: 255 values", "{}")
                continue
            builder.columns["base_ts"][builder.index] = np.datetime64(instant.replace(tzinfo=None), "us")
            builder.columns["embedding_a"][builder.index] = [value, *[0.0] * 255]
            builder.columns["embedding_b"][builder.index] = 0.0
            builder.accept()
        return builder.build(cursor)


class MemoryTable:
    """Remembers upserts, and fails the first if told so."""

    def __init__(self, fails: bool = False) -> None:
        self.rows: dict[str, Answer] = {}
        self.fails = fails

    def upsert(self, table: str, rows: Sequence[Answer]) -> None:
        if self.fails:
            self.fails = False
            raise ConnectionError(table)
        self.rows |= {row["base_ts"]: row for row in rows}


def at(*slots: int) -> dict[datetime, float | None]:
    """Rows so many steps after noon, each valued by its step."""
    return {NOON + slot * STEP: float(slot) for slot in slots}


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def loaded(store: MemoryStore, tmp_path: Path) -> Champion:
    return champion(store, tmp_path)


def score(loaded: Champion, store: MemoryStore, source: MemorySource, now: datetime, **serving: Any) -> dict[str, Any]:
    pipeline = returns(**serving)
    return score_slots(pipeline, loaded, store, partial(table_inputs, pipeline, source), Clock(now))


def predicted(store: MemoryStore) -> dict[str, float]:
    """First target per slot, as the objects say."""
    found = [json.loads(stored.body) for key, stored in store.objects.items() if key.endswith(".jsonl")]
    return {answer["base_ts"][11:16]: answer["pred"][TARGETS[0]] for answer in found}


def test_the_first_call_scores_the_newest_row_alone(loaded: Champion, store: MemoryStore) -> None:
    answer = score(loaded, store, MemorySource(at(-2, -1, 0)), NOON)
    assert answer == {"scored": ["2026-11-21T12:00:00Z"], "skipped": [], "model_run_ts": RUN}
    (key,) = [key for key in store.objects if key.endswith(".jsonl")]
    assert key == "predictions/dt=2026-11-21/base_ts=2026-11-21T12-00-00Z.jsonl"
    written = json.loads(store.objects[key].body)
    assert written["target_ts"] == "2026-11-21T12:10:00Z"
    assert list(written["pred"]) == list(TARGETS)


def test_later_calls_score_every_slot_since_the_last_with_the_run_that_scored_it(
    loaded: Champion, store: MemoryStore
) -> None:
    score(loaded, store, MemorySource(at(0)), NOON)
    answer = score(loaded, store, MemorySource(at(0, 1, 3, 4)), NOON + 4 * STEP)
    assert [slot[11:16] for slot in answer["scored"]] == ["12:10", "12:30", "12:40"]
    assert predicted(store) == {"12:00": 0.0, "12:10": 1.0, "12:30": 3.0, "12:40": 4.0}


def test_a_repeated_call_changes_nothing(loaded: Champion, store: MemoryStore) -> None:
    score(loaded, store, MemorySource(at(0)), NOON)
    writes = list(store.writes)
    assert score(loaded, store, MemorySource(at(0)), NOON)["scored"] == []
    assert store.writes == writes


def test_catching_up_reaches_back_only_so_many_slots(loaded: Champion, store: MemoryStore) -> None:
    score(loaded, store, MemorySource(at(0)), NOON)
    rows = MemorySource(at(*range(301)))
    answer = score(loaded, store, rows, NOON + 300 * STEP, catch_up_slots=5)
    assert len(answer["scored"]) == 5
    assert answer["scored"][-1] == iso(NOON + 300 * STEP)


def test_catching_up_reads_all_pages(loaded: Champion, store: MemoryStore) -> None:
    score(loaded, store, MemorySource(at(0)), NOON)
    assert len(score(loaded, store, MemorySource(at(*range(141))), NOON + 140 * STEP)["scored"]) == 140


@pytest.mark.parametrize(
    ("rows", "later"),
    [(at(0, 1), 5), (at(0), 5), ({}, 0)],
    ids=["a new row that is old", "no new row for long", "no row at all"],
)
def test_stale_inputs_are_refused_and_nothing_is_written(
    loaded: Champion, store: MemoryStore, rows: dict[datetime, float | None], later: int
) -> None:
    if rows:
        score(loaded, store, MemorySource(at(0)), NOON)
    writes = list(store.writes)
    with pytest.raises(StaleInput, match=r"ai_outputs.*last 30 minutes"):
        score(loaded, store, MemorySource(rows), NOON + later * STEP)
    assert store.writes == writes


def test_a_row_of_the_future_waits_until_then(loaded: Champion, store: MemoryStore) -> None:
    rows = MemorySource(at(0, 6))
    assert score(loaded, store, rows, NOON)["scored"] == ["2026-11-21T12:00:00Z"]
    rows.rows |= at(5)
    assert len(score(loaded, store, rows, NOON + 6 * STEP)["scored"]) == 2


def test_a_bad_row_is_skipped_with_its_reason_and_does_not_hold_up_the_others(
    loaded: Champion, store: MemoryStore
) -> None:
    score(loaded, store, MemorySource(at(0)), NOON)
    rows = {**at(1, 3), NOON + 2 * STEP: None, NOON + 4 * STEP: float("inf")}
    answer = score(loaded, store, MemorySource(rows), NOON + 4 * STEP)
    assert [slot[11:16] for slot in answer["scored"]] == ["12:10", "12:30"]
    assert {skip["base_ts"][11:16]: skip["reason"] for skip in answer["skipped"]} == {
        "12:20": "embedding_a: 255 values",
        "12:40": "not finite",
    }


def test_a_slot_that_another_scorer_wrote_keeps_what_stands_there(loaded: Champion, store: MemoryStore) -> None:
    score(loaded, store, MemorySource(at(0)), NOON)
    store.delete("predictions/latest.json")
    answer = score(loaded, store, MemorySource({NOON: 9.0}), NOON)
    assert answer["scored"] == []
    assert answer["skipped"] == [{"base_ts": "2026-11-21T12:00:00Z", "reason": "scored before"}]
    assert predicted(store) == {"12:00": 0.0}


def test_an_upsert_that_failed_is_made_up_for_by_the_next_call(loaded: Champion, store: MemoryStore) -> None:
    pipeline, table = returns(upsert_table="predictions"), MemoryTable(fails=True)
    feed = partial(table_inputs, pipeline, MemorySource(at(0)))
    with pytest.raises(ConnectionError):
        score_slots(pipeline, loaded, store, feed, Clock(NOON), table)
    score_slots(pipeline, loaded, store, feed, Clock(NOON), table)
    assert (
        table.rows["2026-11-21T12:00:00Z"]["pred"]
        == json.loads(store.objects["predictions/dt=2026-11-21/base_ts=2026-11-21T12-00-00Z.jsonl"].body)["pred"]
    )


def test_rows_in_the_event_are_answered_in_their_order_and_one_row_by_one_answer(loaded: Champion) -> None:
    rows = [row("2026-11-21T04:00:00Z", 0.25), row("2026-11-21T13:10:00+09:00", 0.5)]
    many = score_rows(returns(), loaded, parse(rows))  # type: ignore[arg-type]
    assert isinstance(many, list)
    assert [answer["pred"][TARGETS[0]] for answer in many] == [0.25, 0.5]
    assert [answer["base_ts"] for answer in many] == ["2026-11-21T04:00:00Z", "2026-11-21T04:10:00Z"]
    one = score_rows(returns(), loaded, parse({"pipeline": "returns", **rows[0]}))  # type: ignore[arg-type]
    assert one == many[0]
    assert score_rows(returns(), loaded, parse({"rows": []})) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"base_ts": None}, "'base_ts' is missing"),
        ({"base_ts": 7}, "'base_ts' is 7"),
        ({"base_ts": "2026-11-21T04:00:00"}, "'base_ts'.*names no time zone"),
        ({"embedding_a": [0.0] * 255}, "'embedding_a' has 255 values"),
        ({"embedding_a": None}, "'embedding_a' is missing"),
        ({"embedding_b": ["NaN", *[0.0] * 255]}, "'embedding_b' contains 'NaN'"),
        ({"embedding_b": [float("nan"), *[0.0] * 255]}, "'embedding_b'.*not finite"),
        ({"embedding_b": [True, *[0.0] * 255]}, "'embedding_b' contains True"),
        ({"embedding_b": [1e39, *[0.0] * 255]}, "'embedding_b'"),
        ({"embedding_b": [10**400, *[0.0] * 255]}, "'embedding_b'"),
    ],
)
def test_a_bad_row_is_named_with_its_field(loaded: Champion, change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=f"row 2: {words}") as caught:
        score_rows(returns(), loaded, parse([row(), {**row(), **change}]))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_row_that_the_model_overflows_on_is_named(store: MemoryStore, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="row 1: the model has no finite answer"):
        score_rows(returns(), champion(store, tmp_path, model=graph(scale=1e38)), parse([row(first=1e3)]))  # type: ignore[arg-type]


def test_the_kinds_of_event_are_told_apart() -> None:
    assert parse({"pipeline": "returns"}) == parse({"pipeline": "returns", "scheduledTime": "x"}) == Slots("returns")
    assert parse({"input_uri": "s3://b/i", "output_uri": "s3://b/o"}) == File(
        "returns", "s3://b/i", "s3://b/o", 0, None
    )
    assert isinstance(parse({"base_ts": "x"}), Rows)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (None, "NoneType"),
        ({}, "names no pipeline"),
        ({"scheduledTime": "x"}, "names no pipeline"),
        ({"pipeline": 3}, "'pipeline' is 3"),
        ({"rows": {}}, "'rows' is a dict"),
        ([row(), 5], "row 2 is a int"),
        ({"input_uri": "s3://b/i"}, "'output_uri' is missing"),
        ({"input_uri": "s3://b/i", "output_uri": "s3://b/o", "begin": 1}, "'begin' is unknown"),
        ({"input_uri": "s3://b/i", "output_uri": "s3://b/o", "start": 5, "end": 4}, "byte offsets"),
    ],
)
def test_an_event_that_is_none_of_them_is_refused(event: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        parse(event)


class Context:
    """What Lambda hands a handler beside the event."""

    function_name = memory_limit_in_mb = invoked_function_arn = aws_request_id = "x"


class Ports:
    """What the handler's wiring gives, in memory."""

    def __init__(self, store: MemoryStore, source: MemorySource) -> None:
        self._store, self._source = store, source

    def store(self) -> MemoryStore:
        return self._store

    reader = store

    def source(self) -> MemorySource:
        return self._source


def test_the_handler_serves_all_kinds_and_names_an_unknown_pipeline(
    store: MemoryStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    promote(store, tmp_path)
    follower.cache_clear()
    ports = Ports(store, MemorySource(at(0)))
    assert app.handler(row(), Context(), ports)["model_run_ts"] == RUN
    assert app.handler({"pipeline": "returns"}, Context(), ports, Clock(NOON))["scored"] == [iso(NOON)]
    assert '"ChampionAgeHours":[8.0]' in capsys.readouterr().out
    with pytest.raises(UnknownPipeline, match="'nothing'"):
        app.handler({"pipeline": "nothing"}, Context(), ports)


def test_rows_touch_no_port_but_the_champion(loaded: Champion) -> None:
    assert serve(parse(row()), returns(), loaded, None, Clock(NOON))["base_ts"] == row()["base_ts"]  # type: ignore[arg-type]
