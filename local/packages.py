"""What `sam build` made, checked before anybody deploys it: sizes against budgets, imports from the artifacts alone.

`python -m local.packages` prints a line per function and fails when one is too large or does not import. A handler is
imported as Lambda would: its artifact, its layers, and what the runtime brings (boto3), without this environment.
"""

import importlib.util
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

BUILD = Path(__file__).parents[1] / ".aws-sam/build"
MIB = 1 << 20
BUDGETS = {
    "ExtractFunction": 220,
    "PrepareFunction": 172,
    "EvaluateFunction": 200,
    "ScoreFunction": 249,
    "CheckSufficiencyFunction": 165,
    "ApiFunction": 205,
    "WriteFeaturesFunction": 165,
}
"""MiB unzipped, layers included; Lambda takes 250. Raise one knowingly: every MiB is fetched in a cold start."""
OTHERS = 95
RUNTIME = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six")
SOURCES = ("ratchet.adapters.supabase", "ratchet.adapters.postgres", "ratchet.adapters.secrets")
"""What a function that is given the source's secret imports when it is asked, not before."""


@dataclass(frozen=True)
class Package:
    """A built function: the folders that Lambda puts on its path, in order, and the modules that it must import."""

    name: str
    folders: tuple[Path, ...]
    modules: tuple[str, ...]

    def size(self) -> float:
        """MiB unzipped, layers included."""
        return sum(path.stat().st_size for folder in self.folders for path in folder.rglob("*") if path.is_file()) / MIB

    @property
    def budget(self) -> int:
        """MiB that it may have."""
        return BUDGETS.get(self.name, OTHERS)


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags, which say nothing about packages."""


def _tagged(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    return {tag: node.value}


_Loader.add_multi_constructor("!", _tagged)


def packages(build: Path = BUILD) -> list[Package]:
    """Every function of the built template."""
    template = yaml.load((build / "template.yaml").read_text(), _Loader)  # noqa: S506
    shared = template.get("Globals", {}).get("Function", {})
    resources = {name: resource for name, resource in template["Resources"].items() if isinstance(resource, dict)}
    functions = {name: one for name, one in resources.items() if one.get("Type") == "AWS::Serverless::Function"}
    return [_package(build, name, one["Properties"], shared) for name, one in functions.items()]


def _package(build: Path, name: str, properties: dict[str, Any], shared: dict[str, Any]) -> Package:
    layers = [layer["Ref"] for layer in [*shared.get("Layers", []), *properties.get("Layers", [])]]
    handler = (properties.get("Handler") or shared["Handler"]).rsplit(".", 1)[0]
    variables = properties.get("Environment", {}).get("Variables", {})
    sources = SOURCES if "RATCHET_SECRET" in variables else ()
    return Package(name, (build / properties["CodeUri"], *(build / layer for layer in layers)), (handler, *sources))


def fault(package: Package, runtime: Path) -> str | None:
    """Why a package cannot be deployed, or None. `runtime` is a folder as `lend` fills it."""
    if package.size() > package.budget:
        return f"{package.size():.0f} MiB exceed its budget of {package.budget}: trim a layer or a requirement"
    paths = [package.folders[0], *(layer / "python" for layer in package.folders[1:]), runtime]
    code = f"import sys; sys.path += {[str(path) for path in paths]!r}\nimport {', '.join(package.modules)}"
    # A clean interpreter: no site-packages, no environment, nothing of this checkout.
    command = [sys.executable, "-I", "-S", "-B", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env={}, cwd=runtime, check=False)  # noqa: S603
    return done.stderr.strip().splitlines()[-1] if done.returncode else None


def lend(folder: Path) -> Path:
    """Fills a folder with what Lambda's runtime brings, and nothing else of this environment."""
    for name in RUNTIME:
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:
            raise ModuleNotFoundError(f"{name} is missing here: run make install.")
        origin = Path(found.origin)
        origin = origin.parent if origin.name == "__init__.py" else origin
        (folder / origin.name).symlink_to(origin)
    return folder


def check(build: Path = BUILD) -> dict[str, str]:
    """The functions that cannot be deployed, each with its reason."""
    with TemporaryDirectory() as folder:
        runtime = lend(Path(folder))
        found = {package.name: fault(package, runtime) for package in packages(build)}
    return {name: reason for name, reason in found.items() if reason}


def main() -> int:
    """Prints a line per function; 1 when one cannot be deployed, 2 when nothing was built."""
    if not (BUILD / "template.yaml").is_file():
        print("Nothing is built yet: run sam build.", file=sys.stderr)
        return 2
    faults = check()
    for package in packages():
        print(f"{package.name:26} {package.size():6.1f} of {package.budget} MiB  {faults.get(package.name, 'ok')}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
