"""The inputs of `adclick`: one definition, equal in training, in batch and online; nothing made up, nothing unseen."""

import ast
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipelines.adclick import features
from ratchet.catalog import load
from ratchet.errors import BadBundle, BadInput
from ratchet.serving.champion import Champion
from ratchet.serving.request import File, parse
from ratchet.serving.score import score_rows
from ratchet.serving.service import serve
from ratchet.sources import TabularFiles
from ratchet.store import encode
from ratchet.tabular.examples import about, encoded
from ratchet.tabular.kind import Source

from tests.bundles import RUN, champion, first_columns
from tests.fakes import NOW, Clock, MemoryStore

ADCLICK = load("adclick")
SOURCE = Source(ADCLICK)
DECLARED = ADCLICK.source_as(TabularFiles)
NUMBERS, CATEGORIES = DECLARED.numbers, DECLARED.categories
NAMES = features.inputs(NUMBERS, CATEGORIES)
EMPTY = dict.fromkeys([*NUMBERS, *CATEGORIES])
FULL = {
    **{"age": 31, "gender": "Female", "device_type": "Mobile"},
    **{"ad_position": "Top", "browsing_history": "News", "time_of_day": "Night"},
}


def told(row: dict[str, Any]) -> dict[str, float]:
    """The inputs of a row by name, those that are 0 aside."""
    (values,), _ = features.encode([row], NUMBERS, CATEGORIES)
    return {name: value for name, value in zip(NAMES, values.tolist(), strict=True) if value}


def test_every_value_has_an_input_of_its_own() -> None:
    assert told(FULL) == {
        "age": 31, "ad_position=Top": 1, "browsing_history=News": 1, "device_type=Mobile": 1, "gender=Female": 1,
        "time_of_day=Night": 1,
    }  # fmt: skip


def test_what_is_missing_is_marked_and_no_number_stands_in_for_it() -> None:
    found = told(EMPTY)
    assert np.isnan(found.pop("age"))
    assert found == {f"{name}=missing": 1 for name in EMPTY}
    assert told({**FULL, "age": 0}).keys() == told(FULL).keys() - {"age"}


def test_what_is_unknown_is_marked_and_named() -> None:
    rows = [{**FULL, "gender": "female", "device_type": ""}, FULL]
    matrix, unknown = features.encode(rows, NUMBERS, CATEGORIES)
    assert unknown == [["gender", "device_type"], []]
    found = dict(zip(NAMES, matrix[0].tolist(), strict=True))
    assert (found["gender=unknown"], found["device_type=unknown"], found["gender=missing"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"age": "31"}, "'age' is '31', which is no number"),
        ({"age": True}, "'age' is True, which is no number"),
        ({"age": float("nan")}, "'age' is not within 0 to 120"),
        ({"age": -0.5}, "'age' is not within 0 to 120"),
        ({"age": 10**400}, "'age' is not within 0 to 120"),
        ({"gender": 1}, "'gender' is 1, which is no text"),
        ({"gender": ["Male"]}, "'gender' is .'Male'., which is no text"),
        ({"ad_position": ...}, "'ad_position' is not there; send null"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_with_its_field(changed: dict[str, Any], told: str) -> None:
    row = {name: value for name, value in {**FULL, **changed}.items() if value is not ...}
    with pytest.raises(ValueError, match=f"row 2: {told}"):
        features.encode([FULL, row], NUMBERS, CATEGORIES)
    with pytest.raises(ValueError, match=f"line 7: {told}"):
        features.encode([row], NUMBERS, CATEGORIES, ["line 7"])


def test_fields_that_are_not_asked_for_are_not_looked_at() -> None:
    rows = [FULL, {**FULL, "id": 7, "full_name": "Ann", "base_ts": None}]
    matrix, _ = features.encode(rows, NUMBERS, CATEGORIES)
    np.testing.assert_array_equal(*matrix)


def test_the_order_of_declarations_in_a_document_does_not_matter() -> None:
    stored = json.loads(encode({"numbers": NUMBERS, "categories": dict(reversed(CATEGORIES.items()))}))
    assert features.inputs(**stored) == NAMES
    given, _ = features.encode([FULL], **stored)
    np.testing.assert_array_equal(given, features.encode([FULL], NUMBERS, CATEGORIES)[0])


def test_the_endpoint_imports_it_without_ratchet() -> None:
    tree = ast.parse(Path(str(features.__file__)).read_text())
    names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) == {"numpy"}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Champion:
    """A model whose answer is its first input, here the age: so a row's answer shows what the model was given."""
    return champion(
        MemoryStore(), tmp_path_factory.mktemp("bundle"), pipeline="adclick", model=first_columns(len(NAMES), 1)
    )


