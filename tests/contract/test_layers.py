"""Every function finds in its layers, its own requirements or Lambda's runtime what it and the domain import for it."""

import re
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.contract.application import ROOT, TEMPLATE, logical_id, of_type
from tests.contract.test_imports import COMMON, imported, third_party

RUNTIME = {"boto3", "botocore"}
"""Lambda's Python brings these."""
NAMES = {"pyyaml": "yaml", "pysimdjson": "simdjson"}
"""Distributions whose module is called otherwise."""
FUNCTIONS = of_type("AWS::Serverless::Function")
STEPS = sorted(resource["Properties"]["CodeUri"].removeprefix("functions/") for resource in FUNCTIONS.values())


def installs(requirements: Path) -> set[str]:
    """The modules that a requirements file brings."""
    lines = [line for line in requirements.read_text().splitlines() if line.strip() and not line.startswith("#")]
    names = [re.split(r"[\[=<>;]", line, maxsplit=1)[0].strip().lower().replace("-", "_") for line in lines]
    return {NAMES.get(name, name) for name in names}


def needs(path: Path, seen: set[Path]) -> set[str]:
    """The third party of a module and of every module of the domain it imports. Adapters, which wiring picks, aside."""
    if path in seen or path.name == "wiring.py":
        return set()
    seen.add(path)
    found = third_party(path)
    for module in ours(path):
        found |= needs(module, seen)
    return found


def ours(path: Path) -> list[Path]:
    """The domain's modules that a module imports: `from ratchet import claim` names a module, not an attribute."""
    names = [name for name in imported(path) if name.partition(".")[0] == "ratchet"]
    candidates = [COMMON / name.replace(".", "/") for name in names]
    return [base.with_suffix(".py") for base in candidates if base.with_suffix(".py").exists()]


@pytest.mark.parametrize("step", STEPS)
def test_a_function_has_what_it_imports(step: str) -> None:
    layers = TEMPLATE["Globals"]["Function"]["Layers"] + FUNCTIONS[logical_id(step)]["Properties"].get("Layers", [])
    folders = [ROOT / "layers" / layer["Ref"].removesuffix("Layer").lower() for layer in layers]
    at_hand = RUNTIME.union(
        *(installs(folder / "requirements.txt") for folder in [*folders, ROOT / "functions" / step])
    )
    assert needs(ROOT / "functions" / step / "app.py", set()) <= at_hand


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_takes_no_more_layers_than_lambda_allows(name: str) -> None:
    layers = TEMPLATE["Globals"]["Function"]["Layers"] + FUNCTIONS[name]["Properties"].get("Layers", [])
    assert len(layers) <= 5
    assert len({layer["Ref"] for layer in layers}) == len(layers)


@pytest.mark.parametrize("step", STEPS)
def test_a_function_pins_whatever_its_requirements_bring(step: str) -> None:
    own = installs(ROOT / "functions" / step / "requirements.txt")
    text = (ROOT / "functions" / step / "requirements.txt").read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+(\[[a-z]+\])?==[0-9][\w.]*", line)] == []
    assert unpinned(lines, own) == set()


def unpinned(lines: list[str], own: set[str]) -> set[str]:
    """What the distributions installed beside the tests say that they need and the list lacks."""
    missing = set()
    for line in lines:
        wanted = Requirement(line)
        for text in requires(wanted.name) or []:
            needed = Requirement(text)
            extras = wanted.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                missing |= {needed.name.lower().replace("-", "_")} - own
    return missing
