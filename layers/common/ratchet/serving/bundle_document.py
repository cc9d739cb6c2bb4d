"""The schema of `bundle.json` (docs/contracts.md, bundle): what serving and the gate may rely on. Knows no file."""

import json
import math
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from ratchet.errors import BadBundle, BadInput
from ratchet.instants import parse_instant

FORMAT = 1
FIELDS: dict[str, tuple[type, ...]] = {
    "format": (int,),
    "pipeline": (str,),
    "run_ts": (str,),
    "inputs": (list,),
    "targets": (list,),
    "training": (dict,),
    "validation": (dict,),
    "train_mean": (dict,),
    "data_digest": (str,),
    "train_uri": (str,),
    "synthetic": (bool, type(None)),
    "code_version": (str,),
    "frameworks": (dict,),
    "hyperparameters": (dict,),
    "metrics": (dict,),
    "device": (str,),
}
"""Every field with its types."""
OPTIONAL: dict[str, tuple[type, ...]] = {"about": (dict,)}
"""Fields that bundles have where their pipeline needs them: `about` is the manifest's."""


def of_training(
    manifest: Mapping[str, Any], means: Mapping[str, float], *, unit: str, packages: Sequence[str], **facts: Any
) -> dict[str, Any]:
    """`bundle.json` for a model trained on a prepared run.

    `means` gives each target's mean over the training rows in the order of the outputs, `unit` that of the inputs,
    `packages` whose versions to record, `facts` the fields that only the training knows. Raises BadBundle.
    """
    document = {
        "format": FORMAT,
        "pipeline": manifest["pipeline"],
        "inputs": [{"name": "features", "dtype": "float32", "shape": ["N", manifest["feature_dim"]], "unit": unit}],
        "targets": [{"name": name, "unit": manifest["targets"][name]["unit"]} for name in means],
        "training": manifest["intervals"]["train"],
        "validation": manifest["intervals"]["validation"],
        "train_mean": dict(means),
        "data_digest": manifest["digests"]["train"],
        "synthetic": manifest["synthetic"],
        "frameworks": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        **{name: manifest[name] for name in OPTIONAL if name in manifest},
        **facts,
    }
    return check_document(json.dumps(document).encode(), manifest["pipeline"])


def check_document(body: bytes, pipeline: str) -> dict[str, Any]:
    """The parsed `bundle.json` of a bundle of that pipeline. Raises BadBundle naming the first fault."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadBundle("bundle.json is not JSON; train again.") from error
    fault = _fault(document, pipeline)
    if fault:
        raise BadBundle(f"bundle.json: {fault}; train again.")
    return dict(document)


def _fault(document: Any, pipeline: str) -> str | None:
    if not isinstance(document, dict):
        return "it is no JSON object"
    for name, kinds in FIELDS.items():
        if name not in document or type(document[name]) not in kinds:
            return f"'{name}' is missing or of the wrong type"
    for name, kinds in OPTIONAL.items():
        if name in document and type(document[name]) not in kinds:
            return f"'{name}' is of the wrong type"
    if document["format"] != FORMAT:
        return f"its format is {document['format']!r:.20}, this version reads {FORMAT}"
    if document["pipeline"] != pipeline:
        return f"it is of the pipeline {document['pipeline']!r:.40}, not '{pipeline}'"
    return _entries(document) or _intervals(document) or _means(document)


def _entries(document: dict[str, Any]) -> str | None:
    for field, needed in (("inputs", {"name", "dtype", "shape", "unit"}), ("targets", {"name", "unit"})):
        entries = document[field]
        if not entries or not all(isinstance(entry, dict) and needed <= set(entry) for entry in entries):
            return f"each of '{field}' needs {', '.join(sorted(needed))}"
        names = [entry["name"] for entry in entries]
        if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
            return f"'{field}' must have names that differ"
    return None


def _intervals(document: dict[str, Any]) -> str | None:
    for field in ("training", "validation"):
        try:
            start, end = (parse_instant(str(document[field].get(edge))) for edge in ("start", "end"))
        except BadInput:
            return f"'{field}' needs the instants 'start' and 'end'"
        if end < start:
            return f"'{field}' ends before it starts"
    return None


def _means(document: dict[str, Any]) -> str | None:
    means = document["train_mean"]
    finite = all(type(value) in (int, float) and math.isfinite(value) for value in means.values())
    if not finite or set(means) != {target["name"] for target in document["targets"]}:
        return "'train_mean' needs one finite number per target"
    return None
