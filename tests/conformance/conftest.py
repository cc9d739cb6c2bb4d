"""One sample application, deployed by sam to the session's emulator."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.deploy import build_and_deploy
from tests.emulated import Emulator

SAMPLE = Path(__file__).parent / "sample"


@dataclass(frozen=True)
class Deployment:
    """The sample application as deployed."""

    folder: Path
    outputs: dict[str, str]
    lines: list[str]


@pytest.fixture(scope="session")
def deployment(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """The sample, built and deployed by sam."""
    folder = tmp_path_factory.mktemp("build") / "sample"
    shutil.copytree(SAMPLE, folder)
    lines: list[str] = []
    sam = emulator.environments.sam
    outputs = build_and_deploy(
        folder, emulator.endpoint, "sample", {"Colour": 'deep "blue"'}, sam=sam, progress=lines.append
    )
    return Deployment(folder, outputs, lines)
