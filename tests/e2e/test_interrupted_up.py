"""Ctrl-C while the target comes up: nothing of it stays."""

import os
import signal
import subprocess

import pytest

from tests.laptop_target import COMMAND, LaptopTarget, until


@pytest.mark.parametrize("moment", ["local.emulator", "bin/sam"], ids=["the emulator starts", "sam deploys"])
def test_ctrl_c_leaves_no_process_when(laptop: LaptopTarget, stranger: LaptopTarget, moment: str) -> None:
    """Once `laptop` is up nothing is left to build, so that no half-made build is left behind either."""
    started = subprocess.Popen(
        [str(COMMAND), "up", "--json"],
        env=stranger.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until(lambda: [line for line in stranger.processes() if moment in line], 60)
    os.killpg(started.pid, signal.SIGINT)
    told, complaint = started.communicate(timeout=60)
    assert (started.returncode, told) == (130, "")
    assert complaint.splitlines()[-1] == "ratchet: Interrupted."
    assert stranger.processes() == []
