"""Faults of a machine by its hours, the hours that it has left before the next one, and the lives between them.

A fault is a condition that lasts: a sensor is out of its range for a share of each of several hours in a row, however
often it is sampled. It is over once the share falls below a lower one, so that a value at the edge makes one fault and
not many. Failures that somebody reported are faults whatever the sensors say. numpy only.
"""

import numpy as np
from numpy.typing import NDArray

from ratchet.sources import Fault

Hours = NDArray[np.int64]
Flags = NDArray[np.bool_]


def faults(hours: Hours, outside: NDArray[np.float64], reported: Hours, rule: Fault) -> Flags:
    """Which of a machine's T hours (growing, gaps allowed) belong to a fault of any of its sensors.

    `outside` float64 [T, sensors] are shares out of range, NaN where a sensor was silent, which neither begins a fault
    nor goes on with one; `reported` are the hours of failures, which count from the next hour that there is.
    """
    follows = np.concatenate([[False], np.diff(hours) == 1]) if len(hours) else np.zeros(0, np.bool_)
    found = np.zeros(len(hours), np.bool_)
    for shares in outside.T:
        found |= _lasting(shares, follows, rule)
    at = np.searchsorted(hours, reported)
    found[at[at < len(hours)]] = True
    return found


def _lasting(shares: NDArray[np.float64], follows: Flags, rule: Fault) -> Flags:
    """Hours of one sensor's faults."""
    high, there = shares >= rule.begins, shares >= rule.ends
    begun = _run_lengths(high, follows) >= rule.hours
    found = begun.copy()
    for back in range(1, rule.hours):
        # The hours that made it one belong to it.
        found[:-back] |= begun[back:]
    for index in np.flatnonzero(there & follows & ~found).tolist():
        # What is between the two shares goes on with a fault and begins none.
        found[index] = found[index - 1]
    return found


def _run_lengths(flags: Flags, follows: Flags) -> Hours:
    """How many hours in a row have been so, each one included."""
    lengths = np.zeros(len(flags), np.int64)
    for index, flag in enumerate(flags.tolist()):
        if flag:
            lengths[index] = 1 + (lengths[index - 1] if index and follows[index] else 0)
    return lengths


def remaining(hours: Hours, faulty: Flags, cap: int) -> NDArray[np.float64]:
    """Hours to the next hour of a fault, float64 [T]: 0 within one, at most `cap`, NaN where nobody can know yet.

    After the last fault it is known that at least so many hours were left as have been seen since: `cap` where those
    are enough, nothing otherwise.
    """
    ends = hours[faulty]
    following = np.searchsorted(ends, hours)
    known = following < len(ends)
    left = np.full(len(hours), np.nan)
    left[known] = ends[following[known]] - hours[known]
    if len(hours):
        left[~known & (hours[-1] - hours >= cap)] = cap
    return np.asarray(np.minimum(left, cap))


def lives(faulty: Flags) -> Hours:
    """The number of each hour's life, from 0 on: a fault is the end of one, the hour after it begins the next."""
    after = np.concatenate([[False], faulty[:-1] & ~faulty[1:]]) if len(faulty) else np.zeros(0, np.bool_)
    numbers: Hours = after.cumsum().astype(np.int64)
    return numbers
