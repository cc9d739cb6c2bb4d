"""What ends with the emulator: extensions register here what they started."""

from __future__ import annotations

import logging
from collections.abc import Callable

logger = logging.getLogger(__name__)
_hooks: list[Callable[[], None]] = []


def at_stop(hook: Callable[[], None]) -> None:
    """Call `hook` once when the emulator stops; the last registered runs first."""
    _hooks.append(hook)


def run_hooks() -> None:
    """Run every hook; one that fails is logged and keeps none of the others from running."""
    while _hooks:
        hook = _hooks.pop()
        try:
            hook()
        except Exception:
            logger.exception("A hook failed while the emulator stopped.")
