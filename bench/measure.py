"""CPU time and peak memory of a command in a fresh process, by `wait4` of exactly that child."""

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass


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
