"""One execution environment: AWS's runtime interface emulator with awslambdaric, serving one invocation at a time.

Boundary: starts, asks and ends one process; what an answer means is `lambda_runtime`'s business.

Memory is limited by RLIMIT_DATA, which counts private writable memory. RLIMIT_AS would count every mapped library and
reserved arena too: onnxruntime or arrow need a gigabyte of addresses for 150 MB of memory. Reservations that are never
touched still count, hence the allowance on top of the function's size.
"""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.emulator.lambda_environment import Function

RESERVED_MB = 96
_INVOKE = "/2015-03-31/functions/function/invocations"
_START_SECONDS = 10.0
_LOG_SECONDS = 0.05
_STOP_SECONDS = 2.0
# The runtime emulator ends an invocation by itself; this much later it counts as stuck.
_GRACE_SECONDS = 15.0


class ProcessEnded(Exception):
    """The process is gone or did not answer; its invocation has no result."""


@dataclass(frozen=True)
class Answer:
    """What the runtime emulator said: HTTP status, body, and what the function printed meanwhile."""

    status: int
    body: bytes
    log: str


def command(function: Function, python: Path, rie: Path, ports: tuple[int, int]) -> list[str]:
    """The command line of an environment; each process in it dies with its parent, so that none is left behind."""
    mortal = ["setpriv", "--pdeathsig", "KILL"]
    limit = (function.memory + RESERVED_MB) << 20
    return [
        *mortal,
        str(rie),
        "--runtime-interface-emulator-address",
        f"127.0.0.1:{ports[0]}",
        "--runtime-api-address",
        f"127.0.0.1:{ports[1]}",
        *mortal,
        "prlimit",
        f"--data={limit}",
        str(python),
        "-m",
        "awslambdaric",
        function.handler,
    ]


def free_ports() -> tuple[int, int]:
    """Two free loopback ports."""
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


class RuntimeProcess:
    """A running environment of one function."""

    def __init__(self, function: Function, python: Path, rie: Path, scratch: Path) -> None:
        """Start it, and wait until it listens. Must be called on a thread that lives as long as the emulator."""
        self.function = function
        self.idle_since = 0.0
        scratch.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix=f"{function.name}-", dir=scratch))
        self._log = self._folder / "output.log"
        ports = free_ports()
        self._port = ports[0]
        self._process = self._start(command(function, python, rie, ports))
        self._await()

    def invoke(self, event: Any, request_id: str) -> Answer:
        """Ask it once; ProcessEnded when there is no answer. One caller at a time: a second request panics it."""
        start = self._log.stat().st_size
        connection = http.client.HTTPConnection("127.0.0.1", self._port, self.function.timeout + _GRACE_SECONDS)
        try:
            connection.request("POST", _INVOKE, json.dumps(event).encode(), {"X-Amzn-RequestId": request_id})
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise ProcessEnded(self._read(start)) from error
        finally:
            connection.close()
        ending = f"END RequestId: {request_id}" if response.status == http.HTTPStatus.OK else ""
        return Answer(response.status, body, self._read(start, ending))

    def stop(self) -> None:
        """End it and its child, and remove its folder."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The process id of the runtime emulator."""
        return self._process.pid

    def _start(self, arguments: list[str]) -> subprocess.Popen[bytes]:
        own = {"HOME": str(self._folder), "TMPDIR": str(self._folder)}
        with self._log.open("ab") as output:
            return subprocess.Popen(  # noqa: S603 - our own command line
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.function.code,
                env={**self.function.environment, **own},
                process_group=0,
            )

    def _await(self) -> None:
        end = time.monotonic() + _START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > end:
                    said = self._read(0)
                    self.stop()
                    raise ProcessEnded(said) from None
                time.sleep(0.002)

    def _read(self, start: int, ending: str = "") -> str:
        """What was printed since byte `start`, waiting a moment for the line that ends an invocation."""
        end = time.monotonic() + _LOG_SECONDS
        while True:
            with self._log.open("rb") as opened:
                opened.seek(start)
                text = opened.read().decode(errors="replace")
            if ending in text or time.monotonic() > end:
                return readable(text)
            time.sleep(0.001)


def readable(output: str) -> str:
    """The function's own and the platform's lines, without the runtime emulator's inner life."""
    lines = [line for line in output.split("\n") if " (rapid) " not in line]
    return "\n".join(lines).replace("\r", "\n").strip()
