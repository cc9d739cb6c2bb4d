"""Actors that share one store, one operation at a time: the test says who is next and what befalls the operation."""

import threading
from collections.abc import Callable
from typing import Any

from ratchet.errors import Unavailable
from ratchet.store import Ambiguous

from tests.fakes import MemoryStore

FAULTS = ("lose request", "lose answer", "kill before", "kill after", "abort")
_PURE = {"uri", "key_of"}


class Killed(BaseException):
    """A function's process ended half-way; the machine calls it again."""


class Died(BaseException):
    """The execution is over; nothing of it goes on."""


class Actor:
    """A program in a thread of its own that waits for its turn before each operation on the store."""

    def __init__(self, name: str, store: MemoryStore, program: Callable[["Actor"], None]) -> None:
        self.name, self.store = name, Watched(self, store)
        self.done, self.aborted, self.disturbed = False, False, False
        self.error: BaseException | None = None
        self._action = "go"
        self._turn, self._back = threading.Semaphore(0), threading.Semaphore(0)
        threading.Thread(target=self._run, args=(program,), daemon=True).start()

    def advance(self, action: str = "go") -> None:
        """Lets the program go on until it is about to touch the store again, or ends."""
        if self.done:
            return
        self._action = action
        self.disturbed |= action != "go"
        self._turn.release()
        self._back.acquire()

    def operate(self, operation: Callable[[], Any], *, writes: bool) -> Any:
        """One operation, when its turn comes, with what befalls it."""
        self._back.release()
        self._turn.acquire()
        action = self._action
        if action == "die":
            raise Died
        if action == "kill before":
            raise Killed
        if action == "lose request":
            raise Ambiguous("lost") if writes else Unavailable("lost")
        result = operation()
        if action == "kill after":
            raise Killed
        if action == "lose answer" and writes:
            raise Ambiguous("lost")
        return result

    def _run(self, program: Callable[["Actor"], None]) -> None:
        self._turn.acquire()
        try:
            program(self)
        except Died:
            pass
        except BaseException as error:  # the test looks at it in its own thread
            self.error = error
        finally:
            self.done = True
            self._back.release()


class Watched:
    """The shared store as one actor sees it."""

    def __init__(self, actor: Actor, store: MemoryStore) -> None:
        self._actor, self._store = actor, store

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name in _PURE:
            return method
        return lambda *args, **options: self._actor.operate(
            lambda: method(*args, **options), writes=name in {"put", "tag"}
        )
