"""What a scorer can be asked: new slots, rows in the event, or a file. Parses events; does nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ratchet.errors import BadInput

DEFAULT_PIPELINE = "returns"
FORMS = (
    'send {"pipeline"}, rows with "base_ts" and the pipeline\'s features, {"pipeline", "rows": [...]}, '
    'or {"pipeline", "input_uri", "output_uri"}'
)


@dataclass(frozen=True)
class Slots:
    """Score every slot not yet scored."""

    pipeline: str


@dataclass(frozen=True)
class Rows:
    """Score these rows; `single` when the event was one row, so that the answer is one too."""

    pipeline: str
    rows: list[Mapping[str, Any]]
    single: bool


@dataclass(frozen=True)
class File:
    """Score the JSON lines that begin in [start, end) of an object; `end` None means to its end."""

    pipeline: str
    input_uri: str
    output_uri: str
    start: int
    end: int | None


def parse(event: Any) -> Slots | Rows | File:
    """The request that an event makes. Raises BadInput naming what is wrong with it."""
    if isinstance(event, list):
        return Rows(DEFAULT_PIPELINE, _rows(event), single=False)
    if not isinstance(event, Mapping):
        raise BadInput(f"The event is a {type(event).__name__}; {FORMS}.")
    pipeline = _pipeline(event)
    if "input_uri" in event or "output_uri" in event:
        return parse_file(event)
    if "rows" in event:
        return Rows(pipeline, _rows(event["rows"]), single=False)
    if set(event) == {"pipeline"} or set(event) == {"pipeline", "scheduledTime"}:
        return Slots(pipeline)
    if not set(event) - {"pipeline", "scheduledTime"}:
        raise BadInput(f"The event names no pipeline; {FORMS}.")
    return Rows(pipeline, [event], single=True)


def _pipeline(event: Mapping[str, Any]) -> str:
    pipeline = event.get("pipeline", DEFAULT_PIPELINE)
    if not isinstance(pipeline, str):
        raise BadInput(f"'pipeline' is {pipeline!r}, not a name.")
    return pipeline


def _rows(rows: Any) -> list[Mapping[str, Any]]:
    if not isinstance(rows, list):
        raise BadInput(f"'rows' is a {type(rows).__name__}, not a list of rows.")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise BadInput(f"row {number} is a {type(row).__name__}, not an object with 'base_ts' and the features.")
    return rows


def parse_file(event: Mapping[str, Any]) -> File:
    """The file request that an event makes, to be scored or planned. Raises BadInput naming what is wrong with it."""
    known = {"pipeline", "input_uri", "output_uri", "start", "end"}
    if set(event) - known:
        raise BadInput(f"'{min(set(event) - known)}' is unknown beside 'input_uri'; {FORMS}.")
    for name in ("input_uri", "output_uri"):
        if not isinstance(event.get(name), str) or not event[name]:
            raise BadInput(f"'{name}' is missing or no text; name an object as s3://bucket/key.")
    start, end = event.get("start") or 0, event.get("end")
    if type(start) is not int or start < 0 or (end is not None and (type(end) is not int or end < start)):
        raise BadInput(f"'start' and 'end' are {start!r} and {end!r}; they are byte offsets with start <= end.")
    return File(_pipeline(event), event["input_uri"], event["output_uri"], start, end)
