"""Files: a range of a JSON Lines object scored in bounded memory; its answers are one object.

A bad row fails the whole call before anything is written.
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
from ratchet.serving.ranges import lines
from ratchet.serving.request import File
from ratchet.serving.score import answers
from ratchet.serving.session import CHUNK_ROWS
from ratchet.store import ObjectStore


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
