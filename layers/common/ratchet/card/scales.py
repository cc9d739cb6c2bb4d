"""What stands along an axis: numbers, dates and spans of time, at round values."""

from collections.abc import Sequence
from math import ceil, floor

from ratchet.card import words
from ratchet.card.plot import Axis, Tick, ticks

_HOUR = 60
_DAY = 24 * _HOUR
_STEPS = (10, 30, _HOUR, 2 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 2 * _DAY, 5 * _DAY, 10 * _DAY, 30 * _DAY)


def numbers(along: Axis, wanted: int) -> list[Tick]:
    """Round numbers, about as many as wanted."""
    return [(value, words.number(round(value, 10))) for value in ticks(along, wanted)]


def dates(edges: tuple[float, float], wanted: int) -> list[Tick]:
    """Round instants between the edges, in minutes since the epoch: at most about as many as wanted."""
    step = _step(edges[1] - edges[0], wanted, _STEPS)
    found = range(ceil(edges[0] / step) * step, int(edges[1]) + 1, step)
    return [(float(value), words.minute(value, clock=step < _DAY)) for value in found]


def spans(along: Axis, wanted: int) -> list[Tick]:
    """Round lengths of time, in minutes: at most about as many as wanted."""
    step = _step(along.high - along.low, wanted, _STEPS)
    found = range(ceil(along.low / step), floor(along.high / step) + 1)
    return [(float(number * step), words.span_of(number * step)) for number in found]


def _step(length: float, wanted: int, steps: Sequence[int]) -> int:
    """The smallest round step that is not too short; whole days beyond the longest."""
    return next((step for step in steps if step >= length / wanted), ceil(length / wanted / _DAY) * _DAY)
