"""Ports: what a lease must know about the executions that hold it, and a state machine whose executions we begin."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


class Executions(Protocol):
    """Step Functions, as far as Ratchet asks it. Raises Unavailable when it does not answer."""

    def is_running(self, execution: str) -> bool:
        """Whether that execution still runs; false for one that nobody knows any more."""

    def stop_leftovers(self, execution: str) -> list[str]:
        """Stops what an ended execution left running (nested executions, training jobs); returns their names."""


@dataclass(frozen=True)
class Execution:
    """An execution as Step Functions describes it; what it has not got yet, or never will, is None."""

    status: str
    started: datetime
    ended: datetime | None = None
    input: str = "{}"
    output: str | None = None
    error: str | None = None
    cause: str | None = None


class Machine(Protocol):
    """One state machine. Raises Unavailable when it does not answer, BadConfiguration where it refuses."""

    def start_execution(self, name: str, document: Mapping[str, Any]) -> None:
        """Starts an execution; repeated with the same input, nothing. Raises AlreadyRunning for another input."""

    def describe_execution(self, name: str) -> Execution | None:
        """The execution of that name, None where nobody knows it any more."""


def message_in(cause: str) -> str:
    """The message of an error's cause: Lambda and nested executions wrap it in JSON."""
    try:
        document = json.loads(cause)
    except ValueError:
        return cause
    if not isinstance(document, dict):
        return cause
    inner = document.get("errorMessage") or document.get("Cause") or document.get("cause")
    return message_in(inner) if isinstance(inner, str) else cause
