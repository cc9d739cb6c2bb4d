"""Files: JSON Lines in S3 scored in byte ranges, streamed, in bounded memory; a range's answers are one object.

A range owns the lines that begin in it, so ranges that meet cover every line once. A bad row fails the whole call
before anything is written.
"""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ratchet.catalog import Pipeline
from ratchet.errors import BadInput
from ratchet.serving.champion import Champion
from ratchet.serving.request import File
from ratchet.serving.score import answers
from ratchet.serving.session import CHUNK_ROWS
from ratchet.store import ObjectStore

RANGE_BYTES = 16 << 20
"""About 1,600 rows of 512 numbers as text."""
PLAN_BYTES = 200_000
"""A state's result may have 262,144 bytes; ranges grow so that the plan stays below."""
LINE_BYTES = 1 << 20


def plan(pipeline: Pipeline, store: ObjectStore, input_uri: str, output_uri: str) -> list[dict[str, Any]]:
    """The ranges of an object, as events for scoring; their outputs in order of name are the answers in order.

    Raises BadInput when there is no such object.
    """
    found = store.head(store.key_of(input_uri))
    if found is None:
        raise BadInput(f"{input_uri} does not exist.")
    store.key_of(output_uri)
    longest = len(json.dumps(_range(pipeline, input_uri, output_uri, 0, found.size, found.size)))
    step = max(RANGE_BYTES, -(-found.size * longest // PLAN_BYTES))
    return [
        _range(pipeline, input_uri, output_uri, index, start, min(start + step, found.size))
        for index, start in enumerate(range(0, found.size, step))
    ]


def _range(pipeline: Pipeline, source: str, output: str, index: int, start: int, end: int) -> dict[str, Any]:
    part = f"{output.rstrip('/')}/part-{index:05d}.jsonl"
    return {"pipeline": pipeline.name, "input_uri": source, "output_uri": part, "start": start, "end": end}


def score_file(pipeline: Pipeline, champion: Champion, store: ObjectStore, request: File) -> dict[str, Any]:
    """Scores a range and writes its answers; `{rows, output_uri, model_run_ts}`.

    Raises BadInput naming the line and the field.
    """
    key, rows = store.key_of(request.input_uri), 0
    target = store.key_of(request.output_uri)
    with TemporaryDirectory() as folder:
        path = Path(folder, "answers.jsonl")
        with path.open("w", encoding="utf-8") as output:
            parsed_rows = _rows(lines(store, key, request.start, request.end), request.start)
            while chunk := list(islice(parsed_rows, CHUNK_ROWS)):
                labels, parsed = zip(*chunk, strict=True)
                for answer in answers(pipeline, champion, parsed, labels):
                    output.write(json.dumps(answer, allow_nan=False) + "\n")
                rows += len(chunk)
        store.upload(path, target)
    return {"rows": rows, "output_uri": request.output_uri, "model_run_ts": champion.pointer.run_ts}


def lines(store: ObjectStore, key: str, start: int, end: int | None) -> Iterator[tuple[int, bytes]]:
    """The lines that begin in [start, end), numbered from 1 within the range. Raises BadInput for one beyond 1 MiB."""
    # The byte before tells whether a line begins at `start`: whatever ends first is the range before's.
    at, number, foreign, rest = max(start - 1, 0), 0, start > 0, b""
    for piece in store.stream(key, at):
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            begin, at = at, at + len(line) + 1
            if end is not None and begin >= end:
                return
            if not foreign:
                number += 1
                yield number, line
            foreign = False
        if len(rest) > LINE_BYTES:
            raise BadInput(f"A line of {key} at byte {at} is longer than {LINE_BYTES:,} bytes; is it JSON Lines?")
        if end is not None and at >= end:
            return
    if rest and not foreign:
        yield number + 1, rest


def _rows(numbered: Iterator[tuple[int, bytes]], start: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows with the words that find them again; blank lines are passed over."""
    for number, line in numbered:
        if not line.strip():
            continue
        label = f"line {number}" + (f" after byte {start}" if start else "")
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{label} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise BadInput(f"{label} is a {type(row).__name__}, not an object with 'base_ts' and the features.")
        yield label, row
