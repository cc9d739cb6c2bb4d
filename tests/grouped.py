"""Material for tests of pipelines whose rows share instants: forecasts in quantiles, and machines."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from ratchet.catalog import Pipeline, load

from tests.fakes import MemoryStore
from tests.judged import START, Rows, World

INPUTS = 3
HORIZONS = 24
ORIGIN = timedelta(hours=6)
SPREAD = np.array([-1.2815515655, 0.0, 1.2815515655])
"""The 10, 50 and 90 % quantiles of a normal distribution."""
SIGMA = 0.5
MACHINES = [f"F{number}/compressor" for number in range(6)]


def pipeline(name: str, **gate: Any) -> Pipeline:
    """A pipeline with few inputs, and other gate settings where asked."""
    found = load(name)
    data = replace(found.data, features={"features": INPUTS})
    return replace(found, data=data, gate=replace(found.gate, **{"resamples": 400, **gate}))


def forecasts(origins: int = 120, *, manifest: Mapping[str, Any] | None = None, **gate: Any) -> World:
    """A prepared run of `energy`: per origin and horizon, an outcome that is linear in the inputs, plus noise.

    The naive forecasts know the inputs too, but come with noise of their own. `signal` is [inputs, 3], the same thrice;
    with a bias of `quantiles()` it is the true model.
    """
    rng = np.random.default_rng(3)
    signal = np.repeat(rng.normal(size=(INPUTS, 1)), 3, axis=1)
    made = World(MemoryStore(), pipeline("energy", **gate), signal, START + origins // 2 * ORIGIN)
    rows = origins * HORIZONS
    features = rng.normal(size=(rows, INPUTS))
    outcome = features @ signal[:, 0] + 4 + SIGMA * rng.normal(size=rows)
    naive = {name: outcome + rng.normal(scale=2 * SIGMA, size=rows) for name in ("yesterday", "last_week")}
    starts = [START + index // HORIZONS * ORIGIN for index in range(rows)]
    ends = [start + timedelta(hours=1 + index % HORIZONS) for index, start in enumerate(starts)]
    groups = [f"{60 * (1 + index % HORIZONS):04}" for index in range(rows)]
    realised = np.repeat(outcome[:, None], 3, axis=1)
    made.prepare(Rows(starts, ends, features.astype(np.float32), realised, groups, naive), manifest)
    return made


def quantiles(width: float = 1.0, shift: float = 0.0) -> np.ndarray:
    """The bias of the true model's three answers, its band so many times as wide."""
    return np.asarray(4 + shift + width * SIGMA * SPREAD)


def machines(
    hours: int = 240,
    *,
    noise: float = 10.0,
    missing: bool = False,
    manifest: Mapping[str, Any] | None = None,
    **gate: Any,
) -> World:
    """A prepared run of `rul`: hours left per machine and hour; the later a machine, the louder its noise.

    `missing` leaves every other row without its first input, whose weight is then zero.
    """
    rng = np.random.default_rng(5)
    signal = np.array([[0.0 if missing else 12.0], [9.0], [-7.0]])
    made = World(MemoryStore(), pipeline("rul", **gate), signal, START + hours // 2 * timedelta(hours=1))
    rows, count = hours * len(MACHINES), len(MACHINES)
    features = rng.normal(size=(rows, INPUTS))
    loud = noise * (1 + np.arange(rows) % count)[:, None] / count
    realised = features @ signal + loud * rng.normal(size=(rows, 1))
    if missing:
        features[::2, 0] = np.nan
    starts = [START + index // count * timedelta(hours=1) for index in range(rows)]
    ends = [start + timedelta(hours=50) for start in starts]
    groups = [MACHINES[index % count] for index in range(rows)]
    made.prepare(Rows(starts, ends, features.astype(np.float32), realised, groups))
    return made


def patient_model(weights: np.ndarray) -> bytes:
    """As `judged.linear_model`, but what is missing counts as zero."""
    nodes = [
        helper.make_node("IsNaN", ["features"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "features"], ["known"]),
        helper.make_node("MatMul", ["known", "weights"], ["predictions"]),
    ]
    graph = helper.make_graph(
        nodes,
        "patient",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", weights.shape[0]])],
        [helper.make_tensor_value_info("predictions", TensorProto.FLOAT, ["N", weights.shape[1]])],
        [
            numpy_helper.from_array(weights.astype(np.float32), "weights"),
            numpy_helper.from_array(np.float32(0), "zero"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
