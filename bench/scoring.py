"""Scoring the MLP 512-256-128-64-6 on one thread: ours beside torch eager, torch.compile and numpy, and the limit.

Ours is `Model.predict` on the bundle's graph, its checks included; the others get their own arrays ready-made. Runs in
the training environment, which has torch: `python -m bench.scoring [PYTHON]`.
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.measure import fastest, timed

BATCHES = {1: 2000, 100: 200, 10_000: 8}
"""Rows to calls per round."""
LAYERS = (512, 256, 128, 64, 6)
TARGET = 1.0
ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "scoring.json"
TRAINING = ROOT / ".ratchet/envs/training/bin/python"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def main(python: Path = TRAINING) -> bool:
    """Measures in the training environment, prints the table and keeps it; whether we are at or ahead everywhere."""
    if not python.exists():
        raise SystemExit(f"{python} is missing: run make run once, or name a Python with torch.")
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": f"{ROOT}:{ROOT / 'layers/common'}"}
    command = [str(python), "-W", "ignore", "-m", "bench.scoring", "--measure"]
    done = subprocess.run(command, env=environment, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    names = list(found["1"])
    print(f"{'us a row':>10}" + "".join(f"{name:>16}" for name in names) + "   ours / best other")
    for rows, times in found.items():
        ratio = times["ours"] / min(times[name] for name in names[1:-1])
        print(f"{rows:>10}" + "".join(f"{times[name]:16.2f}" for name in names) + f"{ratio:12.2f}")
    return all(times["ours"] <= TARGET * min(times[name] for name in names[1:-1]) for times in found.values())


def measure() -> dict[str, dict[str, float]]:
    """Microseconds a row, by rows and contender; `limit` is what the matrix products alone would take at best."""
    import numpy as np
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(1)
    sizes = list(itertools.pairwise(LAYERS))
    layers: list[torch.nn.Module] = []
    for width, out in sizes:
        layers += [torch.nn.Linear(width, out), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers[:-1]).eval()
    model, compiled = _ours(network), torch.compile(network)
    weights = [(each.weight.detach().numpy().T.copy(), each.bias.detach().numpy()) for each in layers[::2]]

    def plain(values: Any) -> Any:
        for index, (weight, bias) in enumerate(weights):
            values = values @ weight + bias
            if index < len(weights) - 1:
                np.maximum(values, 0, out=values)
        return values

    found: dict[str, dict[str, float]] = {}
    with torch.inference_mode():
        limit = 2 * sum(a * b for a, b in sizes) / _flops(torch)
        for rows, calls in BATCHES.items():
            array = np.random.default_rng(1).standard_normal((rows, LAYERS[0]), dtype=np.float32)
            tensor = torch.from_numpy(array)
            contenders = {
                "ours": lambda array=array: model.predict(array),
                "torch eager": lambda tensor=tensor: network(tensor),
                "torch.compile": lambda tensor=tensor: compiled(tensor),
                "numpy": lambda array=array: plain(array),
            }
            answers = [np.asarray(call()) for call in contenders.values()]
            assert all(np.allclose(answers[0], other, atol=1e-5) for other in answers[1:]), "they do not agree"
            found[str(rows)] = {**fastest(contenders, rows, calls), "limit": limit * 1e6}
    return found


def _ours(network: Any) -> Any:
    """The network through its ONNX graph, as a bundle carries it."""
    import torch
    from ratchet.serving import session
    from ratchet.serving.bundle import Bundle

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        torch.onnx.export(
            network,
            (torch.zeros(2, LAYERS[0]),),
            str(path),
            dynamo=True,
            external_data=False,
            verbose=False,
            input_names=["features"],
            output_names=["predictions"],
            dynamic_shapes=({0: torch.export.Dim("rows")},),
        )
        targets = [{"name": str(index)} for index in range(LAYERS[-1])]
        document = {"run_ts": "bench", "inputs": [{"shape": ["N", LAYERS[0]]}], "targets": targets}
        return session.load(Bundle(Path(folder), document, path, path))


def _flops(torch: Any) -> float:
    """The machine's best rate for one large product, on one thread."""
    square = torch.randn(1536, 1536)
    return max(2 * 1536**3 / timed(lambda: square @ square, 2) for _ in range(24))


if __name__ == "__main__":
    if "--measure" in sys.argv:
        print(json.dumps(measure()))
    else:
        sys.exit(0 if main(*map(Path, sys.argv[1:])) else 1)
