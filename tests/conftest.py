"""The environments of the laptop target, one emulator per session with roles enforced, and the figures at the end."""

import os
import signal
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.emulated import CHECKOUT, Emulator, Environments
from tests.faults import figures

# LightGBM's threads wait for each other all the time: by spinning, they would keep the processor from others.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# What is started in the background ignores Ctrl-C, and so would the commands that are interrupted here.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def environments() -> Environments:
    found = Environments(Path(os.environ.get("RATCHET_ENVS", CHECKOUT / ".ratchet" / "envs")))
    for needed in (found.python("emulator"), found.python("runtime"), found.sam, found.rie):
        if not needed.exists():
            pytest.fail(f"{needed} is missing: `make test` and `ratchet up` make the environments")
    return found


@pytest.fixture(scope="session")
def emulator(environments: Environments, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The session's emulator, with roles enforced."""
    started = Emulator(environments, tmp_path_factory.mktemp("laptop") / "emulator").start()
    yield started
    started.stop()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """One of several processes hands over what it measured."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["figures"] = [asdict(table) for table in figures.tables]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Takes it over."""
    figures.tables += [figures.Table(**table) for table in getattr(node, "workeroutput", {}).get("figures", [])]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what the tests measured."""
    for table in figures.tables:
        terminalreporter.section(table.title, sep="-")
        for line in table.lines():
            terminalreporter.write_line(line)
