"""The newest forecasts to make: what a meter's landed readings allow since the last one, for scoring by slots.

A process keeps the parts that it has read; one listing tells which have changed.
"""

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

from ratchet.catalog import Pipeline
from ratchet.errors import BadBundle, ForeignDocument
from ratchet.extraction.source import EPOCH
from ratchet.files import part as parts
from ratchet.files import rows
from ratchet.files.recent import Recent
from ratchet.meters.forecast import Forecast
from ratchet.meters.kind import Source
from ratchet.meters.series import Series
from ratchet.serving.champion import Champion
from ratchet.serving.slots import Inputs
from ratchet.store import ObjectStore

_READ = Recent(256 * 1024 * 1024)
"""What this process has read, in bytes: thirty years of minutes."""


def inputs(pipeline: Pipeline, champion: Champion, store: ObjectStore, last: datetime | None, now: datetime) -> Inputs:
    """Rows of every origin after `last`, at most `catch_up_slots` back; only the newest one where there is no `last`.

    An origin is the end of the last step that is known; the one that `now` lies in counts once it has ended. Raises
    BadBundle for a model of another step or of other inputs, ForeignDocument.
    """
    series = read(store, pipeline)
    days = frozenset(champion.model.about.get("holidays", ()))
    forecast = Forecast(pipeline, series.step_minutes, days)
    newest = _known(series, now)
    first = newest
    if last is not None:
        behind = (int((last - EPOCH) / timedelta(microseconds=1)) - series.start) // series.step + 1
        first = max(behind, newest - pipeline.serving.catch_up_slots + 1)
    origins = np.arange(max(first, 1), newest + 1)
    if not len(origins):
        return Inputs([], [], np.empty((0, champion.model.width), np.float32), [])
    _check(forecast, champion)
    horizon = forecast.shape.horizon
    instants = [_instant(series, int(origin)) for origin in np.repeat(origins, horizon)]
    ahead = [
        timedelta(minutes=series.step_minutes) * int(step) for step in np.tile(np.arange(1, horizon + 1), len(origins))
    ]
    ends = [instant + reach for instant, reach in zip(instants, ahead, strict=True)]
    return Inputs(instants, ends, forecast.rows(series, origins), [])


def read(store: ObjectStore, pipeline: Pipeline) -> Series:
    """All landed readings. Raises ForeignDocument."""
    source, keys = Source(pipeline), pipeline.keys
    landed = parts.landed(store, keys, source.table)
    return Series.of(_rows(store, source, keys.part(source.table, name), part.etag) for name, part in landed.items())


def _rows(store: ObjectStore, source: Source, key: str, etag: str) -> pa.Table:
    """A part as it is under that tag, read once."""
    found: pa.Table | None = _READ.get((key, etag))
    if found is None:
        stored = store.get(key)
        if stored is None or stored.etag != etag:
            raise ForeignDocument(f"{key} is gone or not what its document says; it lands anew with the next run.")
        found = rows.read(source, stored.body, key)
        _READ.put((key, etag), found, found.nbytes)
    return found


def _known(series: Series, now: datetime) -> int:
    """How many values are known at `now`, trailing ones that are missing aside."""
    ended = (int((now - EPOCH) / timedelta(microseconds=1)) - series.start) // series.step
    known = np.flatnonzero(np.isfinite(series.values[: max(ended, 0)]))
    return int(known[-1]) + 1 if len(known) else 0


def _instant(series: Series, origin: int) -> datetime:
    return EPOCH + timedelta(microseconds=series.start + origin * series.step)


def _check(forecast: Forecast, champion: Champion) -> None:
    about = champion.model.about
    if about.get("step_minutes") != forecast.step_minutes or about.get("inputs") != forecast.inputs():
        raise BadBundle(
            f"The model in service forecasts steps of {about.get('step_minutes')} minutes from inputs of its own; the "
            f"readings have {forecast.step_minutes} minutes: run the pipeline, or roll back."
        )
