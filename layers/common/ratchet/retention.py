"""Which run objects live on: tags that the bucket's lifecycle rule reads. Promotion keeps what a rollback may need."""

import re
from collections.abc import Iterable

from ratchet.errors import ForeignDocument
from ratchet.keys import Keys
from ratchet.pointer import Pointer
from ratchet.store import ObjectStore

EXPIRES = {"ratchet:retention": "run"}
"""Tag of a run's objects when they are written: they expire after 30 days."""
KEEPS = {"ratchet:retention": "champion"}
"""Tag of a champion's objects: they stay."""
_DATA = re.compile(r"/run_ts=([^/]+)/train\.parquet$")


def needed(keys: Keys, run_ts: str, train_uri: str) -> set[str]:
    """Keys of what a run's model is served, explained and trained again from; its data may be an earlier run's.

    Raises ForeignDocument when `train_uri` names no run's data.
    """
    data = _DATA.search(train_uri)
    if data is None:
        raise ForeignDocument(f"{train_uri} is not where Ratchet keeps a run's training data.")
    own = {name(run_ts) for name in (keys.model, keys.evaluation, keys.card, keys.package)}
    return own | {name(data[1]) for name in (keys.train, keys.manifest, keys.holdout)}


def keep(store: ObjectStore, keys: Keys, champion: Pointer) -> None:
    """Lets what a champion needs live on. Raises as `needed`."""
    retag(store, needed(keys, champion.run_ts, champion.train_uri), KEEPS)


def retag(store: ObjectStore, keys: Iterable[str], tags: dict[str, str]) -> None:
    """Tags the objects at these keys; what is not there is passed over."""
    for key in sorted(keys):
        store.tag(key, tags)
