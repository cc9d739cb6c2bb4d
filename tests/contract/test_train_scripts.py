"""Every pipeline's `train.py` beside its pipeline.yaml, and what jobs install beside the laptop's environments."""

import ast
import tomllib
from typing import Any

import pytest
from ratchet import catalog
from ratchet.trees import job, search

from tests.contract.application import ROOT

REQUIREMENTS = (ROOT / "local" / "requirements" / "training.txt").read_text().splitlines()


def constant(name: str, pipeline: str) -> Any:
    """What a script calls so, read without importing it: frameworks are in the training environment alone."""
    script = ROOT / "layers" / "common" / "pipelines" / pipeline / "train.py"
    for node in ast.parse(script.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
            return ast.literal_eval(node.value)
    return None


@pytest.mark.parametrize("name", catalog.names())
def test_the_knobs_of_a_script_are_the_hyperparameters_of_its_pipeline(name: str) -> None:
    knobs, values = constant("KNOBS", name), catalog.load(name).training.hyperparameters
    assert knobs == values
    assert {knob: type(value) for knob, value in knobs.items()} == {knob: type(value) for knob, value in values.items()}


@pytest.mark.parametrize("needs", [constant("NEEDS", "returns"), job.NEEDS, search.NEEDS])
def test_what_a_job_installs_is_what_the_laptops_jobs_run_with(needs: dict[str, str]) -> None:
    assert not {requirement for requirement in needs.values() if "==" in requirement} - set(REQUIREMENTS)


def test_trees_are_trained_by_tests_with_the_versions_of_jobs() -> None:
    development = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["dev"]
    pinned = {
        requirement for needs in (job.NEEDS, search.NEEDS) for requirement in needs.values() if "==" in requirement
    }
    assert not pinned - set(development)


@pytest.mark.parametrize("name", [name for name in catalog.names() if catalog.load(name).gate.quantiles])
def test_quantiles_grow_in_the_order_of_the_targets_around_a_median(name: str) -> None:
    pipeline = catalog.load(name)
    shares = [pipeline.gate.quantiles[target] for target in pipeline.data.targets]
    assert shares == sorted(set(shares))
    assert 0.5 in shares
