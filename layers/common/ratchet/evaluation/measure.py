"""What serving a model costs: latency of one row and memory, measured in a fresh process that does nothing else.

In the evaluation's own process memory would be that of Parquet readers and earlier models. Linux only, as Lambda is.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import BadBundle
from ratchet.serving.bundle import Bundle
from ratchet.serving.session import CHUNK_ROWS, Model, load

_WARM_UP = 20
_RUNS = 200
_TIMEOUT_SECONDS = 120
_CHILD = "import sys; sys.path[:] = sys.argv[2:]; from ratchet.evaluation import measure; measure.report(sys.argv[1])"


@dataclass(frozen=True)
class Cost:
    """95th percentile of one row's prediction, ms, and the peak memory of the process, MiB."""

    p95_ms: float
    memory_mib: float


Measure = Callable[[Bundle], Cost]
"""Port: what serving an unpacked bundle costs."""


def cost(bundle: Bundle) -> Cost:
    """Measures an unpacked bundle. Raises BadBundle when it does not load and answer on its own."""
    command = [sys.executable, "-c", _CHILD, str(bundle.folder), *sys.path]
    try:
        # Our own module on our own files; the only thing that varies is the folder.
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_TIMEOUT_SECONDS)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise BadBundle(f"The model did not answer {_RUNS} times within {_TIMEOUT_SECONDS} seconds.") from error
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip().splitlines() or [f"exit status {error.returncode}"])[-1]
        raise BadBundle(f"The model does not load and answer in a process of its own: {said}") from error
    return Cost(**json.loads(done.stdout))


def report(folder: str) -> None:
    """The fresh process: loads the bundle unpacked in `folder`, runs it and prints its cost as JSON."""
    unpacked = Path(folder)
    document = json.loads((unpacked / "bundle.json").read_bytes())
    bundle = Bundle(unpacked, document, unpacked / "model.onnx", unpacked / "reference.npz")
    model, row = load(bundle), bundle.reference()[0][:1]
    latency = _p95_ms(model, row)
    # As many rows at once as serving ever runs, so that the memory it needs has been taken.
    model.predict(np.repeat(row, CHUNK_ROWS, axis=0))
    sys.stdout.write(json.dumps(asdict(Cost(latency, _peak_mib()))))


def _p95_ms(model: Model, row: NDArray[np.float32]) -> float:
    for _ in range(_WARM_UP):
        model.predict(row)
    taken = []
    for _ in range(_RUNS):
        start = time.perf_counter()
        model.predict(row)
        taken.append(time.perf_counter() - start)
    return float(np.quantile(taken, 0.95) * 1000)


def _peak_mib() -> float:
    """The process's high-water mark; `getrusage` would count the parent's memory before exec."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))
