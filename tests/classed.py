"""Material for tests of a pipeline of classes: clicks of people whose rows are alike, and models of them."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pyarrow.parquet as pq
from onnx import TensorProto, helper, numpy_helper
from ratchet.catalog import Pipeline, load
from ratchet.instants import iso

from tests.fakes import MemoryStore
from tests.judged import START, Rows, World

INPUTS = 3
BASE = -1.5
"""The logit of a click without a signal."""
AT_ONCE = {"start": iso(START), "end": iso(START)}
"""When the rows are of: they came in one file."""
ENDINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "Sigmoid": lambda logits: np.exp(-np.logaddexp(0, -logits)),
    "Identity": lambda logits: logits,
    "Log": np.log,
}
"""What a model makes of logits, by the name of the ONNX operator."""


def pipeline(inputs: int = INPUTS, **gate: Any) -> Pipeline:
    """`adclick` with few inputs, and other gate settings where asked."""
    found = load("adclick")
    data = replace(found.data, features={"features": inputs})
    return replace(found, data=data, gate=replace(found.gate, **gate))


def split(declared: Pipeline) -> dict[str, Any]:
    """The split of groups, as a manifest and a bundle name it."""
    return {"salt": declared.data.salt, "shares": declared.data.split}


def about(declared: Pipeline) -> dict[str, Any]:
    """What a manifest and a bundle say of the inputs and the split."""
    inputs = [f"input_{number}" for number in range(sum(declared.data.features.values()))]
    return {"inputs": inputs, "split": split(declared)}


def clicks(
    people: int = 700,
    *,
    strength: float = 2.0,
    outcomes: list[float] | None = None,
    groups: int | None = None,
    inputs: int = INPUTS,
    told: Mapping[str, Any] | None = None,
    **gate: Any,
) -> World:
    """A prepared run: people with one to five rows each, all of one instant, of which half are the holdout.

    The logit of a click is linear in the first three inputs, `strength` times a direction of length one; `signal` is
    [inputs, 1]. `told` stands in place of what the manifest says itself in `about`, `outcomes`, over and over, of those
    drawn, and `groups` are so many instead of the people.
    """
    chance = np.random.default_rng(11)
    direction = np.zeros((inputs, 1))
    direction[:3, 0] = 2.0, -1.0, 0.5
    declared = pipeline(inputs, **gate)
    made = World(MemoryStore(), declared, strength * direction / np.linalg.norm(direction), START)
    person = np.repeat(np.arange(people), chance.integers(1, 6, size=people))
    # An even number of rows, so that halves are as long.
    person = person[len(person) % 2 :]
    features = chance.normal(size=(people, inputs))[person] + 0.3 * chance.normal(size=(len(person), inputs))
    drawn = chance.random((len(person), 1)) < probabilities(features, made.signal)
    realised = np.asarray(drawn if outcomes is None else np.resize(outcomes, drawn.shape), np.float64)
    names = [f"person {number % (groups or people)}" for number in person]
    instants = [START] * len(person)
    rows = Rows(instants, instants, features.astype(np.float32), realised, names)
    intervals = dict.fromkeys(("train", "validation", "holdout"), AT_ONCE)
    made.prepare(rows, {"about": about(declared) | dict(told or {}), "intervals": intervals})
    return made


def probabilities(features: np.ndarray, weights: np.ndarray, base: float = BASE) -> np.ndarray:
    """What a logistic model answers, [N, 1]."""
    return ENDINGS["Sigmoid"](features @ weights + base)


def bundle(
    made: World,
    weights: np.ndarray,
    run_ts: str | None = None,
    *,
    base: float = BASE,
    ending: str = "Sigmoid",
    told: Mapping[str, Any] | None = None,
    **changes: Any,
) -> str:
    """Puts a bundle of a logistic model, or of one with another `ending`; returns its SHA-256."""
    facts = {"about": about(made.pipeline) | dict(told or {}), "training": AT_ONCE, "validation": AT_ONCE} | changes
    features = np.random.default_rng(1).normal(size=(16, len(weights))).astype(np.float32)
    answers = ENDINGS[ending](features @ weights + base)
    model = _model(weights, base, ending)
    return made.bundle(weights, run_ts, model=model, reference=answers, **facts)


def holdout(made: World, weights: np.ndarray, base: float = BASE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes, a model's answers, and people of the holdout's rows."""
    table = pq.read_table(io.BytesIO(made.store.objects[made.pipeline.keys.holdout(made.run_ts)].body))
    features = np.array(table.column("features").to_pylist())
    return table.column("click").to_numpy(), probabilities(features, weights, base)[:, 0], np.array(table["group"])


def manifest(made: World, **changes: Any) -> None:
    """Changes the run's manifest."""
    key = made.pipeline.keys.manifest(made.run_ts)
    found = json.loads(made.store.objects[key].body) | changes
    made.store.put(key, json.dumps(found).encode())


def _model(weights: np.ndarray, base: float, ending: str) -> bytes:
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["features", "weights", "bias"], ["logits"]),
            helper.make_node(ending, ["logits"], ["predictions"]),
        ],
        "logistic",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", len(weights)])],
        [helper.make_tensor_value_info("predictions", TensorProto.FLOAT, ["N", 1])],
        [
            numpy_helper.from_array(weights.astype(np.float32), "weights"),
            numpy_helper.from_array(np.float32([base]), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
