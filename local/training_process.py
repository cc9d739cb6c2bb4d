"""A process group that cannot outlive its owner: every process of a training job ends with the emulator.

The group's leader is a guard: it runs the command, lets SIGTERM through to it, and kills the whole group when the pipe
from its owner closes, however the owner ended, SIGKILL included.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

# Run by the training Python, which has none of our modules: hence text, and the standard library alone.
_GUARD = """
import os, signal, subprocess, sys, threading
signal.signal(signal.SIGTERM, lambda *_: None)
def watch():
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=watch, daemon=True).start()
reset = lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL)
code = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, preexec_fn=reset).wait()
os._exit(code if code >= 0 else 128 - code)
"""


class GuardedProcess:
    """A command in a group of its own, its output appended to a file."""

    def __init__(
        self, python: Path, command: Sequence[str], environment: Mapping[str, str], cwd: Path, log: Path
    ) -> None:
        """Start `command` under the guard, which `python` runs. Raises OSError when that cannot be started."""
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the job's own code is what shall run
                [str(python), "-I", "-c", _GUARD, *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=cwd,
                start_new_session=True,
            )

    def wait(self, seconds: float) -> int | None:
        """The command's exit code (128 + signal when one ended it), or None while it runs."""
        try:
            return self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None

    def terminate(self) -> None:
        """SIGTERM to every process of the group; the guard itself lives on."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the group at once, what the command left behind included."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _signal(self, number: signal.Signals) -> None:
        # While the leader is not waited for, or members are left, nobody else gets the group's number.
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return
