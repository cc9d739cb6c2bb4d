"""One answer to any request to score: picks what serves it and hands over only the ports that it takes."""

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from ratchet.catalog import Pipeline
from ratchet.instants import Clock
from ratchet.serving.batch import score_file
from ratchet.serving.champion import Champion
from ratchet.serving.request import File, Rows, Slots
from ratchet.serving.score import score_rows
from ratchet.serving.slots import Feed, PredictionTable, score_slots, table_inputs
from ratchet.sources import Tables
from ratchet.store import ObjectStore

if TYPE_CHECKING:
    from ratchet.extraction.source import Source


class Ports(Protocol):
    """What scoring may need, built when asked; rows in the event need none of it."""

    def store(self) -> ObjectStore:
        """The landing bucket."""

    def source(self) -> "Source":
        """Where the newest inputs stand."""

    def prediction_table(self) -> PredictionTable:
        """Where predictions go besides the bucket."""


def serve(request: Slots | Rows | File, pipeline: Pipeline, champion: Champion, ports: Ports, clock: Clock) -> Any:
    """The answer by the contract of the request's kind; see `score_slots`, `score_rows`, `score_file` for errors."""
    if isinstance(request, Rows):
        return score_rows(pipeline, champion, request)
    if isinstance(request, File):
        return score_file(pipeline, champion, ports.store(), request)
    if not pipeline.serving.catch_up_slots:
        # The champion has been looked after, which is all that a schedule is for where predictions are asked for.
        return {"scored": [], "skipped": [], "model_run_ts": champion.pointer.run_ts}
    table = ports.prediction_table() if pipeline.serving.upsert_table else None
    return score_slots(pipeline, champion, ports.store(), _feed(pipeline, champion, ports), clock, table)


def _feed(pipeline: Pipeline, champion: Champion, ports: Ports) -> Feed:
    """Where new inputs come from."""
    if isinstance(pipeline.source, Tables):
        return partial(table_inputs, pipeline, ports.source())
    from ratchet.meters.online import inputs  # pyarrow, which other pipelines do without

    return partial(inputs, pipeline, champion, ports.store())
