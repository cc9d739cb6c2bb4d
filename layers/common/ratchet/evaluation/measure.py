"""What serving a model costs on this machine: latency of one row and memory. Linux only, as Lambda is."""

import resource
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ratchet.serving.session import CHUNK_ROWS, Model

_MIB = 1 << 20
_WARM_UP = 20
_RUNS = 200


def resident_mib() -> float:
    """What this process holds in memory now, MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / _MIB


def p95_ms(model: Model, row: NDArray[np.float32]) -> float:
    """The 95th percentile of one row's prediction, ms; `row` is [1, inputs]."""
    for _ in range(_WARM_UP):
        model.predict(row)
    taken = []
    for _ in range(_RUNS):
        start = time.perf_counter()
        model.predict(row)
        taken.append(time.perf_counter() - start)
    return float(np.quantile(taken, 0.95) * 1000)


def run_full_chunk(model: Model, row: NDArray[np.float32]) -> None:
    """Predicts as many rows at once as serving ever does, so that the memory it needs has been taken."""
    model.predict(np.repeat(row, CHUNK_ROWS, axis=0))
