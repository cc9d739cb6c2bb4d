"""Warm execution environments: one process per concurrent invocation, kept for the next one.

Boundary: hands out and takes back processes of equal functions; knows nothing of what they answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from local.emulator.lambda_environment import Function

IDLE_SECONDS = 900.0
MOST_IDLE = 16


class Process(Protocol):
    """What the pool needs of an environment."""

    function: Function
    idle_since: float

    def stop(self) -> None:
        """End it."""


P = TypeVar("P", bound=Process)


class Lease(Generic[P]):
    """A process lent to one invocation."""

    def __init__(self, process: P) -> None:
        """`process` is nobody else's meanwhile."""
        self.process = process
        self.spent = False

    def spend(self) -> None:
        """The process must not serve again."""
        self.spent = True


class Pool(Generic[P]):
    """The processes of all functions."""

    def __init__(self, start: Callable[[Function], P], clock: Callable[[], float] = time.monotonic) -> None:
        """`start` makes a process; it always runs on one thread that lives as long as the pool.

        The kernel ends a process that asked for it when the *thread* that started it ends, not only its parent.
        """
        self._start = start
        self._clock = clock
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lambda-starter")
        self._lock = threading.Lock()
        self._idle: list[P] = []
        self._lent: set[P] = set()
        self._asked: dict[tuple[str, str], Function] = {}
        self._closed = False

    @contextmanager
    def lease(self, function: Function) -> Iterator[Lease[P]]:
        """A process of the function, warm where there is one; back in the pool afterwards unless spent or failed."""
        lease = Lease(self._take(function))
        try:
            yield lease
        except BaseException:
            lease.spend()
            raise
        finally:
            self._give_back(lease)

    def close(self) -> None:
        """End every process, also those that work; no further one starts."""
        with self._lock:
            self._closed = True
            processes = [*self._idle, *self._lent]
            self._idle.clear()
        for process in processes:
            process.stop()
        self._starter.shutdown(wait=False, cancel_futures=True)

    def _take(self, function: Function) -> P:
        with self._lock:
            if self._closed:
                raise RuntimeError("The emulator is stopping.")
            self._asked[function.name, function.version] = function
            warm = next((one for one in reversed(self._idle) if one.function == function), None)
            if warm is not None:
                self._idle.remove(warm)
                self._lent.add(warm)
                return warm
        process = self._starter.submit(self._start, function).result()
        with self._lock:
            self._lent.add(process)
        return process

    def _give_back(self, lease: Lease[P]) -> None:
        process = lease.process
        process.idle_since = self._clock()
        with self._lock:
            self._lent.discard(process)
            spent = lease.spent or self._closed
            if not spent:
                self._idle.append(process)
            surplus = [*self._surplus(), *([process] if spent else [])]
        for one in surplus:
            one.stop()

    def _surplus(self) -> list[P]:
        """Take out of the pool who idles too long, whose function has changed, and the longest idle of too many."""
        limit = self._clock() - IDLE_SECONDS
        keep = [one for one in self._idle if one.idle_since > limit and self._current(one.function)][-MOST_IDLE:]
        surplus = [one for one in self._idle if one not in keep]
        self._idle = keep
        return surplus

    def _current(self, function: Function) -> bool:
        """Whether it is configured as when it was last asked for."""
        return self._asked[function.name, function.version] == function
