"""Landing: merges rows into the object of their UTC day, rewritten whole by conditional put; the same rows, no write.

Whoever reads the source later knows better: its rows replace landed ones of the same key, in the landing file and in
the file of rejected rows beside it alike.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar

import numpy as np

from ratchet.errors import Unavailable
from ratchet.extraction.columns import Column, Columns, changes, empty, length, merge, newest
from ratchet.extraction.source import Rejected, instant_of
from ratchet.extraction.watermark import Day
from ratchet.instants import iso
from ratchet.keys import Keys
from ratchet.sources import Table
from ratchet.store import ObjectStore, create, replace
from ratchet.tables import landing_file

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Batch:
    """What was read of one UTC day: sound rows in key order, rows set aside, and those rows' keys.

    `whole` says that it is everything the source has of that day: what else has landed is gone there.
    """

    columns: Columns
    rejected: list[Rejected] = field(default_factory=list)
    rejected_keys: Column = field(default_factory=lambda: np.empty(0, "datetime64[us]"))
    whole: bool = False


@dataclass(frozen=True)
class Area:
    """The landing area of one table; `tags` holds the tags of the objects that are known to stand there, by key."""

    store: ObjectStore
    keys: Keys
    name: str
    table: Table
    tags: dict[str, str]

    def land(self, day: date, batch: Batch) -> tuple[Day, int]:
        """Lands a batch; what the day holds now, and how many rows differ from before. Raises Unavailable."""
        rejected = self._land_rejected(day, batch)
        etag, rows, changed = self._land_rows(day, batch)
        return Day(rows, rejected, etag), changed

    def land_keyless(self, rows: list[Rejected]) -> None:
        """Lands rows whose key cannot be read, so that no day is known."""

        def merged(old: list[Rejected]) -> list[Rejected]:
            return sorted({*old, *rows})

        self._swap_rejected(self.keys.rejected(self.name, None), merged)

    def _land_rows(self, day: date, batch: Batch) -> tuple[str, int, int]:
        key = self.keys.landing(self.name, day)
        new = newest(batch.columns, self.table.key)

        def merged(body: bytes | None) -> tuple[bytes, tuple[int, int]]:
            old = landing_file.read(self.table, body, key) if body is not None else empty(self.table)
            if batch.whole:
                rows, changed = new, changes(old, new, self.table.key)
            else:
                rows, changed = merge(old, new, self.table.key, without=batch.rejected_keys)
            unchanged = body if not changed else None
            return unchanged or landing_file.write(self.table, rows), (length(rows), changed)

        etag, (rows, changed) = _swap(self.store, key, self.tags.get(key), merged)
        self.tags[key] = etag
        return etag, rows, changed

    def _land_rejected(self, day: date, batch: Batch) -> int:
        """How many rows of the day are set aside now."""

        def merged(old: list[Rejected]) -> list[Rejected]:
            sound = {iso(instant_of(value)) for value in batch.columns[self.table.key]}
            read = sound | {row.key for row in batch.rejected}
            kept = [] if batch.whole else [row for row in old if row.key not in read]
            return sorted({*kept, *batch.rejected})

        key = self.keys.rejected(self.name, day)
        if not batch.rejected and key not in self.tags:
            return 0
        return self._swap_rejected(key, merged)

    def _swap_rejected(self, key: str, merged: Callable[[list[Rejected]], list[Rejected]]) -> int:
        def file(body: bytes | None) -> tuple[bytes, int]:
            old = landing_file.read_rejected(body, key) if body is not None else []
            rows = merged(old)
            unchanged = body if rows == old else None
            return unchanged or landing_file.write_rejected(rows), len(rows)

        self.tags[key], count = _swap(self.store, key, self.tags.get(key), file)
        return count


def survey(store: ObjectStore, keys: Keys, name: str, table: Table) -> Area:
    """The landing area of a table as it stands now."""
    tags = {listed.key: listed.etag for listed in store.list(keys.landing_root(name))}
    return Area(store, keys, name, table, tags)


def _swap(
    store: ObjectStore, key: str, known: str | None, change: Callable[[bytes | None], tuple[bytes, Answer]]
) -> tuple[str, Answer]:
    """Changes the version `known` of an object (None: creates it); `change` gets its content, the same back: no write.

    Raises Unavailable for another version: its rows were read at the source after this process began, and may be newer
    than those at hand.
    """
    found = store.get(key) if known else None
    if (found.etag if found else None) == known:
        body, answer = change(found.body if found else None)
        if found and body == found.body:
            return found.etag, answer
        etag = replace(store, key, body, found.etag) if found else create(store, key, body)
        if etag is not None:
            return etag, answer
    raise Unavailable(f"Another process changed {key} meanwhile; what it holds is read anew.")
