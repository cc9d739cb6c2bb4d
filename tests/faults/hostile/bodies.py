"""Requests to an endpoint as a broken or hostile client sends them: bodies, and what they are said to be."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import numpy as np
import onnxruntime
from ratchet.catalog import load
from ratchet.endpoint import inference
from ratchet.sources import TabularFiles

from tests import bundles
from tests.faults.hostile import changes
from tests.faults.hostile.target import Target, check_message

PIPELINE = load("adclick")
SOURCE, FEATURES = PIPELINE.source_as(TabularFiles), PIPELINE.module("features")
FIELDS = [*SOURCE.numbers, *SOURCE.categories]
INPUTS = FEATURES.inputs(SOURCE.numbers, SOURCE.categories)
ABOUT = {"inputs": INPUTS, "numbers": SOURCE.numbers, "categories": SOURCE.categories, "fields": FIELDS}
ROW = dict(zip(FIELDS, (31, "Female", "Mobile", "Top", "News", "Night"), strict=True))
ASKED: list[Any] = [ROW, [ROW, {**ROW, "gender": None}], {"rows": [ROW] * 3}, {"features": [[1.0] * len(INPUTS)] * 2}]
LINE = ",".join(map(str, ROW.values()))
TABLES = [f"{LINE}\n", f"{','.join(FIELDS)}\n{LINE}\n{LINE}\n", f"{','.join(reversed(FIELDS))}\r\nNight,,,,,31\r\n"]
KINDS = ["application/json", "text/csv", "TEXT/CSV; charset=latin-1", "image/png", "", "\ud800", ";" * 9000]
ACCEPTS = ["", "*/*", "text/csv", "text/csv;q=0.5, application/json", "image/png", ",;,", "x" * 9000, "\ud800\n"]
PIECES = [
    "\n",
    "\r",
    "\r\n",
    '"',
    ",",
    ";",
    "\0",
    "\ufeff",
    "nan",
    "inf",
    "-",
    "1e999",
    "1_0",
    "\u0663",
    " ",
    "'",
    "=1+1",
]
MIB = 1 << 20


def _model() -> inference.Model:
    """Its answer is the first input of a row: the age, and no number where that is missing."""
    with TemporaryDirectory() as folder:
        bundles.unpacked(Path(folder), bundles.first_columns(len(INPUTS), 1), pipeline="adclick")
        document = json.loads(Path(folder, "bundle.json").read_text())
        session = onnxruntime.InferenceSession(Path(folder, "model.onnx").read_bytes())
    return inference.Model(session, document["run_ts"], ABOUT, FEATURES)


MODEL = _model()


def request(rng: Random) -> bytes:
    """A body, after two bytes that say as what it is sent and as what its answer is wanted."""
    table = rng.random() < 0.5
    body = _table(rng) if table else changes.dumps(_document(rng))
    if rng.random() < 0.2:
        body = changes.of_bytes(rng, body)
    kind = int(table) if rng.random() < 0.95 else rng.randrange(len(KINDS))
    return bytes([kind, rng.randrange(4) if rng.random() < 0.9 else rng.randrange(len(ACCEPTS))]) + body


def _document(rng: Random) -> Any:
    document = rng.choice(ASKED)
    for _ in range(rng.choice((0, 1, 1, 1, 2))):
        document = changes.of_json(rng, document)
    return document


def _table(rng: Random) -> bytes:
    text = rng.choice(TABLES)
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(PIECES) + text[at + rng.choice((0, 1, 3)) :]
    return text.encode(rng.choice(("utf-8",) * 8 + ("utf-8-sig", "utf-16")))


def check(data: bytes) -> str:
    """Asks as the toolkit does; every row of an answer is a number and says of which run."""
    kind, accept = KINDS[data[0] % len(KINDS)], ACCEPTS[data[1] % len(ACCEPTS)]
    try:
        answers = inference.predict_fn(inference.input_fn(data[2:], kind), MODEL)
        body, told = inference.output_fn(answers, accept)
    except ValueError as error:
        check_message(str(error))
        return f"refused by {error.status}"  # type: ignore[attr-defined]
    read: Callable[[str], list[tuple[float, str]]] = _from_json if told == inference.JSON else _from_csv
    found = read(body)
    assert 0 < len(found) == len(answers.unknown) <= inference.MOST_ROWS
    assert np.isfinite([value for value, _ in found]).all()
    assert {run for _, run in found} == {MODEL.run_ts}
    return "unknown flagged" if any(answers.unknown) else "answers"


def _from_json(body: str) -> list[tuple[float, str]]:
    told = json.loads(body, parse_constant=_no_json)["predictions"]
    return [(each["probability"], each["model_run_ts"]) for each in told]


def _from_csv(body: str) -> list[tuple[float, str]]:
    lines = [line.split(",") for line in body.splitlines()]
    assert all(set(unknown.split(";")) <= {"", *FIELDS} for _, _, unknown in lines)
    return [(float(value), run) for value, run, _ in lines]


def _no_json(name: str) -> NoReturn:
    raise AssertionError(name)


def _json(text: str) -> Callable[[], bytes]:
    return lambda: b"\0\0" + text.encode()


def _csv(text: str) -> Callable[[], bytes]:
    return lambda: b"\1\0" + text.encode()


def _deep(depth: int) -> str:
    return json.dumps({**ROW, "age": "@"}).replace('"@"', "[" * depth + "]" * depth)


ASKED_FOR = Target(
    request,
    check,
    (
        *(_json(_deep(depth)) for depth in (900, 990, 3_000, 9_000, 9_900, MIB)),
        *(_json(each * MIB) for each in ("[", "9", '{"a":', "[[],")),
        _json("[" + "{}," * 2 * MIB + "{}]"),
        _json(json.dumps([ROW] * 40_000)),
        _json(json.dumps({"features": [[1.5] * len(INPUTS)] * 30_000})),
        _json(json.dumps({"features": [[]] * MIB})),
        _json(json.dumps(dict.fromkeys(map(str, range(300_000))))),
        *(_csv(each * (6 * MIB // len(each))) for each in (",", '"', "\n", "\r", "x", "1\n", "\0")),
        _csv(f"{LINE}\n" * 150_000),
        _csv(f"{','.join(FIELDS)},{'age,' * MIB}\n"),
        _csv("9" * 100_000 + LINE),
    ),
)
