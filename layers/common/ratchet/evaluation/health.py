"""The gate's first two stages on a loaded challenger: schema, parity with its framework, and what serving it costs."""

from dataclasses import dataclass
from typing import Any

from ratchet.catalog import Pipeline
from ratchet.errors import BadBundle, GraphDiffers
from ratchet.evaluation.candidates import Candidate
from ratchet.evaluation.measure import Measure
from ratchet.gate import checks
from ratchet.gate.checks import Check, Parity
from ratchet.store import Document

_MIB = 1 << 20


@dataclass(frozen=True)
class Health:
    """The checks, and what they found: `budgets` is {name: {measured, limit}}."""

    checks: list[Check]
    parity: Parity
    budgets: dict[str, dict[str, float]]


def examine(challenger: Candidate, pipeline: Pipeline, manifest: Document, measure: Measure) -> Health:
    """Runs the reference rows and measures. Raises BadBundle when the model cannot be run at all, GraphDiffers."""
    features, expected = challenger.bundle.reference()
    problems = schema_problems(challenger, pipeline, manifest)
    if features.shape[1:] != (challenger.model.width,):
        raise BadBundle(
            f"reference.npz holds rows of shape {features.shape[1:]}, not what the model takes; train again."
        )
    parity = checks.parity_of(challenger.model.predict(features), expected)
    agrees = checks.parity(parity)
    if not agrees.passed:
        # Not a weaker model but a broken one: what was validated in training is not what would serve.
        raise GraphDiffers(f"{challenger.uri}: {agrees.text} Correct the export in train.py; train again.")
    cost = measure(challenger.bundle)
    measured = {"bundle_mib": challenger.size / _MIB, "p95_ms": cost.p95_ms, "memory_mib": cost.memory_mib}
    limits = pipeline.gate.budgets
    found = [checks.schema(problems), agrees, *checks.budgets(measured, limits)]
    return Health(found, parity, {name: {"measured": measured[name], "limit": limits[name]} for name in limits})


def schema_problems(candidate: Candidate, pipeline: Pipeline, manifest: Document) -> list[str]:
    """What differs between a candidate and the pipeline as it is declared now, and as its rows were prepared."""
    width = sum(pipeline.data.features.values())
    declared = checks.schema_problems(candidate.model.width, candidate.targets, width, pipeline.data.targets)
    named = checks.input_problems(_inputs(candidate.document), _inputs(manifest))
    return declared + named + _split_problems(candidate, pipeline, manifest)


def _split_problems(candidate: Candidate, pipeline: Pipeline, manifest: Document) -> list[str]:
    """What differs between the split of groups that is declared and those of the model and of the prepared rows."""
    data = pipeline.data
    if data.salt is None:
        return []
    declared = {"salt": data.salt, "shares": data.split}
    splits = [_about(document, "split") for document in (candidate.document, manifest)]
    return checks.split_problems(splits, declared)


def _inputs(document: Document) -> list[str] | None:
    """The names of the inputs, where a bundle or a manifest says them."""
    found = _about(document, "inputs")
    return [str(name) for name in found] if isinstance(found, list) else None


def _about(document: Document, name: str) -> Any:
    about = document.get("about")
    return about.get(name) if isinstance(about, dict) else None
