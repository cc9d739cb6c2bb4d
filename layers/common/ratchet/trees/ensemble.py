"""A LightGBM model as the arrays of ONNX's TreeEnsemble, or the name of what cannot be translated without loss.

What a split means: LightGBM 4.7, `Tree::NumericalDecision` and `Tree::CategoricalDecision` in include/LightGBM/tree.h.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ratchet.errors import UnsupportedTrees

LEQ, MEMBER = 0, 6
"""Conditions of TreeEnsemble: `input <= split`, `input is one of`."""
NUMBER, SPARSE, CATEGORY = "number", "sparse", "category"
"""How a split sees its input: as a number, as a number where zero counts as missing, as a category."""
IDENTITY = {"regression", "regression_l2", "regression_l1", "huber", "fair", "quantile", "mape", "custom"}
EXPONENTIAL = {"poisson", "gamma", "tweedie"}
LARGEST = 1e300
Column = tuple[int, str]


@dataclass
class Ensemble:
    """Nodes and leaves of all trees in the order in which LightGBM adds them up; fields are named as ONNX's attributes.

    `roots[i]` is tree i; the leaves of a tree are of one output.
    """

    features: int
    outputs: int
    transform: str
    """What becomes of the sums: `identity`, `exp`, `sigmoid` (of each), `softmax`."""
    scale: float = 1.0
    """Of the sigmoid."""
    divisor: float = 1.0
    """By which sums are divided: the iterations of a random forest, the models of a mean."""
    roots: list[int] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    """The input of each node, as its split sees it."""
    modes: list[int] = field(default_factory=list)
    splits: list[float] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    """Whether NaN goes where the condition holds."""
    members: list[list[int]] = field(default_factory=list)
    """The categories of each MEMBER node, in the order of nodes."""
    trueids: list[int] = field(default_factory=list)
    falseids: list[int] = field(default_factory=list)
    trueleafs: list[int] = field(default_factory=list)
    falseleafs: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)

    def plant(self, root: Mapping[str, Any], output: int) -> None:
        """Adds the next tree of an output. Raises UnsupportedTrees."""
        self.roots.append(len(self.modes))
        if "split_feature" not in root:
            # A tree that is one leaf: a node both of whose ways lead there.
            root = {**_ALWAYS, "left_child": root, "right_child": root}
        waiting = [(root, self._node(root))]
        while waiting:
            found, node = waiting.pop()
            for side, ids, leafs in (("left", self.trueids, self.trueleafs), ("right", self.falseids, self.falseleafs)):
                child = found[f"{side}_child"]
                if "split_feature" in child:
                    ids[node] = self._node(child)
                    waiting.append((child, ids[node]))
                else:
                    ids[node], leafs[node] = self._leaf(child, output), 1

    def _node(self, found: Mapping[str, Any]) -> int:
        mode, split, missing, view = LEQ, 0.0, False, NUMBER
        if found["decision_type"] == "<=":
            split, kind = _threshold(float(found["threshold"])), found["missing_type"]
            # Where nothing was missing in training, NaN is taken for 0.
            missing = bool(found["default_left"]) if kind != "None" else split >= 0
            view = SPARSE if kind == "Zero" else NUMBER
        elif found["decision_type"] == "==":
            # NaN is no category.
            mode, view = MEMBER, CATEGORY
            self.members.append([int(each) for each in str(found["threshold"]).split("||")])
        else:
            raise UnsupportedTrees(f"A split decides by '{found['decision_type']}', which has no translation.")
        self.columns.append((int(found["split_feature"]), view))
        self.modes.append(mode)
        self.splits.append(split)
        self.missing.append(int(missing))
        for unknown in (self.trueids, self.falseids, self.trueleafs, self.falseleafs):
            unknown.append(0)
        return len(self.modes) - 1

    def _leaf(self, found: Mapping[str, Any], output: int) -> int:
        if "leaf_coeff" in found:
            raise UnsupportedTrees("Leaves are linear models (linear_tree), which have no translation: train without.")
        self.weights.append(float(found["leaf_value"]))
        self.targets.append(output)
        return len(self.weights) - 1


_ALWAYS = {"split_feature": 0, "decision_type": "<=", "threshold": 0.0, "missing_type": "None", "default_left": True}


def of_bags(bags: Sequence[Sequence[Mapping[str, Any]]]) -> Ensemble:
    """Bags side by side, the outputs of one after those of the other; the answer of a bag is the mean of its models.

    A model is as in `Booster.dump_model()`. Raises UnsupportedTrees naming what has no translation, for models of one
    bag with different inputs, outputs or objectives, and for bags whose answers are made differently.
    """
    heads = [_head(dumps) for dumps in bags]
    if len({(head.features, head.transform, head.scale, head.divisor) for head in heads}) != 1:
        raise UnsupportedTrees("Models side by side need the same inputs, and as many trees to their mean.")
    made = replace(heads[0], outputs=sum(head.outputs for head in heads))
    if len(bags) > 1 and made.transform == "softmax":
        raise UnsupportedTrees("Classifiers of several classes cannot stand side by side: each has shares of its own.")
    first = 0
    for head, dumps in zip(heads, bags, strict=True):
        for dump in dumps:
            for number, tree in enumerate(dump["tree_info"]):
                made.plant(tree["tree_structure"], first + number % head.outputs)
        first += head.outputs
    return made


def _head(dumps: Sequence[Mapping[str, Any]]) -> Ensemble:
    """What a bag is like, without its trees."""
    shapes = [(int(dump["max_feature_idx"]) + 1, int(dump["num_tree_per_iteration"])) for dump in dumps]
    objectives = [str(dump.get("objective") or "custom") for dump in dumps]
    if len({*zip(shapes, objectives, strict=True)}) != 1:
        raise UnsupportedTrees("There is no mean of models of different inputs, outputs or objectives.")
    objective, *options = objectives[0].split()
    forest = len(dumps[0]["tree_info"]) / shapes[0][1] if dumps[0].get("average_output") else 1
    if forest != 1 and len(dumps) > 1:
        raise UnsupportedTrees("There is no mean of random forests: train one with more trees.")
    transform, scale = _transform(objective, options)
    if transform != "identity" and len(dumps) > 1:
        raise UnsupportedTrees(
            f"There is no mean of answers that are a {transform} of sums: train one model (bags: 1)."
        )
    return Ensemble(*shapes[0], transform, scale, divisor=float(forest * len(dumps)))


def _threshold(told: float) -> float:
    """A dump has 1e300 for what is infinite: a split that parts numbers from NaN."""
    return math.copysign(math.inf, told) if abs(told) >= LARGEST else told


def _transform(objective: str, options: list[str]) -> tuple[str, float]:
    given = dict(option.partition(":")[::2] for option in options)
    if objective in IDENTITY and "sqrt" not in options:
        return "identity", 1.0
    if objective in EXPONENTIAL:
        return "exp", 1.0
    if objective in {"binary", "multiclassova"}:
        return "sigmoid", float(given.get("sigmoid", 1))
    if objective == "multiclass":
        return "softmax", 1.0
    raise UnsupportedTrees(f"The objective '{' '.join([objective, *options])}' has no translation: use another.")
