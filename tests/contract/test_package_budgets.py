"""What `sam build` made: every function within its budget, importable from its artifact alone."""

from pathlib import Path

import pytest

from local import packages
from local.packages import BUILD, Package

BUILT = packages.packages() if (BUILD / "template.yaml").is_file() else []
TEMPLATE = """
Globals:
  Function: {Handler: app.handler, Layers: [!Ref Common]}
Resources:
  Step:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: Step, Layers: [!Ref More], Environment: {Variables: {RATCHET_BUCKET: !Sub "${x}"}}}
  Other: {Type: AWS::S3::Bucket}
  Fn::ForEach::Loop: [One, [a], {}]
"""


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packages.lend(tmp_path_factory.mktemp("runtime"))


def test_the_application_is_built() -> None:
    assert BUILT, "Nothing is built: `make build` and `make check` build it"


@pytest.mark.parametrize("package", BUILT, ids=lambda package: package.name)
def test_a_function_is_within_its_budget_and_imports_from_its_artifact(package: Package, runtime: Path) -> None:
    assert packages.fault(package, runtime) is None


def test_no_budget_exceeds_what_lambda_takes() -> None:
    assert max(*packages.BUDGETS.values(), packages.OTHERS) <= 250


@pytest.fixture
def built(tmp_path: Path) -> Path:
    files = {
        "template.yaml": TEMPLATE,
        "Step/app.py": "import shared, extra, boto3",
        "Common/python/shared.py": "",
        "More/python/extra.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_function_sees_its_artifact_all_its_layers_and_the_runtime(built: Path) -> None:
    (package,) = packages.packages(built)
    assert [folder.name for folder in package.folders] == ["Step", "Common", "More"]
    assert packages.check(built) == {}


@pytest.mark.parametrize("module", ["numpy", "pytest", "local"])
def test_a_module_that_no_layer_brings_is_missing_though_this_environment_has_it(built: Path, module: str) -> None:
    (built / "Step/app.py").write_text(f"import {module}")
    assert module in packages.check(built)["Step"]


def test_what_exceeds_the_budget_is_named_with_its_size(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(packages.BUDGETS, "Step", 1)
    (built / "Common/python/large.bin").write_bytes(bytes(2 << 20))
    assert "2 MiB exceed its budget of 1" in packages.check(built)["Step"]
