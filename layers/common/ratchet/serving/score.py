"""Rows to answers: checked by the pipeline's own features module, predicted together, shaped as the contract says.

Where rows come from and answers go is the business of `slots` and `batch`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any

import numpy as np

from ratchet.catalog import Pipeline
from ratchet.errors import BadInput
from ratchet.instants import iso, parse_instant
from ratchet.serving import records
from ratchet.serving.champion import Champion
from ratchet.serving.request import Rows
from ratchet.serving.session import Floats

Answer = dict[str, Any]
"""`{base_ts, target_ts, model_run_ts, pred: {target: value}, unknown}`."""
Row = Mapping[str, Any]


def score_rows(pipeline: Pipeline, champion: Champion, request: Rows) -> Answer | list[Answer]:
    """The answers to a request's rows, in their order; one answer to a single row. Raises BadInput."""
    labels = ["the row"] if request.single else [f"row {number}" for number in range(1, len(request.rows) + 1)]
    found = answers(pipeline, champion, request.rows, labels)
    return found[0] if request.single else found


def answers(pipeline: Pipeline, champion: Champion, rows: Sequence[Row], labels: Sequence[str]) -> list[Answer]:
    """One answer per row, in their order. Raises BadInput with the first bad row's label and field."""
    features = pipeline.module("features")
    if hasattr(features, "encode"):
        return _of_records(features, champion, rows, labels)
    matrix = np.empty((len(rows), champion.model.width), np.float32)
    instants: list[datetime] = []
    for index, (row, label) in enumerate(zip(rows, labels, strict=True)):
        instants.append(_instant(row, label))
        if hasattr(features, "FIELDS"):
            fields = {field: _present(row, field, label) for field in features.FIELDS}
            matrix[index] = features.inputs(**fields, row=label)
        else:
            matrix[index] = _ready(_present(row, "features", label), champion.model.width, label)
    horizon = timedelta(minutes=pipeline.data.label_horizon_minutes)
    ends = [instant + horizon for instant in instants] if horizon else [None] * len(instants)
    return shape(champion, instants, ends, champion.model.predict(matrix), labels)


def _of_records(features: ModuleType, champion: Champion, rows: Sequence[Row], labels: Sequence[str]) -> list[Answer]:
    """Answers to rows of named fields, which need no instant, with the fields that are `unknown`."""
    instants = [
        _instant(row, label) if row.get("base_ts") is not None else None
        for row, label in zip(rows, labels, strict=True)
    ]
    matrix, unknown = records.encoded(features, champion.model, rows, labels)
    told = shape(champion, instants, [None] * len(rows), champion.model.predict(matrix), labels)
    return [{**answer, "unknown": fields} for answer, fields in zip(told, unknown, strict=True)]


def shape(
    champion: Champion,
    instants: Sequence[datetime | None],
    ends: Sequence[datetime | None],
    values: Floats,
    labels: Sequence[str],
) -> list[Answer]:
    """Answers of predictions, float32 [N, targets]; `ends` say until when they reach, where that is known.

    Raises BadInput for a row that the model has no number for."""
    wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(wrong):
        raise BadInput(f"{labels[wrong[0]]}: the model has no finite answer; its values are far from those trained on.")
    return [
        {
            **({"base_ts": iso(instant)} if instant else {}),
            **({"target_ts": iso(end)} if end else {}),
            "model_run_ts": champion.pointer.run_ts,
            "pred": dict(zip(champion.model.targets, row, strict=True)),
        }
        for instant, end, row in zip(instants, ends, values.tolist(), strict=True)
    ]


def _ready(values: Any, width: int, label: str) -> Floats:
    """Inputs as a model takes them, float32 [width]; null is one that is missing. Raises BadInput."""
    if not isinstance(values, list) or len(values) != width:
        raise BadInput(f"{label}: 'features' is no list of {width} numbers or nulls.")
    strange = [each for each in values if each is not None and type(each) not in (int, float)]
    if strange:
        raise BadInput(f"{label}: 'features' contains {strange[0]!r:.80}, which is no number.")
    try:
        with np.errstate(over="ignore"):
            row = np.array([np.nan if each is None else each for each in values], np.float32)
    except OverflowError as error:
        raise BadInput(f"{label}: 'features' contains a number that is too large for float32.") from error
    if np.isinf(row).any():
        raise BadInput(f"{label}: 'features' contains a number that is too large for float32.")
    return row


def _instant(row: Mapping[str, Any], label: str) -> datetime:
    text = _present(row, "base_ts", label)
    if not isinstance(text, str):
        raise BadInput(f"{label}: 'base_ts' is {text!r}; write it as 2026-11-21T04:00:00Z.")
    try:
        return parse_instant(text)
    except BadInput as error:
        raise BadInput(f"{label}: 'base_ts': {error}") from error


def _present(row: Mapping[str, Any], field: str, label: str) -> Any:
    if row.get(field) is None:
        raise BadInput(f"{label}: '{field}' is missing.")
    return row[field]
