"""Who may import what, as docs/contracts.md says: checked on the syntax tree of every module."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.application import ROOT

COMMON = ROOT / "layers/common"
ALLOWED = {
    "ratchet": {"numpy"},
    "ratchet/gate": {"numpy"},
    "ratchet/extraction": {"numpy"},
    "ratchet/evaluation": {"numpy"},
    "ratchet/card": {"numpy"},
    "ratchet/tables": {"numpy", "pyarrow"},
    "ratchet/serving": {"numpy", "onnxruntime"},
    "ratchet/sensors": {"numpy", "pyarrow"},
    "ratchet/meters": {"numpy", "pyarrow", "holidays"},
    "ratchet/tabular": {"numpy", "pyarrow"},
    "ratchet/registry": set(),
    "ratchet/endpoint": {"numpy", "onnxruntime"},
    "ratchet/files": {"numpy", "pyarrow"},
    "ratchet/api": {"numpy", "aws_lambda_powertools", "pydantic"},
    "ratchet/trees": {"numpy", "lightgbm", "onnx", "optuna"},
    "ratchet/adapters": {
        *("numpy", "boto3", "botocore", "supabase", "postgrest", "httpx", "psycopg", "pyarrow"),
        *("msgspec", "orjson", "simdjson", "aws_lambda_powertools"),
    },
}
"""Third party per folder of the common layer; a new folder is one more row, here and in docs/contracts.md."""
EXCEPTIONS = {"ratchet/catalog.py": {"yaml"}}
PIPELINE = {
    "features.py": {"numpy"},
    "train.py": {"numpy", "onnx", "pyarrow", "torch", "lightgbm"},
    "__init__.py": set(),
}
OURS = {"ratchet", "pipelines", "functions", "cli", "local", "tests", "bench", "quality", "tools"}


def modules(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.py") if ".aws-sam" not in path.parts)


def imported(path: Path) -> Iterator[str]:
    """What a module imports, anywhere in it, as dotted names; what it needs for type checking alone is left out."""
    tree = ast.parse(path.read_text())
    typing_only = {id(node) for block in ast.walk(tree) if _is_type_checking(block) for node in ast.walk(block)}
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def third_party(path: Path) -> set[str]:
    roots = {name.partition(".")[0] for name in imported(path)}
    return {name for name in roots if name not in sys.stdlib_module_names and name not in OURS}


def sources(root: str) -> list[object]:
    folder = ROOT / root
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in modules(folder)]


@pytest.mark.parametrize("path", sources("layers/common/ratchet"))
def test_the_domain_imports_only_the_third_party_of_its_folder(path: Path) -> None:
    inside = path.relative_to(COMMON)
    folder = "/".join(inside.parts[:2]) if len(inside.parts) > 2 else "ratchet"
    assert folder in ALLOWED, f"name the third party of {folder} in docs/contracts.md and in this test"
    assert third_party(path) <= ALLOWED[folder] | EXCEPTIONS.get(inside.as_posix(), set())


@pytest.mark.parametrize("path", sources("layers/common/ratchet"))
def test_the_domain_knows_neither_its_callers_nor_a_pipeline(path: Path) -> None:
    roots = {name.partition(".")[0] for name in imported(path)}
    assert roots & OURS <= {"ratchet"}


@pytest.mark.parametrize("path", sources("layers/common/pipelines"))
def test_a_pipeline_imports_what_its_module_is_for(path: Path) -> None:
    assert third_party(path) <= PIPELINE[path.name]
    roots = {name.partition(".")[0] for name in imported(path)}
    assert roots & OURS <= {"ratchet", "pipelines"}


@pytest.mark.parametrize("path", sources("functions"))
def test_a_handler_imports_powertools_and_the_domain_alone(path: Path) -> None:
    assert third_party(path) <= {"aws_lambda_powertools"}
    roots = {name.partition(".")[0] for name in imported(path)}
    assert roots & OURS <= {"ratchet"}


@pytest.mark.parametrize("path", [*sources("cli"), *sources("local")])
def test_nothing_that_serves_people_is_imported_from_tests_or_benchmarks(path: Path) -> None:
    roots = {name.partition(".")[0] for name in imported(path)}
    assert not roots & {"tests", "bench", "tools", "functions"}


@pytest.mark.parametrize("path", [*sources("layers/common/ratchet"), *sources("functions")])
def test_only_the_settings_read_the_environment(path: Path) -> None:
    reads = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    ]
    assert not reads or path.name == "settings.py"


def test_a_forbidden_import_would_be_seen(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas\ndef f():\n    import torch.nn\n"
    )
    assert third_party(module) == {"torch"}