def with_about(loaded: Champion, **changed: Any) -> Champion:
    """It says what its inputs are, as trained bundles do."""
    known = {**json.loads(encode(about(ADCLICK, SOURCE.layout))), **changed}
    return replace(loaded, model=replace(loaded.model, about=known))


AGE = st.one_of(st.none(), st.floats(0, 120), st.integers(0, 120))
ROW = st.fixed_dictionaries(
    {"age": AGE, **{name: st.sampled_from([None, *values]) for name, values in CATEGORIES.items()}}
)


@settings(deadline=None)
@given(st.lists(ROW, min_size=1, max_size=8))
def test_a_record_has_the_same_inputs_in_training_in_batch_and_online(rows: list[dict[str, Any]]) -> None:
    """To the last bit, over Parquet on one way and JSON on the other."""
    layout = SOURCE.layout
    landed = {name: pa.array([row[name] for row in rows], layout.schema.field(name).type) for name in layout.fields}
    training = encoded(ADCLICK, layout, pa.table(landed))
    served, unknown = features.encode(json.loads(json.dumps(rows)), NUMBERS, CATEGORIES)
    alone = np.concatenate([features.encode([row], NUMBERS, CATEGORIES)[0] for row in rows])
    assert training.dtype == served.dtype == np.float32
    assert training.tobytes() == served.tobytes() == alone.tobytes()
    assert unknown == [[]] * len(rows)


def test_the_scorer_takes_named_fields_and_says_what_it_does_not_know(loaded: Champion) -> None:
    event = {
        "pipeline": "adclick",
        "rows": [FULL, {**FULL, "age": 40, "gender": "?", "base_ts": "2026-11-21T04:00:00Z"}],
    }
    request = parse(event)
    assert serve(request, ADCLICK, with_about(loaded), None, Clock(NOW)) == [  # type: ignore[arg-type]
        {"model_run_ts": RUN, "pred": {"click": 31.0}, "unknown": []},
        {"base_ts": "2026-11-21T04:00:00Z", "model_run_ts": RUN, "pred": {"click": 40.0}, "unknown": ["gender"]},
    ]
    single = serve(parse({"pipeline": "adclick", **FULL}), ADCLICK, with_about(loaded), None, Clock(NOW))  # type: ignore[arg-type]
    assert single == {"model_run_ts": RUN, "pred": {"click": 31.0}, "unknown": []}


class Ports:
    """A store is all that a file of rows takes."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def store(self) -> MemoryStore:
        return self._store


def test_a_file_of_rows_is_scored_alike_and_a_bad_line_is_named(loaded: Champion) -> None:
    store = MemoryStore()
    store.put("batch/in.jsonl", b"".join(json.dumps(row).encode() + b"\n" for row in ([FULL, {**FULL, "gender": "?"}])))
    request = File("adclick", store.uri("batch/in.jsonl"), store.uri("batch/out.jsonl"), 0, None)
    serve(request, ADCLICK, with_about(loaded), Ports(store), Clock(NOW))  # type: ignore[arg-type]
    answers = [json.loads(line) for line in store.objects["batch/out.jsonl"].body.splitlines()]
    assert [answer["unknown"] for answer in answers] == [[], ["gender"]]
    store.put("batch/in.jsonl", json.dumps(FULL).encode() + b"\n" + json.dumps({**FULL, "age": "x"}).encode())
    with pytest.raises(BadInput, match="line 2: 'age' is 'x'"):
        serve(request, ADCLICK, with_about(loaded), Ports(store), Clock(NOW))  # type: ignore[arg-type]


def test_its_schedule_sees_that_the_champion_serves_and_scores_no_slot(loaded: Champion) -> None:
    answer = serve(parse({"pipeline": "adclick"}), ADCLICK, with_about(loaded), None, Clock(NOW))  # type: ignore[arg-type]
    assert answer == {"scored": [], "skipped": [], "model_run_ts": RUN}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"numbers": None}, "names no numbers"),
        ({"categories": {}}, "other inputs than this version makes"),
        ({"inputs": NAMES[:-1]}, "other inputs than this version makes"),
    ],
)
def test_a_model_that_was_made_for_other_inputs_is_refused(
    loaded: Champion, changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadBundle, match=words):
        score_rows(ADCLICK, with_about(loaded, **changed), parse({"pipeline": "adclick", "rows": [FULL]}))  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="row 1: 'age' is not there"):
        score_rows(ADCLICK, with_about(loaded), parse({"pipeline": "adclick", "rows": [{}]}))  # type: ignore[arg-type]
