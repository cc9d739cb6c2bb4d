"""The step Extract: tables are read page by page, files land part by part; the machine calls until it is done.

With `part` in the event one part of a source that is files lands; anybody may ask for that, at any time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ratchet.catalog import Pipeline
from ratchet.extraction.extract import extract
from ratchet.extraction.progress import Work, stop_before
from ratchet.extraction.source import Source
from ratchet.instants import Clock, parse_instant
from ratchet.sources import Tables
from ratchet.store import ObjectStore


class Ports(Protocol):
    """What extraction needs, built when asked."""

    def store(self) -> ObjectStore:
        """The landing bucket."""

    def source(self) -> Source:
        """Where tables are."""

    def files(self, pipeline: Pipeline) -> ObjectStore:
        """Where files are."""


@dataclass(frozen=True)
class Step:
    """One invocation, by the event of the function `extract` (docs/contracts.md); `time_left` is in seconds."""

    pipeline: Pipeline
    event: Mapping[str, Any]
    time_left: Callable[[], float]
    clock: Clock

    def run(self, ports: Ports) -> dict[str, Any]:
        """The function's result. Raises what `extract` and `land` raise."""
        return self._tables(ports) if isinstance(self.pipeline.source, Tables) else self._files(ports)

    def _tables(self, ports: Ports) -> dict[str, Any]:
        since = parse_instant(self.event["since_ts"]) if self.event.get("since_ts") else None
        run = {name: self.event[name] for name in ("run_ts", "execution", "token")}
        out_of_time = stop_before(self.time_left)
        work = Work(ports.store(), ports.source(), self.pipeline, self.clock, out_of_time=out_of_time, **run)
        found = extract(work, since)
        tables = {name: mark.summary() for name, mark in found.tables.items()}
        return _result(found.done, found.rows_read, found.rows_changed, [], tables)

    def _files(self, ports: Ports) -> dict[str, Any]:
        from ratchet.files import land  # pyarrow, which tables come without

        store, files = ports.store(), ports.files(self.pipeline)
        if self.event.get("part"):
            found = land.land(store, files, self.pipeline, self.event["part"])
        else:
            found = land.survey(store, files, self.pipeline, self.event["run_ts"], self.event.get("month"))
        return _result(found.done, found.rows_read, found.rows_changed, found.parts, found.tables)


def _result(done: bool, rows_read: int, rows_changed: int, parts: list[str], tables: Any) -> dict[str, Any]:
    told = {"done": done, "rows_read": rows_read, "rows_changed": rows_changed}
    return {**told, "parts": parts, "tables": tables}
