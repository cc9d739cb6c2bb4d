"""The laptop target's own Python environments, made from `local/requirements/*.txt` and renewed when those change.

Each is stamped last, so one whose making was cut short is made anew. Boundary: pip and `venv`; knows no service.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ratchet.errors import BadConfiguration, Unavailable

from local.paths import CHECKOUT, Paths

Progress = Callable[[str], None]
"""Told one line for each step, for a person to read."""

TORCH = "2.13.0"


@dataclass(frozen=True)
class Recipe:
    """How one environment is made."""

    name: str
    pythons: tuple[str, ...] = ("3.12",)
    """Versions to try, in order."""
    cpu_torch: bool = False
    """Insist on PyTorch's CPU build where some Python has one."""


SAM = Recipe("sam")
RECIPES = (
    Recipe("emulator"),
    SAM,
    Recipe("runtime"),
    Recipe("postgres"),
    Recipe("training", ("3.12", "3.11", "3.13"), cpu_torch=True),
)
NODE = Recipe("node")


def ensure(recipe: Recipe, paths: Paths, progress: Progress, requirements: Path | None = None) -> Path:
    """The environment's Python, after making or renewing the environment where needed.

    Raises BadConfiguration when no fitting Python is there, Unavailable when pip could not install.
    """
    source = requirements or CHECKOUT / "local" / "requirements" / f"{recipe.name}.txt"
    digest = _digest(recipe, source)
    if is_current(recipe, paths, source):
        return paths.python(recipe.name)
    progress(f"Making the environment `{recipe.name}` (once; {paths.environment(recipe.name)})")
    paths.prepare()
    target = paths.environment(recipe.name)
    python = _make_with_torch(recipe, target, paths, progress) if recipe.cpu_torch else _make(recipe, target)
    _pip(target, ["-r", str(source)], paths, recipe.name)
    _stamp(target).write_text(json.dumps({"digest": digest, "python": str(python)}))
    return paths.python(recipe.name)


def is_current(recipe: Recipe, paths: Paths, requirements: Path | None = None) -> bool:
    """Whether the environment is complete and made from these very requirements."""
    source = requirements or CHECKOUT / "local" / "requirements" / f"{recipe.name}.txt"
    try:
        told = json.loads(_stamp(paths.environment(recipe.name)).read_text())
    except (FileNotFoundError, ValueError):
        return False
    runs = paths.python(recipe.name).exists()
    return runs and isinstance(told, dict) and told.get("digest") == _digest(recipe, source)


def find_python(version: str) -> Path:
    """A Python of this version (`3.12`) that really runs: this one, one on PATH, or pyenv's.

    Raises BadConfiguration when there is none.
    """
    for candidate in _candidates(version):
        if _version(candidate) == version:
            return candidate
    raise BadConfiguration(f"Python {version} is not there: install it (with its venv module) and put it on PATH.")


def _candidates(version: str) -> Iterable[Path]:
    yield Path(getattr(sys, "_base_executable", sys.executable))
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        yield Path(folder) / f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    yield from sorted(pyenv.glob(f"{version}.*/bin/python{version}"), reverse=True)


def _version(python: Path) -> str | None:
    """The version that a program says it has; a pyenv shim without its version says none."""
    if not python.exists():
        return None
    asked = [str(python), "-c", "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603
    return answer.stdout.strip() if answer.returncode == 0 else None


def _make(recipe: Recipe, target: Path) -> Path:
    """An empty environment with the first Python there is."""
    faults = []
    for version in recipe.pythons:
        try:
            python = find_python(version)
        except BadConfiguration as fault:
            faults.append(str(fault))
            continue
        _create(python, target)
        return python
    raise BadConfiguration(faults[0])


def _make_with_torch(recipe: Recipe, target: Path, paths: Paths, progress: Progress) -> Path:
    """An environment with PyTorch in it: the CPU build on the first Python that has one, else the ordinary build."""
    for version in recipe.pythons:
        try:
            python = find_python(version)
        except BadConfiguration:
            continue
        _create(python, target)
        progress(f"Looking for PyTorch's CPU build for Python {version}")
        if _has_cpu_torch(target, paths):
            return python
    progress(
        f"No CPU build of torch {TORCH} is on your package index: taking the ordinary one (about 3 GB to download, "
        "7 GB on disk). PIP_EXTRA_INDEX_URL naming PyTorch's CPU wheels avoids this."
    )
    return _make(recipe, target)


def _has_cpu_torch(target: Path, paths: Paths) -> bool:
    try:
        _pip(target, ["--no-deps", f"torch=={TORCH}+cpu"], paths, "training")
    except _NoSuchVersion:
        return False
    return True


def _create(python: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    made = subprocess.run([str(python), "-m", "venv", str(target)], capture_output=True, text=True, check=False)  # noqa: S603
    if made.returncode != 0:
        shutil.rmtree(target, ignore_errors=True)
        raise BadConfiguration(f"{python} cannot make {target}: {_reason(made.stdout + made.stderr)}")


class _NoSuchVersion(Unavailable):
    """The package index has no such version for this Python."""


def _pip(target: Path, what: list[str], paths: Paths, name: str) -> None:
    """Install into an environment, the output going to the log. Raises Unavailable with one line and the remedy."""
    command = [
        str(target / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        *what,
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    log = paths.logs / f"environment-{name}.log"
    with log.open("a") as output:
        output.write(ran.stdout + ran.stderr)
    if ran.returncode == 0:
        return
    told = ran.stdout + ran.stderr
    fault = Unavailable
    remedy = "see the log, then run the same command again"
    if "No space left" in told:
        remedy = "free some disk space and run the same command again"
    elif any(sign in told for sign in ("Connection", "Temporary failure in name resolution", "ReadTimeout")):
        remedy = "the package index cannot be reached: check the network or PIP_INDEX_URL, then run it again"
    elif any(sign in told for sign in ("No matching distribution", "ResolutionImpossible")):
        fault = _NoSuchVersion
        remedy = "your package index lacks it or a constraint excludes it: check PIP_INDEX_URL and `pip config list`"
    raise fault(f"The environment `{name}` could not be made: {_reason(told)} ({remedy}; log: {log})")


def _reason(told: str) -> str:
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["it said nothing"])[-1].removeprefix("ERROR:").strip()


def _digest(recipe: Recipe, requirements: Path) -> str:
    if not requirements.exists():
        raise BadConfiguration(f"{requirements} is missing: the checkout is incomplete, get it anew.")
    told = [requirements.read_text(), list(recipe.pythons), recipe.cpu_torch and TORCH]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _stamp(target: Path) -> Path:
    return target / "ratchet.json"
