"""What an endpoint runs: the four functions that SageMaker's toolkit calls, over a bundle with its own features."""

import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ratchet.catalog import load
from ratchet.endpoint import inference
from ratchet.sources import TabularFiles
from ratchet.tabular import reader

from tests import bundles

PIPELINE = load("adclick")
SOURCE = PIPELINE.source_as(TabularFiles)
FEATURES = PIPELINE.module("features")
INPUTS = FEATURES.inputs(SOURCE.numbers, SOURCE.categories)
FIELDS = [*SOURCE.numbers, *SOURCE.categories]
ROW = {
    **{"age": 31, "gender": "Female", "device_type": "Mobile", "ad_position": "Top"},
    **{"browsing_history": "News", "time_of_day": "Night"},
}
ABOUT = {"inputs": INPUTS, "numbers": SOURCE.numbers, "categories": SOURCE.categories, "fields": FIELDS}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[inference.Model]:
    """The answer is the first input of a row: the age."""
    folder = tmp_path_factory.mktemp("bundle")
    bundles.unpacked(folder, bundles.first_columns(len(INPUTS), 1), pipeline="adclick")
    document = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps({**document, "about": ABOUT}))
    code = folder / "code"
    code.mkdir()
    (code / "features.py").write_text(Path(str(FEATURES.__file__)).read_text())
    sys.path.insert(0, str(code))
    yield inference.model_fn(str(folder))
    sys.path.remove(str(code))
    del sys.modules["features"]


def ask(model: inference.Model, body: str | bytes, kind: str = "application/json", accept: str = "*/*") -> Any:
    text, told = inference.output_fn(inference.predict_fn(inference.input_fn(body, kind), model), accept)
    return json.loads(text) if told == "application/json" else text


def refused(model: inference.Model, body: Any, kind: str = "application/json") -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        ask(model, body if isinstance(body, str | bytes) else json.dumps(body), kind)
    return str(caught.value)


@pytest.mark.parametrize("body", [ROW, [ROW], {"rows": [ROW]}], ids=["a row", "a list", "named rows"])
def test_rows_are_answered_with_the_run_of_the_model(model: inference.Model, body: Any) -> None:
    answer = {"probability": 31.0, "model_run_ts": bundles.RUN, "unknown": []}
    assert ask(model, json.dumps(body)) == {"predictions": [answer]}


def test_a_table_is_read_by_its_names_in_any_order_or_by_the_bundles_own(model: inference.Model) -> None:
    reversed_ = ",".join(reversed(FIELDS)) + "\n" + ",".join(str(ROW[name]) for name in reversed(FIELDS)) + "\n"
    plain = ",".join(str(ROW[name]) for name in FIELDS)
    assert (
        ask(model, reversed_, "text/csv") == ask(model, plain, "text/csv; charset=utf-8") == ask(model, json.dumps(ROW))
    )


def test_a_value_nobody_knows_is_answered_and_flagged(model: inference.Model) -> None:
    (answer,) = ask(model, json.dumps({**ROW, "gender": "Robot", "time_of_day": "Dawn"}))["predictions"]
    assert (answer["probability"], answer["unknown"]) == (31.0, ["gender", "time_of_day"])


def test_a_category_that_is_missing_is_null_or_empty(model: inference.Model) -> None:
    empty = ",".join("" if name == "gender" else str(ROW[name]) for name in FIELDS)
    told = ask(model, json.dumps({**ROW, "gender": None}))
    assert told == ask(model, empty, "text/csv")
    assert [answer["unknown"] for answer in told["predictions"]] == [[]]


@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (json.dumps([ROW, {**ROW, "age": None}]), "application/json"),
        (json.dumps({"features": [[1.0] * len(INPUTS), [None] * len(INPUTS)]}), "application/json"),
        (f"{','.join(map(str, ROW.values()))}\n,Female,Mobile,Top,News,Night\n", "text/csv"),
    ],
    ids=["null", "inputs", "empty"],
)
def test_a_row_that_the_model_has_no_number_for_is_refused_by_its_place(
    model: inference.Model, body: str, kind: str, accept: str
) -> None:
    # The answer of this model is the age, which is missing.
    with pytest.raises(ValueError, match="row 2: the model has no finite answer"):
        ask(model, body, kind, accept)


def test_inputs_as_the_model_takes_them_are_answered_as_they_are(model: inference.Model) -> None:
    features = [[float(place) for place in range(7, 7 + len(INPUTS))], [8] + [None] * (len(INPUTS) - 1)]
    first, second = ask(model, json.dumps({"features": features}))["predictions"]
    assert (first["probability"], second["probability"]) == (7.0, 8.0)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_table_is_read_as_spreadsheets_of_any_kind_save_it(model: inference.Model, end: str) -> None:
    line = ",".join(map(str, ROW.values()))
    table = f"\ufeff{','.join(FIELDS)}{end}{line}{end}{line}{end}"
    assert ask(model, table.encode(), "text/csv") == ask(model, json.dumps([ROW, ROW]))


