"""Cancellation for executions: what runs inside an execution, and how all of it ends at once.

ministack lets the threads of an aborted execution run on. Here every execution, branch, item and task attempt is a
`Scope` in a tree: cancelling one wakes every wait below it and stops what it started (children, training jobs).
The boundary: this module knows nothing of states; it only ends things.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from ministack.services import stepfunctions as sfn

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.05


class Cancelled(BaseException):
    """The scope ended from outside; not an `Exception`, so that no Catch of a state machine sees it."""


class Scope:
    """One node of the tree: its own end, its children, and what to do when it is cancelled."""

    def __init__(self, execution: dict[str, Any], parent: Scope | None = None) -> None:
        """`execution` is ministack's record of the execution in which this scope runs."""
        self.execution = execution
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._children: set[Scope] = set()
        self._hooks: dict[int, Callable[[], None]] = {}
        self._parent = parent
        if parent is not None:
            parent._adopt(self)

    def _adopt(self, child: Scope) -> None:
        with self._lock:
            self._children.add(child)
        if self._ended.is_set():
            child.cancel()

    def leave(self) -> None:
        """Detach from the parent once the work inside has ended by itself."""
        if self._parent is not None:
            with self._parent._lock:
                self._parent._children.discard(self)

    def cancel(self) -> None:
        """End this scope and all below it; each hook runs once, in the caller's thread."""
        with self._lock:
            already, children, hooks = self._ended.is_set(), list(self._children), list(self._hooks.values())
            self._ended.set()
        if already:
            return
        for hook in hooks:
            try:
                hook()
            except Exception:
                logger.exception("something started by %s could not be stopped", self.execution["executionArn"])
        for child in children:
            child.cancel()

    @contextmanager
    def on_cancel(self, hook: Callable[[], None]) -> Iterator[None]:
        """Run `hook` if the scope is cancelled inside the block (or was before it)."""
        with self._lock:
            ended = self._ended.is_set()
            self._hooks[id(hook)] = hook
        if ended:
            hook()
        try:
            yield
        finally:
            with self._lock:
                self._hooks.pop(id(hook), None)

    def check(self) -> None:
        """Raise `Cancelled` when the scope has ended."""
        if self._ended.is_set():
            raise Cancelled

    def wait(self, event: threading.Event, seconds: float | None = None) -> bool:
        """Wait for `event` up to `seconds`; False when time ran out, `Cancelled` when the scope ended first."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while not event.is_set():
            self.check()
            left = _POLL_SECONDS if deadline is None else min(_POLL_SECONDS, deadline - time.monotonic())
            if left <= 0:
                return False
            event.wait(left)
        self.check()
        return True

    def sleep(self, seconds: float) -> None:
        """Sleep; `Cancelled` as soon as the scope ends."""
        self._ended.wait(seconds)
        self.check()


_current: contextvars.ContextVar[Scope | None] = contextvars.ContextVar("ratchet_scope", default=None)


def current() -> Scope:
    """The scope of the running thread; threads get it by copying the context."""
    scope = _current.get()
    if scope is None:
        raise RuntimeError("no execution runs in this thread")
    return scope


@contextmanager
def entered(scope: Scope) -> Iterator[Scope]:
    """Make `scope` the current one inside the block."""
    token = _current.set(scope)
    try:
        yield scope
    finally:
        _current.reset(token)
        scope.leave()


def run_all(works: Sequence[Callable[[], Any]], at_most: int = 0) -> list[Any]:
    """Results of all works, `at_most` at a time (0: all). The first failure cancels the others and is raised."""
    group = Scope(current().execution, current())
    failures: list[BaseException] = []

    def guarded(work: Callable[[], Any]) -> Any:
        with entered(Scope(group.execution, group)):
            try:
                current().check()
                return work()
            except BaseException as error:
                failures.append(error)
                group.cancel()
                return None

    with entered(group), ThreadPoolExecutor(max_workers=at_most or max(1, len(works))) as pool:
        futures = [pool.submit(contextvars.copy_context().run, guarded, work) for work in works]
        results = [future.result() for future in futures]
    if failures:
        raise failures[0]
    return results


def scaled(seconds: float) -> float:
    """Seconds after ministack's `SFN_WAIT_SCALE`, which tests set below 1."""
    return float(seconds * sfn._SFN_WAIT_SCALE)


def install() -> None:
    """Wait states, retries and TestState sleep so that an abort wakes them."""

    def sleep(seconds: float) -> None:
        scope = _current.get()
        if scope is None:
            time.sleep(scaled(seconds))
        else:
            scope.sleep(scaled(seconds))

    sfn._scaled_sleep = sleep
