"""Processes of a simulated world, of which one goes on at a time; its clock, and what is left to chance by name."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zlib import crc32

from ratchet.errors import RatchetError
from ratchet.instants import iso

from tests.faults.simulator.bucket import Bucket
from tests.faults.simulator.functions import PIPELINE
from tests.faults.simulator.hosting import Hosts
from tests.faults.simulator.invariants import Watch
from tests.faults.simulator.processes import Killed, Process
from tests.faults.simulator.registry import Packages
from tests.faults.simulator.rules.seen import Violation
from tests.faults.simulator.source import Table

NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)
SKEW = timedelta(minutes=10)


def instant(hours: float) -> str:
    """An instant so many hours from the beginning."""
    return iso(NOW + timedelta(hours=hours))


class Scene:
    """Bucket, source, clock, services and processes. `seed` decides what is left to chance by name.

    Where it is `signed`, a person decides which models come into service.
    """

    def __init__(
        self, seed: int, bucket: Bucket | None = None, tables: dict[str, Table] | None = None, *, signed: bool = False
    ) -> None:
        self.seed, self.signed = seed, signed
        self.bucket = bucket or Bucket()
        self.now = NOW
        self.tables = tables or {name: Table() for name in PIPELINE.source.tables}
        self.processes: dict[str, Process] = {}
        self.watch = Watch(self)
        self.bucket.watch = self.watch.changed
        self.packages, self.hosts = Packages(self), Hosts(self)
        self.happened: Counter[str] = Counter()
        self.skew = SKEW
        self._ended: dict[str, Callable[[Process], None]] = {}

    def alive(self) -> list[str]:
        """The names of all processes that wait for their turn, in the order of their making."""
        return list(self.processes)

    def turn(self, name: str, action: str = "go") -> None:
        """One request of a process, with what befalls it."""
        process = self.processes[name]
        self.bucket.step += 1
        self.now += timedelta(seconds=1)
        process.resume(action)
        if process.done:
            self._settle(process)

    def spawn(self, name: str, program: Callable[[Process], Any], ended: Callable[[Process], None]) -> Process:
        """A new process, run until its first request."""
        process = Process(name, program)
        self.processes[name], self._ended[name] = process, ended
        process.resume()
        if process.done:
            self._settle(process)
        return process

    def stop(self, name: str) -> None:
        """Ends a process where it stands; nobody is told."""
        self.processes.pop(name).end()
        self._ended.pop(name)

    def close(self) -> None:
        """Ends whatever still runs."""
        for process in list(self.processes.values()):
            process.end()

    def _settle(self, process: Process) -> None:
        if self.processes.pop(process.name, None):
            if isinstance(process.error, Violation):
                raise process.error
            if process.error and not isinstance(process.error, RatchetError | Killed):
                raise Violation("no step breaks on what another did", f"{process.name}: {process.error!r}") from (
                    process.error
                )
            self._ended.pop(process.name)(process)

    def clock_of(self, name: str) -> Callable[[], datetime]:
        """A clock that may be ten minutes wrong."""
        # A checksum, since to seed a generator for every step takes longer than the step.
        wrong = crc32(f"{self.seed} {name}".encode()) % 4
        if wrong > 1:
            return lambda: self.now
        self.happened["a clock 10 minutes wrong"] += 1
        skew = SKEW if wrong else -SKEW
        return lambda: self.now + skew

    def chance(self, name: str) -> random.Random:
        """What is left to chance for this name, the same in every replay."""
        return random.Random(f"{self.seed} {name}")
