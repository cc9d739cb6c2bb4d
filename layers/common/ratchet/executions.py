"""Port: what a lease must know about the executions that hold it."""

from typing import Protocol


class Executions(Protocol):
    """Step Functions, as far as Ratchet asks it. Raises Unavailable when it does not answer."""

    def is_running(self, execution: str) -> bool:
        """Whether that execution still runs; false for one that nobody knows any more."""

    def stop_leftovers(self, execution: str) -> list[str]:
        """Stops what an ended execution left running (nested executions, training jobs); returns their names."""
