"""One emulator per session on a free port, as `ratchet up` starts it, and one sample application deployed to it."""

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from local.deploy import build_and_deploy

CHECKOUT = Path(__file__).resolve().parents[2]
SAMPLE = Path(__file__).parent / "sample"


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

    def __init__(self, environments: Environments, state: Path) -> None:
        self.environments, self.state = environments, state
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


@pytest.fixture(scope="session")
def environments() -> Environments:
    found = Environments(Path(os.environ.get("RATCHET_ENVS", CHECKOUT / ".ratchet" / "envs")))
    for needed in (found.python("emulator"), found.python("runtime"), found.sam, found.rie):
        if not needed.exists():
            pytest.skip(f"{needed} is missing: run `ratchet up` once to make the environments")
    return found


@pytest.fixture(scope="session")
def emulator(environments: Environments, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The session's emulator, with roles enforced."""
    started = Emulator(environments, tmp_path_factory.mktemp("laptop") / "emulator").start()
    yield started
    started.stop()


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
