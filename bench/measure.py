"""What a command costs in a fresh process, by `wait4` of exactly that child, and what a call takes in this one."""

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

ROUNDS = 15
Call = Callable[[], Any]


@dataclass(frozen=True)
class Measured:
    """User and system CPU seconds, greatest resident memory in MiB, elapsed seconds."""

    cpu_seconds: float
    peak_mib: float
    wall_seconds: float


def measure(command: Sequence[str]) -> Measured:
    """Runs a command to its end. Raises CalledProcessError when it fails."""
    started = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Measured(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, elapsed)


def fastest(contenders: dict[str, Call], rows: int, calls: int) -> dict[str, float]:
    """Microseconds a row in each one's fastest round; rounds take turns, so that a neighbour disturbs all alike."""
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(ROUNDS):
        for name, call in contenders.items():
            best[name] = min(best[name], timed(call, calls) / rows * 1e6)
    return best


def timed(call: Call, calls: int) -> float:
    """Seconds a call."""
    started = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - started) / calls
