"""The shortest schedule that still breaks the same rule: parts and decisions are left out while it does.

Delta debugging: A. Zeller, R. Hildebrandt, "Simplifying and isolating failure-inducing input", 2002.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from tests.faults.simulator.interleaving import Outcome, replay
from tests.faults.simulator.mishaps import Decision
from tests.faults.simulator.parts import Part

MOST_REPLAYS = 1500
Item = TypeVar("Item")


class _Replays:
    """Plays schedules while there are replays left, and keeps the shortest that breaks the rule."""

    def __init__(self, found: Outcome) -> None:
        self.best = replay(found.seed, found.parts, found.decisions)
        assert found.violation
        self._rule = found.violation.rule
        self._left = MOST_REPLAYS

    def breaks(self, parts: Sequence[Part], decisions: Sequence[Decision]) -> bool:
        self._left -= 1
        if self._left < 0:
            return False
        played = replay(self.best.seed, list(parts), list(decisions))
        same = played.violation is not None and played.violation.rule == self._rule
        if same:
            self.best = played
        return same


def minimise(found: Outcome) -> Outcome:
    """The outcome of the shortest schedule found that breaks the rule of `found`."""
    replays = _Replays(found)
    parts = _smaller(found.parts, lambda fewer: replays.breaks(fewer, found.decisions))
    decisions = _smaller(found.decisions, lambda fewer: replays.breaks(parts, fewer))
    plain = [Decision(each.who) for each in decisions]
    for index, decision in enumerate(decisions):
        # A fault that is not needed only distracts.
        tried = [*decisions[:index], plain[index], *decisions[index + 1 :]]
        if decision.what != "go" and replays.breaks(parts, tried):
            decisions = tried
    _smaller(parts, lambda fewer: replays.breaks(fewer, decisions))
    return replays.best


def _smaller(items: Sequence[Item], breaks: Callable[[Sequence[Item]], bool]) -> Sequence[Item]:
    """Leaves out chunks of halving size as long as that still breaks the rule."""
    size = max(1, len(items) // 2)
    while size:
        start = 0
        while start < len(items):
            fewer = [*items[:start], *items[start + size :]]
            if breaks(fewer):
                items = fewer
            else:
                start += size
        size //= 2
    return items
