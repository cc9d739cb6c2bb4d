"""Ranges of a JSON Lines object: planned by its size alone, read line by line, streamed.

A range owns the lines that begin in it, so ranges that meet cover every line once. Knows nothing of models.
"""

import json
from collections.abc import Iterator
from typing import Any

from ratchet.catalog import Pipeline
from ratchet.errors import BadInput
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
