"""One stage for all flow tests: its own emulator, since no other test wants its time to run a thousand times faster."""

import sys
from collections.abc import Iterator

import pytest

from tests.emulated import Emulator, Environments
from tests.flow.script import Script
from tests.flow.stage import Stage, trainer


@pytest.fixture(scope="session")
def stage(environments: Environments, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The deployed machines with scripted functions."""
    folder = tmp_path_factory.mktemp("flow")
    fast = {"SFN_WAIT_SCALE": "0.001", "RATCHET_TRAINING_PYTHON": str(trainer(folder, sys.executable))}
    script, emulator = Script(), Emulator(environments, folder / "emulator", **fast)
    emulator.start()
    try:
        yield Stage(emulator, script)
    finally:
        emulator.stop()
        script.close()
