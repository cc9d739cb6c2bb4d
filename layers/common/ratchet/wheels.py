"""Makes up for what a training image lacks: installs missing packages from the wheels in the code archive.

Standard library only; runs inside a training job before the first import of what may be missing.
"""

import importlib
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from ratchet.errors import TrainingFailed

Run = Callable[[Sequence[str]], int]
"""Runs a command and returns its exit code."""


def ensure(needs: Mapping[str, str], folder: Path, run: Run = subprocess.call) -> list[str]:
    """Installs the requirements (module name to requirement) whose modules cannot be found; returns those installed.

    From the wheels in `folder` and without any index where there are wheels, since a job may have no network, else from
    the index. Raises TrainingFailed when a module is still missing afterwards.
    """
    missing = {module: requirement for module, requirement in needs.items() if find_spec(module) is None}
    if not missing:
        return []
    wheels = ["--no-index", "--find-links", str(folder)] if any(folder.glob("*.whl")) else []
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wheels]
    code = run([*command, *missing.values()])
    importlib.invalidate_caches()
    absent = [module for module in missing if find_spec(module) is None]
    if absent:
        raise TrainingFailed(
            f"The training image lacks {', '.join(absent)} and pip ended with {code}; "
            f"ship wheels for them in the code archive's folder {folder.name}/."
        )
    return list(missing.values())
