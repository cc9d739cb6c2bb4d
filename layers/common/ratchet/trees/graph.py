"""An ensemble as an ONNX graph, all in double precision: `features` [N, F] to `predictions` [N, outputs], any N.

Sums are bitwise those of LightGBM at one thread, which adds trees up in order as ONNX Runtime does on one thread. An
exponential, sigmoid or softmax after them is the platform's own and may differ in the last places.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ratchet.trees.ensemble import CATEGORY, MEMBER, SPARSE, Column, Ensemble, of_bags

ZERO = float(np.float32(1e-35))
"""LightGBM's kZeroThreshold: a number no further from 0 is 0 (include/LightGBM/meta.h)."""
OPSET, ML_OPSET, IR_VERSION = 20, 5, 10


def translate(
    *dumps: Mapping[str, Any], raw: bool = False, floats: bool = False, least: float | None = None
) -> onnx.ModelProto:
    """The graph of a `Booster.dump_model()`, or of the mean of several; inputs and outputs are float64, or float32
    with `floats`.

    `raw` leaves out what becomes of the sums; what is below `least` is raised to it. Raises UnsupportedTrees.
    """
    graph = _Graph(of_bags([dumps]), floats)
    told = graph.sums() if raw else graph.transformed()
    return graph.model(told if least is None else graph.add("Max", told, graph.constant(least)))


def side_by_side(
    *bags: Sequence[Mapping[str, Any]],
    floats: bool = False,
    shifts: Sequence[float] | None = None,
    median: int | None = None,
) -> onnx.ModelProto:
    """The graph of several means on the same inputs, their outputs one after the other, each with its shift added.

    Where outputs are quantiles in growing order, `median` is the one from which those on either side are kept from
    crossing (`ratchet.trees.quantiles.uncrossed`). Raises UnsupportedTrees.
    """
    graph = _Graph(of_bags(bags), floats)
    told = graph.transformed()
    if shifts is not None:
        told = graph.add("Add", told, graph.constant(np.array(shifts)))
    return graph.model(told if median is None else graph.uncrossed(told, median))


class _Graph:
    """Nodes and constants as they are added; each step returns the name of its result."""

    def __init__(self, ensemble: Ensemble, floats: bool) -> None:
        self.ensemble = ensemble
        self.kind = TensorProto.FLOAT if floats else TensorProto.DOUBLE
        self.order = sorted({*ensemble.columns}, key=lambda column: column[::-1])
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def model(self, told: str) -> onnx.ModelProto:
        """The whole, which answers with `told`."""
        self.nodes.append(helper.make_node("Cast", [told], ["predictions"], to=self.kind))
        shapes = {"features": self.ensemble.features, "predictions": self.ensemble.outputs}
        ends = [helper.make_tensor_value_info(name, self.kind, ["rows", width]) for name, width in shapes.items()]
        graph = helper.make_graph(self.nodes, "trees", ends[:1], ends[1:], [*self.constants.values()])
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="ratchet")
        onnx.checker.check_model(model)
        return model

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        name = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], domain=domain, **attributes))
        return name

    def constant(self, value: Any) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def columns(self) -> str:
        """The inputs as the splits see them, those of one view side by side."""
        rows = "features" if self.kind == TensorProto.DOUBLE else self.add("Cast", "features", to=TensorProto.DOUBLE)
        small = self.add("LessOrEqual", self.add("Abs", rows), self.constant(ZERO))
        numbers = self.add("Where", small, self.constant(0.0), rows)
        parts = [
            self.viewed(numbers, view, list(columns)) for view, columns in groupby(self.order, lambda each: each[1])
        ]
        return self.add("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]

    def viewed(self, numbers: str, view: str, columns: list[Column]) -> str:
        part = self.gathered(numbers, [feature for feature, _ in columns])
        if view == SPARSE:
            zero = self.add("Equal", part, self.constant(0.0))
            return self.add("Where", zero, self.constant(np.nan), part)
        if view == CATEGORY:
            # As C++ makes an integer of it: towards zero. Below, and where it is no number, it is no category.
            some = self.add("Greater", part, self.constant(-1.0))
            whole = self.add("Max", self.add("Floor", part), self.constant(0.0))
            return self.add("Where", some, whole, self.constant(-1.0))
        return part

    def gathered(self, rows: str, features: list[int]) -> str:
        if features == list(range(self.ensemble.features)):
            return rows
        return self.add("Gather", rows, self.constant(np.array(features, np.int64)), axis=1)

    def sums(self) -> str:
        columns = self.columns()
        e, places = self.ensemble, {column: place for place, column in enumerate(self.order)}
        weights, splits, modes = np.array(e.weights), np.array(e.splits), np.array(e.modes, np.uint8)
        attributes: dict[str, Any] = {
            "aggregate_function": 1,
            "post_transform": 0,
            "n_targets": e.outputs,
            "tree_roots": e.roots,
            "nodes_featureids": [places[column] for column in e.columns],
            "nodes_modes": numpy_helper.from_array(modes, "modes"),
            "nodes_splits": numpy_helper.from_array(splits, "splits"),
            "nodes_missing_value_tracks_true": e.missing,
            "nodes_truenodeids": e.trueids,
            "nodes_falsenodeids": e.falseids,
            "nodes_trueleafs": e.trueleafs,
            "nodes_falseleafs": e.falseleafs,
            "leaf_targetids": e.targets,
            "leaf_weights": numpy_helper.from_array(weights, "weights"),
        }
        if MEMBER in e.modes:
            members = np.array([value for each in e.members for value in [*each, np.nan]])
            attributes["membership_values"] = numpy_helper.from_array(members, "members")
        return self.add("TreeEnsemble", columns, domain="ai.onnx.ml", **attributes)

    def transformed(self) -> str:
        """What the objective makes of the sums: their mean first, where there are several models or a forest."""
        e, sums = self.ensemble, self.sums()
        if e.divisor != 1:
            sums = self.add("Div", sums, self.constant(e.divisor))
        if e.transform == "exp":
            return self.add("Exp", sums)
        if e.transform == "softmax":
            return self.add("Softmax", sums, axis=1)
        if e.transform == "sigmoid":
            shrunk = self.add("Exp", self.add("Mul", sums, self.constant(-e.scale)))
            return self.add("Div", self.constant(1.0), self.add("Add", self.constant(1.0), shrunk))
        return sums

    def uncrossed(self, told: str, median: int) -> str:
        """Quantiles below the median are at most the one above them, those above it at least the one below them."""
        outputs = range(self.ensemble.outputs)
        kept = [self.add("Gather", told, self.constant(np.array([each], np.int64)), axis=1) for each in outputs]
        for each in reversed(outputs[:median]):
            kept[each] = self.add("Min", kept[each], kept[each + 1])
        for each in outputs[median + 1 :]:
            kept[each] = self.add("Max", kept[each], kept[each - 1])
        return self.add("Concat", *kept, axis=1)
