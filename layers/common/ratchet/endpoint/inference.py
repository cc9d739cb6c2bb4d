"""What an endpoint runs: this file is `code/inference.py` of a bundle, beside the pipeline's own features.py.

SageMaker's inference toolkit calls `model_fn` once and the other three for each request. Nothing of Ratchet is there:
numpy, ONNX Runtime from the wheels beside this file, and the standard library. Requests and answers: docs/adclick.md.
"""

import csv
import io
import json
import re
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module, invalidate_caches
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

JSON, CSV = "application/json", "text/csv"
MOST_ROWS = 10_000
"""Rows in a request; SageMaker takes some megabytes of it in any case."""
LARGEST = float(np.finfo(np.float32).max)
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
"""As files of records write it: Python takes `1_0` and digits of every script for numbers besides."""
ERROR = "sagemaker_inference.errors"
Floats = NDArray[np.float32]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Model:
    """A session, and what `bundle.json` says: of which run the model is, and how its inputs are meant."""

    session: Any
    run_ts: str
    about: dict[str, Any]
    features: ModuleType


@dataclass(frozen=True)
class Request:
    """The text of a request, and whether it is JSON or CSV."""

    text: str
    kind: str


@dataclass(frozen=True)
class Answers:
    """float64 [N] finite probabilities, each row's fields that are unknown, and the run that the model is of."""

    probabilities: NDArray[np.float64]
    unknown: Sequence[Sequence[str]]
    run_ts: str


def model_fn(model_dir: str) -> Model:
    """The model in the folder of an unpacked bundle."""
    onnxruntime = shipped("onnxruntime", Path(__file__).with_name("wheels"))
    # Requests come side by side, which suits the processors better than threads within one of a few rows.
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    document = json.loads(Path(model_dir, "bundle.json").read_text(encoding="utf-8"))
    path = str(Path(model_dir, "model.onnx"))
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return Model(session, document["run_ts"], document["about"], import_module("features"))


def shipped(name: str, wheels: Path) -> ModuleType:
    """A module that the image may lack, then out of the wheels, unpacked where any container may write.

    They come last on the path: what the image has besides stays its own.
    """
    if find_spec(name) is None:
        folder = tempfile.mkdtemp()
        for wheel in sorted(wheels.glob("*.whl")):
            with zipfile.ZipFile(wheel) as packed:
                packed.extractall(folder)
        sys.path.append(folder)
        invalidate_caches()
    return import_module(name)


