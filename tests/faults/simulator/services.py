"""Services beside the bucket, as one process sees them: each call waits for its turn, and what befalls it befalls it.

A call that changes something may be lost, answered in vain, sent twice by the client itself, or take effect later.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from ratchet.errors import RatchetError, Unavailable

from tests.faults.simulator.bucket import Late
from tests.faults.simulator.processes import Killed, Process

Answer = TypeVar("Answer")


class Client:
    """What all clients have in common."""

    def __init__(self, world: Any, process: Process) -> None:
        self.world, self.process = world, process

    def look(self, operation: str, what: str) -> str:
        """Waits for the turn of a call that changes nothing, and tells what befalls it."""
        action = self.process.ask(operation, what)
        if action == "killed before":
            raise Killed
        if action in {"request lost", "answer lost"}:
            raise Unavailable(f"No answer about {what}.")
        return action

    def change(self, operation: str, what: str, effect: Callable[[], Answer]) -> Answer:
        """Waits for the turn of a call, which has that effect."""
        action = self.process.ask(operation, what)
        if action == "killed before":
            raise Killed
        if action == "request lost":
            raise Unavailable(f"The request about {what} was lost.")
        if action == "timed out, takes effect later":
            self._put_off(f"{operation} {what}", effect)
            raise Unavailable(f"No answer about {what} came in time.")
        answer = effect()
        if action == "killed after":
            raise Killed
        if action == "answer lost":
            raise Unavailable(f"The answer about {what} was lost.")
        return effect() if action == "the client's own retry" else answer

    def _put_off(self, what: str, effect: Callable[[], Any]) -> None:
        def land() -> None:
            with suppress(RatchetError):
                effect()

        self.world.bucket.late.append(Late(self.process.name, what, land))
