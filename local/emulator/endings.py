"""What extensions still have to do while the emulator answers for the last time: writing what they hold back.

Unlike atexit's functions, these run before the server closes, so that they may use the emulator's own services.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

logger = logging.getLogger(__name__)
_registered: list[Callable[[], None]] = []


def register(ending: Callable[[], None]) -> None:
    """Run `ending` once when the emulator is asked to stop."""
    _registered.append(ending)


def run() -> None:
    """Run all; one that fails is logged and keeps no other from its turn."""
    for ending in _registered:
        try:
            ending()
        except Exception:
            logger.exception("An extension could not finish its work.")