def input_fn(body: str | bytes, content_type: str) -> Request:
    """What is asked. A body of another type than JSON or CSV, or of no UTF-8, is refused."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in {JSON, CSV}:
        _refuse(f"The body is {content_type!r:.80}; send {JSON} or {CSV}.", 415)
    try:
        text = body if isinstance(body, str) else bytes(body).decode()
    except UnicodeDecodeError:
        _refuse("The body is no text of UTF-8.")
    # Spreadsheets begin with the mark of the encoding.
    return Request(text.removeprefix("\ufeff"), kind)


def predict_fn(request: Request, model: Model) -> Answers:
    """The answers to all rows of a request. One that cannot be answered is named, and refuses them all."""
    try:
        features, unknown = _encoded(request, model)
    except ValueError as error:
        _refuse(str(error))
    except RecursionError:
        _refuse("The body is nested too deeply.")
    if not 0 < len(features) <= MOST_ROWS:
        _refuse(f"There are {len(features)} rows; a request takes 1 to {MOST_ROWS:,}.")
    (answers,) = model.session.run(None, {model.session.get_inputs()[0].name: features})
    probabilities = np.asarray(answers, np.float64)[:, 0]
    # JSON has no word for it, and whoever is answered one takes it for a probability.
    if len(wrong := np.flatnonzero(~np.isfinite(probabilities))):
        _refuse(f"row {wrong[0] + 1}: the model has no finite answer; its values are far from those trained on.")
    return Answers(probabilities, unknown, model.run_ts)


def output_fn(answers: Answers, accept: str) -> tuple[str, str]:
    """The answers as JSON, or as CSV where that is asked for."""
    wanted = {each.partition(";")[0].strip().lower() for each in accept.split(",")}
    if wanted & {JSON, "*/*", "application/*", ""}:
        return _json(answers), JSON
    if wanted & {CSV, "text/*"}:
        return _csv(answers), CSV
    _refuse(f"Answers are {JSON} or {CSV}, not {accept!r:.80}.", 406)


def _encoded(request: Request, model: Model) -> tuple[Floats, list[list[str]]]:
    """float32 [N, inputs], and the unknown fields per row. Raises ValueError naming the row and the field."""
    if request.kind == CSV:
        return _of_rows(_from_csv(request.text, model.about), model)
    told = json.loads(request.text, parse_constant=_no_constant)
    if isinstance(told, dict) and set(told) == {"features"}:
        return _ready(told["features"], len(model.about["inputs"]))
    if isinstance(told, dict) and set(told) == {"rows"}:
        told = told["rows"]
    rows = [told] if isinstance(told, dict) else told
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(
            'The body is neither a row, nor a list of rows, nor {"rows": [...]}; a row is an object of fields.'
        )
    return _of_rows(rows, model)


def _of_rows(rows: Sequence[Row], model: Model) -> tuple[Floats, list[list[str]]]:
    about = model.about
    fields = {*about["numbers"], *about["categories"]}
    for number, row in enumerate(rows, 1):
        if others := sorted(set(row) - fields):
            raise ValueError(
                f"row {number}: there is no field {others[0]!r:.80}; there are {', '.join(sorted(fields))}."
            )
    found: tuple[Floats, list[list[str]]] = model.features.encode(rows, about["numbers"], about["categories"])
    return found


def _ready(rows: Any, width: int) -> tuple[Floats, list[list[str]]]:
    """Inputs as the model takes them; null is one that is missing."""
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == width for row in rows):
        raise ValueError(f"'features' is no list of rows of {width} numbers or nulls each.")
    numbers = [value for row in rows for value in row if value is not None]
    if any(type(value) not in (int, float) for value in numbers):
        raise ValueError("'features' holds what is neither a number nor null.")
    # Before they are converted: a whole number may have any number of digits.
    if not all(-LARGEST <= value <= LARGEST for value in numbers):
        raise ValueError("'features' holds a number that is too large for float32.")
    values = [[np.nan if value is None else float(value) for value in row] for row in rows]
    return np.array(values, np.float32).reshape(len(rows), width), [[] for _ in rows]


def _from_csv(text: str, about: Mapping[str, Any]) -> list[Row]:
    """Rows of a table, whose first line names the fields unless it is a row of `about.fields`; empty is missing."""
    try:
        # Lines end as they like; the reader sees to it.
        lines = [line for line in csv.reader(io.StringIO(text, newline="")) if line]
    except csv.Error as error:
        raise ValueError(f"The body is no CSV: {error}.") from error
    fields = list(about["fields"])
    if lines and set(lines[0]) == set(fields) and len(lines[0]) == len(fields):
        fields = lines.pop(0)
    found: list[Row] = []
    for number, line in enumerate(lines, 1):
        if len(line) != len(fields):
            raise ValueError(
                f"row {number}: there are {len(line)} values; there are {len(fields)} fields: {', '.join(fields)}."
            )
        found.append(
            {name: _cell(value.strip(), name, number, about) for name, value in zip(fields, line, strict=True)}
        )
    return found


def _cell(value: str, name: str, number: int, about: Mapping[str, Any]) -> str | float | None:
    if not value:
        return None
    if name not in about["numbers"]:
        return value
    if not NUMBER.fullmatch(value):
        raise ValueError(f"row {number}: '{name}' is {value!r:.80}, which is no number.")
    return float(value)


def _json(answers: Answers) -> str:
    rows = zip(answers.probabilities.tolist(), answers.unknown, strict=True)
    told = [{"probability": value, "model_run_ts": answers.run_ts, "unknown": list(each)} for value, each in rows]
    return json.dumps({"predictions": told})


def _csv(answers: Answers) -> str:
    rows = zip(answers.probabilities.tolist(), answers.unknown, strict=True)
    return "".join(f"{value!r},{answers.run_ts},{';'.join(each)}\n" for value, each in rows)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"The body holds {name}, which is no JSON; send null where nothing is known.")


def _refuse(text: str, status: int = 400) -> NoReturn:
    """As the toolkit answers a request that is wrong; outside of it, a ValueError with the `status`."""
    try:
        kind = import_module(ERROR).GenericInferenceToolkitError
    except ModuleNotFoundError:
        error = ValueError(text)
        error.status = status  # type: ignore[attr-defined]
        raise error from None
    raise kind(status, text)
