"""Which run objects live on: tags that the bucket's lifecycle rule reads. Promotion keeps what a rollback may need."""

from ratchet.keys import Keys
from ratchet.store import ObjectStore

EXPIRES = {"ratchet:retention": "run"}
"""Tag of a run's objects when they are written: they expire after 30 days."""
KEEPS = {"ratchet:retention": "champion"}
"""Tag of a champion's objects: they stay."""


def retag(store: ObjectStore, keys: Keys, run_ts: str, tags: dict[str, str]) -> None:
    """Tags what a run wrote to be judged, served and explained; objects that are not there are passed over."""
    names = (keys.model, keys.evaluation, keys.card, keys.train, keys.manifest, keys.holdout)
    for key in (name(run_ts) for name in names):
        if store.head(key):
            store.tag(key, tags)
