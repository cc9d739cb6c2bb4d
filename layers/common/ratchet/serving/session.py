"""An inference session: a bundle's ONNX graph on one thread, checked once against what the bundle says of itself.

Knows nothing of S3, pointers or pipelines; scoring, the gate and the benchmarks run models through it alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ratchet.errors import BadBundle, BadInput
from ratchet.serving.bundle import Bundle

CHUNK_ROWS = 1024
"""Larger batches leave the processor's cache: 10,000 rows at once cost a fifth more per row."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Node:
    """An input or output of a graph; a name in its shape stands for any number."""

    name: str
    type: str
    shape: list[Any]


@dataclass(frozen=True)
class Model:
    """A loaded model; `width` inputs per row become one value per target. Safe to share between threads."""

    run_ts: str
    targets: tuple[str, ...]
    width: int
    input_name: str
    output_name: str
    session: onnxruntime.InferenceSession
    about: Mapping[str, Any] = field(default_factory=dict)
    """What the data was about that it has learned from, as its manifest said."""
    units: tuple[str, ...] = ()
    """Of the targets."""

    def predict(self, features: NDArray[Any]) -> Floats:
        """float32 [N, targets] for [N, width], in chunks of 1,024 rows.

        Raises BadInput for another shape, BadBundle when the graph does not run or answers in another shape.
        """
        rows = np.ascontiguousarray(features, dtype=np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.width:
            raise BadInput(f"The model takes [rows, {self.width}], not {list(rows.shape)}.")
        if len(rows) <= CHUNK_ROWS:
            return self._run(rows)
        answer = np.empty((len(rows), len(self.targets)), np.float32)
        for start in range(0, len(rows), CHUNK_ROWS):
            answer[start : start + CHUNK_ROWS] = self._run(rows[start : start + CHUNK_ROWS])
        return answer

    def _run(self, rows: Floats) -> Floats:
        try:
            answer: Floats = self.session.run([self.output_name], {self.input_name: rows})[0]
        # onnxruntime raises a dozen classes that share no base but Exception.
        except Exception as error:
            raise BadBundle(f"The model of {self.run_ts} does not run: {str(error)!r:.300}") from error
        if answer.shape != (len(rows), len(self.targets)):
            raise BadBundle(f"The model of {self.run_ts} answers {len(rows)} rows in the shape {list(answer.shape)}.")
        return answer


def load(bundle: Bundle) -> Model:
    """The bundle's model, ready to predict. Raises BadBundle when the graph does not load or is not as declared."""
    try:
        session = onnxruntime.InferenceSession(str(bundle.model_path), _options(), providers=["CPUExecutionProvider"])
        # A name that is no text shows here.
        inputs, outputs = _nodes(session.get_inputs()), _nodes(session.get_outputs())
    # onnxruntime raises a dozen classes that share no base but Exception.
    except Exception as error:
        raise BadBundle(f"{bundle.model_path.name} does not load: {str(error)!r:.300}") from error
    run_ts, width, targets = _declared(bundle.document)
    if len(inputs) != 1 or len(outputs) != 1:
        raise BadBundle(f"The graph has {len(inputs)} inputs and {len(outputs)} outputs, not one of each.")
    _check(inputs[0], width, "input")
    _check(outputs[0], len(targets), "output")
    about, units = bundle.document.get("about", {}), tuple(str(one.get("unit")) for one in bundle.document["targets"])
    return Model(run_ts, targets, width, inputs[0].name, outputs[0].name, session, about, units)


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # Warnings of the library go to standard error unasked; errors arrive as exceptions.
    options.log_severity_level = 3
    return options


def _declared(document: Mapping[str, Any]) -> tuple[str, int, tuple[str, ...]]:
    """Run, input width and targets by `bundle.json`."""
    try:
        (declared,) = document["inputs"]
        targets = tuple(target["name"] for target in document["targets"])
        return str(document["run_ts"]), int(declared["shape"][-1]), targets
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise BadBundle(f"bundle.json does not describe one input and its targets: {error!r:.200}.") from error


def _nodes(found: list[Any]) -> list[Node]:
    return [Node(node.name, node.type, list(node.shape)) for node in found]


def _check(node: Node, width: int, role: str) -> None:
    """Whether a graph's node is float32 [any number of rows, width]."""
    shape = node.shape
    if node.type != "tensor(float)" or len(shape) != 2 or isinstance(shape[0], int) or shape[1] != width:
        told = f"{node.name!r:.80} is {node.type} {shape!r:.80}"
        raise BadBundle(f"The graph's {role} {told}, not float32 [rows, {width}].")
