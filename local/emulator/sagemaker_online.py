"""An online store: of each record identifier the record with the latest event time. Lives in memory."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Kept:
    """The latest record of one identifier; `texts` are None where it was deleted, so that older ones stay out."""

    at: datetime
    texts: dict[str, str] | None


class OnlineStore:
    """The records of all feature groups."""

    def __init__(self) -> None:
        """Empty."""
        self._lock = threading.Lock()
        self._groups: dict[str, dict[str, Kept]] = {}

    def put(self, group: str, identifier: str, kept: Kept) -> bool:
        """Keep a record unless a later one is there; whether it was kept."""
        with self._lock:
            records = self._groups.setdefault(group, {})
            there = records.get(identifier)
            if there is not None and there.at > kept.at:
                return False
            records[identifier] = kept
        return True

    def forget(self, group: str, identifier: str, at: datetime) -> None:
        """Remove a record without a trace, unless a later one is there."""
        with self._lock:
            there = self._groups.get(group, {}).get(identifier)
            if there is not None and there.at <= at:
                del self._groups[group][identifier]

    def get(self, group: str, identifier: str) -> dict[str, str] | None:
        """The record's texts by feature; None where there is none."""
        kept = self._groups.get(group, {}).get(identifier)
        return kept.texts if kept else None

    def drop(self, group: str) -> None:
        """Forget a whole group."""
        with self._lock:
            self._groups.pop(group, None)