def test_a_number_is_written_as_in_the_files_that_were_learned_from() -> None:
    assert f"^{inference.NUMBER.pattern}$" == reader.NUMBER


def test_answers_are_a_table_where_that_is_asked_for(model: inference.Model) -> None:
    rows = [ROW, {**ROW, "gender": "Robot", "ad_position": "Below"}]
    told = ask(model, json.dumps(rows), accept="text/csv")
    assert told == f"31.0,{bundles.RUN},\n31.0,{bundles.RUN},gender;ad_position\n"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({**ROW, "age": "31"}, "row 1: 'age' is '31', which is no number"),
        ({**ROW, "age": 400}, "row 1: 'age' is not within 0 to 120"),
        ({**ROW, "gender": 3}, "row 1: 'gender'"),
        ([ROW, {**ROW, "colour": "red"}], "row 2: there is no field 'colour'"),
        ([ROW, {name: ROW[name] for name in FIELDS[1:]}], "row 2: 'age' is not there"),
        ([], "There are 0 rows"),
        ([[1, 2]], "neither a row"),
        ("3", "neither a row"),
        ("{", "Expecting property name"),
        ("[NaN]", "NaN"),
        ("[" * 100_000, "nested too deeply"),
        ({"features": [[1.0]]}, f"rows of {len(INPUTS)} numbers"),
        ({"features": [["x"] * len(INPUTS)]}, "neither a number nor null"),
        ({"features": 3}, "is no list of rows"),
        ({"features": [[1e39] * len(INPUTS)]}, "too large for float32"),
        ({"features": [[10**400] * len(INPUTS)]}, "too large for float32"),
        (json.dumps({"features": [["@"] * len(INPUTS)]}).replace('"@"', "1e999"), "too large for float32"),
        ({**ROW, "age": 10**400}, "row 1: 'age' is not within 0 to 120"),
        ({**ROW, "a\nb\ud800": 1}, r"row 1: there is no field 'a\nb\ud800'"),
        (b"\xff\xfe", "no text of UTF-8"),
    ],
)
def test_a_body_that_cannot_be_answered_is_refused_with_the_reason(
    model: inference.Model, body: Any, said: str
) -> None:
    assert said in refused(model, body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("31,Female\n", "row 1: there are 2 values; there are 6 fields"),
        ("old,Female,Mobile,Top,News,Night", "row 1: 'age' is 'old', which is no number"),
        ("", "There are 0 rows"),
        ("1_0,Female,Mobile,Top,News,Night", "row 1: 'age' is '1_0', which is no number"),
        ("\u0663,Female,Mobile,Top,News,Night", "which is no number"),
        ("nan,Female,Mobile,Top,News,Night", "row 1: 'age' is 'nan', which is no number"),
        ("1e999,Female,Mobile,Top,News,Night", "row 1: 'age' is not within 0 to 120"),
        (f"31,Female,Mobile,Top,News,{'x' * 200_000}", "The body is no CSV: field larger than field limit"),
    ],
)
def test_a_table_that_cannot_be_answered_is_refused_with_the_reason(
    model: inference.Model, body: str, said: str
) -> None:
    assert said in refused(model, body, "text/csv")


def test_more_rows_than_a_request_takes_are_refused(model: inference.Model) -> None:
    assert "a request takes 1 to 10,000" in refused(model, {"features": [[0.0] * len(INPUTS)] * 10_001})


@pytest.mark.parametrize(("kind", "accept", "status"), [("image/png", "*/*", 415), ("text/csv", "image/png", 406)])
def test_another_type_than_json_or_csv_is_refused_by_its_status(
    model: inference.Model, kind: str, accept: str, status: int
) -> None:
    with pytest.raises(ValueError, match="image/png") as caught:
        ask(model, ",".join(str(ROW[name]) for name in FIELDS), kind, accept)
    assert caught.value.status == status  # type: ignore[attr-defined]


def test_what_the_image_lacks_comes_out_of_the_wheels_and_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name, text in (("lacking", "import json\nVALUE = 7\n"), ("json", "raise RuntimeError\n")):
        with zipfile.ZipFile(tmp_path / f"{name}-1-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}.py", text)
    found = inference.shipped("lacking", tmp_path)
    assert (found.VALUE, inference.shipped("json", tmp_path)) == (7, json)


def test_what_no_wheel_brings_is_missed_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(ModuleNotFoundError, match="nowhere_at_all"):
        inference.shipped("nowhere_at_all", tmp_path)
