"""`python -m local.emulator`: the command line of the emulator's process."""

from __future__ import annotations

import argparse
import shutil
import socket
from pathlib import Path

from local.emulator.serve import run
from local.emulator.settings import Settings


def main() -> None:
    """Check the arguments, then serve until a signal."""
    parser = argparse.ArgumentParser(prog="python -m local.emulator", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="loopback port")
    parser.add_argument("--state", type=Path, required=True, help="folder that keeps buckets, stacks and logs")
    parser.add_argument("--runtime-python", type=Path, required=True, help="Python with awslambdaric and boto3")
    parser.add_argument("--rie", type=Path, required=True, help="AWS's runtime interface emulator")
    parser.add_argument("--no-auth", action="store_true", help="do not enforce roles")
    given = parser.parse_args()
    problem = _problem(given)
    if problem:
        parser.error(problem)
    run(
        Settings(
            given.port, given.state.resolve(), given.runtime_python.absolute(), given.rie.resolve(), not given.no_auth
        )
    )


def _problem(given: argparse.Namespace) -> str | None:
    """What is wrong with the arguments or the machine, with the remedy."""
    for path in (given.runtime_python, given.rie):
        if not path.is_file():
            return f"{path} does not exist: run `ratchet up`, which installs the environments."
    for tool in ("setpriv", "prlimit"):
        if shutil.which(tool) is None:
            return f"{tool} is not on PATH: install your distribution's util-linux package."
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", given.port)) == 0:
            return f"Port {given.port} is taken: choose another with --port, or stop what listens there."
    return None


if __name__ == "__main__":
    main()
