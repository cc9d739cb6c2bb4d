"""A pipeline that is predicted on request, as a process holds it: its champion, and what was read of its machines."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import numpy as np

from ratchet.catalog import Pipeline, load
from ratchet.errors import BadBundle, UnknownMachine
from ratchet.sensors.history import History
from ratchet.sensors.kind import Source
from ratchet.sensors.online import Row, row
from ratchet.sensors.samples import Machine
from ratchet.serving.champion import Champion, Follower
from ratchet.serving.session import Model
from ratchet.store import ObjectStore


@dataclass(frozen=True)
class Predicted:
    """A machine's `value` in `unit`, the row that it was made from, and the model's sensors that are `missing`."""

    value: float
    unit: str
    row: Row
    missing: list[str]


class Service:
    """One pipeline whose source is sensor files; for one request at a time."""

    def __init__(self, pipeline: Pipeline) -> None:
        """Loads and reads nothing yet. Raises BadConfiguration for a pipeline of another source."""
        self.pipeline = pipeline
        self.source = Source(pipeline)
        self.history = History(self.source)
        self.follower = Follower(pipeline, fits=self._fits)

    def predict(
        self,
        champion: Champion,
        store: ObjectStore,
        files: ObjectStore,
        machine: Machine,
        now: datetime,
        late: Callable[[], bool],
    ) -> Predicted:
        """The prediction for a machine from its hours until `now`; `late` says when there is no more time to read.

        Raises UnknownMachine, StaleInput, BadBundle where the model has no number for it, ForeignDocument, Unavailable.
        """
        name = "/".join(machine)
        rows = self.history.read(store, files, machine, now, late)
        if rows is None:
            days = self.source.history_days
            raise UnknownMachine(
                f"There is no file and no record of {name} in the last {days} days: see zoneId, equipId."
            )
        found = row(self.source, rows, name, now)
        value = float(champion.model.predict(found.features)[0, 0])
        if not np.isfinite(value):
            raise BadBundle(f"The model of {champion.pointer.run_ts} has no finite answer for {name}: roll back.")
        learned = champion.model.about.get("sensors", list(self.source.declared.sensors))
        missing = [sensor for sensor in learned if sensor not in found.told]
        return Predicted(value, champion.model.units[0], found, missing)

    def _fits(self, model: Model) -> None:
        """Whether a model takes what is made here, in the same order, and answers in the declared unit."""
        about, declared = model.about, self.pipeline.data.targets
        if not isinstance(about, dict) or about.get("inputs") != self.source.inputs():
            raise BadBundle(
                f"The model of {model.run_ts} takes other inputs than this version makes: deploy the version "
                "that it was trained with, roll back, or train again."
            )
        if model.units != tuple(declared[target] for target in model.targets):
            raise BadBundle(
                f"The model of {model.run_ts} answers in {', '.join(model.units)}: roll back or train again."
            )


@cache
def service(pipeline: str) -> Service:
    """This process's hold on the pipeline of that name. Raises UnknownPipeline, BadConfiguration."""
    return Service(load(pipeline))
