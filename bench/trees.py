"""Scoring 500 trees of 31 leaves on 50 inputs, on one thread: the ONNX graph in double precision beside LightGBM.

Both answer the same rows bit by bit, which is asserted before they are measured.
"""

import json
import sys
from pathlib import Path

import lightgbm
import numpy as np
import onnxruntime
from ratchet.trees.graph import translate

from bench.measure import fastest

BATCHES = {1: 2000, 100: 50, 10_000: 1}
"""Rows to calls per round."""
TREES, LEAVES, INPUTS, TRAINED = 500, 31, 50, 20_000
TARGET = 2.0
RESULTS = Path(__file__).parent / "results" / "trees.json"


def main() -> bool:
    """Measures, prints the table and keeps it; whether we are twice as fast at every batch."""
    found = measure()
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    print(f"{'us a row':>10}{'ours':>12}{'LightGBM':>12}   LightGBM / ours (at least {TARGET:.0f})")
    ratios = []
    for rows, times in found.items():
        ratios.append(times["LightGBM"] / times["ours"])
        print(f"{rows:>10}{times['ours']:12.2f}{times['LightGBM']:12.2f}{ratios[-1]:12.2f}")
    return min(ratios) >= TARGET


def measure() -> dict[str, dict[str, float]]:
    """Microseconds a row, by rows and contender."""
    chance = np.random.default_rng(1)
    x = chance.normal(size=(TRAINED, INPUTS))
    y = x[:, 0] * x[:, 1] + np.sin(3 * x[:, 2]) + x[:, 3:8].sum(axis=1) + 0.1 * chance.normal(size=TRAINED)
    given = {"objective": "regression", "num_leaves": LEAVES, "verbosity": -1, "num_threads": 2}
    booster = lightgbm.train(given, lightgbm.Dataset(x, y), TREES)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    graph = translate(booster.dump_model()).SerializeToString()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    found = {}
    for rows, calls in BATCHES.items():
        batch = chance.normal(size=(rows, INPUTS))
        contenders = {
            "ours": lambda batch=batch: session.run(None, {"features": batch})[0][:, 0],
            "LightGBM": lambda batch=batch: booster.predict(batch, num_threads=1),
        }
        ours, theirs = (call() for call in contenders.values())
        assert (ours == theirs).all(), "they do not agree"
        found[str(rows)] = fastest(contenders, rows, calls)
    return found


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
