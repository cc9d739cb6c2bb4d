"""What must hold after every change of the bucket and at the end: each rule has a sentence, which a violation names.

The rules read the bucket itself, never what the code under test says that it did.
"""

from collections.abc import Callable

from ratchet.store import Stored

from tests.faults.simulator.bucket import Change
from tests.faults.simulator.rules.data import Data
from tests.faults.simulator.rules.models import Models
from tests.faults.simulator.rules.runs import RUNS, Runs
from tests.faults.simulator.rules.scoring import Scoring
from tests.faults.simulator.rules.seen import KEYS
from tests.faults.simulator.rules.signed import APPROVALS


class Watch(Models, Runs, Data, Scoring):
    """Looks at every change of a world."""

    def changed(self, change: Change, before: Stored | None) -> None:
        """Looks at a change that just took effect."""
        self.world.happened["changes"] += 1
        self.keeping(change, before)
        if change.body is None:
            return
        for start, look in _BY_KEY:
            if change.key.startswith(start):
                look(self, change, before)
                return
        if change.key.endswith("/evaluation.json"):
            self._evaluation(change.key)
        elif change.key.endswith("/model.tar.gz") and change.key.startswith("model/"):
            self._bundle(change, before)
        elif change.key.endswith(("/manifest.json", "/train.parquet", "/holdout.parquet")):
            self._prepared(change)


_BY_KEY: list[tuple[str, Callable[[Watch, Change, Stored | None], None]]] = [
    (KEYS.pointer(), Watch._pointer),
    ("model/history/", Watch._history),
    (KEYS.tests(), Watch._tests),
    (KEYS.lease(), Watch._lease),
    (RUNS, Watch._claim),
    (APPROVALS, Watch._approval),
    ("landing/", Watch._landing),
    (KEYS.train_latest(), Watch._train_latest),
    ("predictions/dt=", Watch._slot),
    (KEYS.scoring_state(), Watch._scoring_state),
]
