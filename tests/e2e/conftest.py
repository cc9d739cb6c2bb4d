"""One laptop target for all end-to-end tests: brought up and taken down by the command line."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.install import install
from local.paths import CHECKOUT, Paths
from tests.laptop_target import TARGET, LaptopTarget


@pytest.fixture(scope="session")
def laptop() -> Iterator[LaptopTarget]:
    """A fresh target beside the checkout's own, whose environments it shares; it leaves no process and no file."""
    if TARGET in os.environ:
        yield LaptopTarget(Path(os.environ[TARGET]))
        return
    home = _home()
    target = LaptopTarget(home)
    try:
        told = target.ratchet("up")
        assert told["endpoint_url"].startswith("http://127.0.0.1:")
        yield target
        # Twice: the second time there is nothing to stop, and that is no error.
        assert "emulator" in target.ratchet("down")["stopped"]
        assert target.ratchet("down") == {"stopped": []}
        assert target.processes() == []
        assert any("data, models, logs" in entry for entry in target.ratchet("destroy", "--yes")["removed"])
        assert [entry.name for entry in home.iterdir()] == ["envs"]
    finally:
        target.call("down")
        shutil.rmtree(home)


@pytest.fixture
def stranger() -> Iterator[LaptopTarget]:
    """A target that is not up yet."""
    target = LaptopTarget(_home())
    yield target
    target.call("down")
    shutil.rmtree(target.home)


def _home() -> Path:
    """An empty `.ratchet/`; not below pytest's own folder, which PostgreSQL's user may not enter."""
    shared = Paths(CHECKOUT / ".ratchet")
    # Made where they stay: an environment's programs name its folder.
    install(shared, print)
    home = Path(tempfile.mkdtemp(prefix="ratchet-e2e-"))
    home.chmod(0o755)
    (home / "envs").symlink_to(shared.root / "envs")
    return home
