import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ratchet.errors import BadInput, ForeignDocument
from ratchet.serving import batch, ranges
from ratchet.serving.champion import Champion
from ratchet.serving.request import File, parse
from ratchet.store import Listed

from functions.plan_batch import app
from tests.bundles import RUN, TARGETS, champion, returns, row
from tests.fakes import MemoryStore

SOURCE, TARGET = "s3://bucket/batch/in.jsonl", "s3://bucket/batch/out"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def loaded(store: MemoryStore, tmp_path: Path) -> Champion:
    return champion(store, tmp_path)


def put(store: MemoryStore, *lines: str, end: str = "\n") -> int:
    body = ("\n".join(lines) + end).encode()
    store.put("batch/in.jsonl", body)
    return len(body)


def rows(count: int) -> list[str]:
    return [json.dumps(row(first=index / 8)) for index in range(count)]


def score(store: MemoryStore, loaded: Champion, start: int = 0, end: int | None = None) -> dict[str, object]:
    return batch.score_file(returns(), loaded, store, File("returns", SOURCE, f"{TARGET}/part", start, end))


@given(
    lines=st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=8),
    cuts=st.lists(st.integers(0, 120), max_size=4),
    last=st.sampled_from([b"", b"\n"]),
)
def test_ranges_that_meet_cover_every_line_once_wherever_they_are_cut(
    lines: list[bytes], cuts: list[int], last: bytes
) -> None:
    body = b"\n".join(lines) + last
    store = MemoryStore()
    store.put("in", body)
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    found = [line for a, b in pairwise(edges) for _, line in ranges.lines(store, "in", a, b)]
    whole = [line for _, line in ranges.lines(store, "in", 0, None)]
    assert found == whole == body.split(b"\n")[: None if body[-1:] not in (b"\n", b"") else -1]


def test_a_file_is_answered_line_by_line_in_its_order_and_blank_lines_are_passed_over(
    store: MemoryStore, loaded: Champion
) -> None:
    put(store, *rows(2), "", "  \r", *rows(3), end="")
    assert score(store, loaded) == {"rows": 5, "output_uri": f"{TARGET}/part", "model_run_ts": RUN}
    answers = [json.loads(line) for line in store.objects["batch/out/part"].body.splitlines()]
    assert [answer["pred"][TARGETS[0]] for answer in answers] == [0.0, 0.125, 0.0, 0.125, 0.25]


def test_the_parts_of_a_plan_in_order_are_the_answers_to_the_whole(
    store: MemoryStore, loaded: Champion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "RANGE_BYTES", 3000)
    put(store, *rows(12))
    plan = ranges.plan(returns(), store, SOURCE, TARGET + "/")
    assert len(plan) > 4
    for event in plan:
        request = parse(event)
        assert isinstance(request, File)
        batch.score_file(returns(), loaded, store, request)
    joined = b"".join(store.objects[key].body for key in sorted(store.objects) if key.startswith("batch/out/part-"))
    assert score(store, loaded)["rows"] == 12
    assert joined == store.objects["batch/out/part"].body


def test_a_plan_stays_below_what_a_state_may_pass_on(store: MemoryStore) -> None:
    class Huge(MemoryStore):
        def head(self, key: str) -> Listed | None:
            found = super().head(key)
            return Listed(key, 1 << 40, found.etag) if found else None

    huge = Huge()
    put(huge, *rows(1))
    plan = ranges.plan(returns(), huge, SOURCE, TARGET)
    assert len(json.dumps(plan)) < 262_144
    assert (plan[0]["start"], plan[-1]["end"]) == (0, 1 << 40)
    assert all(one["end"] == two["start"] for one, two in pairwise(plan))


def test_an_empty_file_has_no_ranges(store: MemoryStore) -> None:
    store.put("batch/in.jsonl", b"")
    assert ranges.plan(returns(), store, SOURCE, TARGET) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2 is not JSON"),
        ("[1]", "line 2 is a list"),
        ("[" * 100_000, "line 2 is not JSON"),
        (json.dumps({**row(), "embedding_b": [0.0] * 255}), "line 2: 'embedding_b' has 255 values"),
        (json.dumps({**row(), "base_ts": "soon"}), "line 2: 'base_ts'"),
        (json.dumps({**row(), "embedding_a": [float("nan")] * 256}), "line 2: 'embedding_a'.*not finite"),
    ],
    ids=["truncated", "a list", "deep", "255 values", "no instant", "NaN"],
)
def test_a_bad_row_fails_the_call_by_line_and_field_before_anything_is_written(
    store: MemoryStore, loaded: Champion, line: str, words: str
) -> None:
    put(store, rows(1)[0], line)
    with pytest.raises(BadInput, match=words):
        score(store, loaded)
    assert "batch/out/part" not in store.objects


def test_in_a_later_range_a_bad_line_is_counted_from_the_range_that_the_error_names(
    store: MemoryStore, loaded: Champion
) -> None:
    size = put(store, *rows(2), "{")
    with pytest.raises(BadInput, match="line 2 after byte 5 is not JSON"):
        score(store, loaded, 5, size)


def test_a_line_without_end_is_refused_before_it_fills_the_memory(store: MemoryStore) -> None:
    read = 0

    class Endless(MemoryStore):
        def stream(self, key: str, start: int = 0) -> Iterator[bytes]:
            nonlocal read
            while True:
                read += 1 << 16
                yield b"x" * (1 << 16)

    with pytest.raises(BadInput, match="longer than"):
        list(ranges.lines(Endless(), "in", 0, None))
    assert read <= 2 * ranges.LINE_BYTES


def test_what_does_not_exist_and_other_buckets_are_named(store: MemoryStore, loaded: Champion) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        ranges.plan(returns(), store, SOURCE, TARGET)
    with pytest.raises(BadInput, match="does not exist"):
        score(store, loaded)
    put(store, *rows(1))
    with pytest.raises(ForeignDocument, match="s3://other/x"):
        ranges.plan(returns(), store, SOURCE, "s3://other/x")


def test_the_handler_plans_events_that_scoring_takes(store: MemoryStore) -> None:
    class Context:
        function_name = memory_limit_in_mb = invoked_function_arn = aws_request_id = "x"

    class Ports:
        def store(self) -> MemoryStore:
            return store

    size = put(store, *rows(2))
    answer = app.handler({"input_uri": SOURCE, "output_uri": TARGET}, Context(), Ports())
    assert answer == {
        "ranges": [
            {
                "pipeline": "returns",
                "input_uri": SOURCE,
                "output_uri": f"{TARGET}/part-00000.jsonl",
                "start": 0,
                "end": size,
            }
        ]
    }
