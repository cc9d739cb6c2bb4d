"""Programs that wait for their turn before each request they send: the simulation says who is next and what befalls it.

A program is ordinary blocking code in a greenlet, so the product runs as it stands.
"""

from collections.abc import Callable
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet


class Killed(BaseException):
    """The process ended half-way: nothing of it goes on, not even an `except Exception`."""


class Process:
    """One process of the simulated world; `name` is the same in every replay."""

    def __init__(self, name: str, program: Callable[["Process"], Any]) -> None:
        """`program` gets the process, through which its ports ask for turns; it does not run yet."""
        self.name = name
        self.waiting: tuple[str, str] = ("start", "")
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = False
        self._greenlet = greenlet(self._run)
        self._program = program

    def ask(self, operation: str, what: str) -> str:
        """Waits for the turn of a request, and tells what befalls it. Called from within the program."""
        action: str = self._greenlet.parent.switch((operation, what))
        return action

    def resume(self, action: str = "go") -> None:
        """Lets the program go on until it is about to send the next request, or ends."""
        # Whoever resumes is who the turn comes back to.
        here = getcurrent()
        if self._greenlet.parent is not here:
            self._greenlet.parent = here
        waiting = self._greenlet.switch(action)
        if self._greenlet.dead:
            self.done = True
        else:
            self.waiting = waiting

    def end(self) -> None:
        """Ends the program where it stands."""
        if not self.done:
            self._greenlet.parent = getcurrent()
            self._greenlet.throw(GreenletExit)
            self.done = True

    def _run(self, _: str) -> None:
        try:
            self.result = self._program(self)
        except (Exception, Killed) as error:
            self.error = error
