"""The processes behind endpoints: each runs a bundle's own code by `local/endpoint_process.py` and ends with us.

The model is fetched as the model's role, so that one who may not read it fails here as on AWS. An endpoint has one
process whatever its instances, memory and concurrency are said to be.
"""

from __future__ import annotations

import http.client
import os
import secrets
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.emulator import roles
from local.training_process import GuardedProcess

_PROGRAM = Path(__file__).resolve().parents[1] / "endpoint_process.py"
STARTUP_SECONDS = 180.0
"""What SageMaker gives a serverless container until it must answer /ping."""
INVOKE_SECONDS = 60.0
_PAUSE = 0.05
_ENDING_SECONDS = 2


class Unhealthy(Exception):
    """The container did not come up; the text is a FailureReason."""


class NoAnswer(Exception):
    """The container ended, or took too long for a request."""


@dataclass(frozen=True)
class Container:
    """What a process runs."""

    endpoint: str
    """The endpoint's ARN."""
    variant: str
    uri: str
    """Of `model.tar.gz`."""
    role: str
    environment: dict[str, str]

    @property
    def name(self) -> str:
        """The endpoint's name."""
        return self.endpoint.rsplit("/", 1)[-1]

    @property
    def region(self) -> str:
        """The endpoint's region."""
        return self.endpoint.split(":")[3]


class Replica:
    """One running process, which has answered /ping."""

    def __init__(self, process: GuardedProcess, folder: Path, port: int) -> None:
        """`folder` is the process's own and goes with it."""
        self._process, self._folder, self._port = process, folder, port

    @property
    def runs(self) -> bool:
        """Whether the process is still there."""
        return self._process.wait(0) is None

    def invoke(self, body: bytes, headers: dict[str, str]) -> tuple[int, str, bytes]:
        """Status, content type and body of the container's answer. Raises NoAnswer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=INVOKE_SECONDS)
        try:
            connection.request("POST", "/invocations", body, headers)
            response = connection.getresponse()
            return response.status, response.headers.get("Content-Type", ""), response.read()
        except (OSError, http.client.HTTPException) as error:
            if not isinstance(error, TimeoutError):
                # What ended there takes its guard along a moment later: the next request is to see it.
                self._process.wait(_ENDING_SECONDS)
            raise NoAnswer(f"{type(error).__name__}: {error}") from error
        finally:
            connection.close()

    def stop(self) -> None:
        """End the process and all it started, and remove its folder."""
        self._process.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


class Replicas:
    """Starts processes, and ends those that are left when the emulator does."""

    def __init__(self, python: Path, home: Path) -> None:
        """`python` runs the bundles' code; folders and logs lie under `home`."""
        self._python, self._home = python, home
        self._lock = threading.Lock()
        self._running: set[GuardedProcess] = set()
        self._closed = False
        # What a killed emulator left.
        shutil.rmtree(home / "running", ignore_errors=True)

    def start(self, container: Container) -> Replica:
        """A process that answers /ping. Raises Unhealthy."""
        if not self._python.is_file():
            raise Unhealthy(f"There is no Python for endpoints at {self._python}: run `ratchet up`.")
        folder = self._home / "running" / f"{container.name}-{secrets.token_hex(4)}"
        folder.mkdir(parents=True)
        process = None
        try:
            _fetch(container, folder / "model.tar.gz")
            process = self._launch(container, folder)
            return Replica(process, folder, self._port(container, process, folder))
        except BaseException:
            if process is not None:
                process.kill()
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def close(self) -> None:
        """End every process; no further one starts."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for process in running:
            process.kill()

    def _log(self, folder: Path) -> Path:
        return self._home / "logs" / f"{folder.name}.log"

    def _launch(self, container: Container, folder: Path) -> GuardedProcess:
        log = self._log(folder)
        log.parent.mkdir(parents=True, exist_ok=True)
        places = {"--archive": "model.tar.gz", "--folder": ".", "--port-file": "port"}
        arguments = [part for option, place in places.items() for part in (option, str(folder / place))]
        command = [str(self._python), str(_PROGRAM), *arguments]
        with self._lock:
            if self._closed:
                raise Unhealthy("The emulator is stopping.")
            self._running = {one for one in self._running if one.wait(0) is None}
            process = GuardedProcess(self._python, command, _environment(container, folder), folder, log)
            self._running.add(process)
        return process

    def _port(self, container: Container, process: GuardedProcess, folder: Path) -> int:
        """The port on which the container answers /ping, once it does."""
        end, file = time.monotonic() + STARTUP_SECONDS, folder / "port"
        while time.monotonic() < end:
            if process.wait(_PAUSE) is not None:
                break
            if file.exists() and _pings(int(file.read_text())):
                return int(file.read_text())
        lines = self._log(folder).read_text(errors="replace").strip().splitlines()
        said = "did not pass the ping health check. Please check the logs for this endpoint."
        last = lines[-1] if lines else "nothing"
        raise Unhealthy(f"The primary container for production variant {container.variant} {said} It said: {last}")


def _pings(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _fetch(container: Container, target: Path) -> None:
    bucket, _, key = container.uri.removeprefix("s3://").partition("/")
    s3: Any = roles.client("s3", container.role, "SageMaker", container.region)
    try:
        with target.open("wb") as file:
            shutil.copyfileobj(s3.get_object(Bucket=bucket, Key=key)["Body"], file)
    except (ClientError, BotoCoreError) as error:
        raise Unhealthy(f"Could not access model data at {container.uri} as {container.role}: {error}") from error


def _environment(container: Container, folder: Path) -> dict[str, str]:
    """A container's environment: nothing of the host's but the PATH."""
    keys = roles.credentials(container.role, "SageMaker")
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
        "AWS_REGION": container.region,
        "AWS_DEFAULT_REGION": container.region,
        "AWS_ENDPOINT_URL": roles.endpoint(),
        "AWS_EC2_METADATA_DISABLED": "true",
        **{name.upper(): value for name, value in keys.items()},
        **container.environment,
    }
