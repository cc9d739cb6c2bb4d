"""Emulators for tests: a process on a free port, as `ratchet up` starts it, and clients for it."""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

CHECKOUT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Environments:
    """The environments of the laptop target, made by `ratchet up`; RATCHET_ENVS names another folder of them."""

    root: Path

    def python(self, name: str) -> Path:
        return self.root / name / "bin" / "python"

    @property
    def sam(self) -> Path:
        return self.root / "sam" / "bin" / "sam"

    @property
    def rie(self) -> Path:
        inside = "lib/python3.12/site-packages/samcli/local/rapid/aws-lambda-rie-x86_64"
        return self.root / "sam" / inside


class Emulator:
    """An emulator's process, and clients for it."""

    def __init__(self, environments: Environments, state: Path, **variables: str) -> None:
        """`variables` join, and go before, those of its process."""
        self.environments, self.state, self.variables = environments, state, variables
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.state.parent / f"{self.state.name}.log"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> "Emulator":
        training = self.environments.python("training")
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [
                    *(str(self.environments.python("emulator")), "-m", "local.emulator"),
                    *("--port", str(self.port), "--state", str(self.state)),
                    *(
                        "--runtime-python",
                        str(self.environments.python("runtime")),
                        "--rie",
                        str(self.environments.rie),
                    ),
                ],
                cwd=CHECKOUT,
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "layers" / "common")]),
                    "HOME": str(self.state),
                    "RATCHET_TRAINING_PYTHON": str(training),
                    "HOST_SECRET": "must not reach a function",
                    **self.variables,
                },
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._await()
        return self

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(by)
        return self.process.wait(timeout=20)

    def client(self, service: str, **options: Any) -> Any:
        config = Config(retries={"total_max_attempts": 1}, read_timeout=120)
        given = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        return boto3.client(service, endpoint_url=self.endpoint, **{"config": config, **given, **options})

    def _await(self) -> None:
        end = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(f"{self.endpoint}/_ministack/health", timeout=5).close()
                return
            except OSError:
                assert self.process is not None
                if self.process.poll() is not None or time.monotonic() > end:
                    self.process.kill()
                    raise AssertionError(f"The emulator did not start:\n{self.log.read_text()}") from None
                time.sleep(0.05)
