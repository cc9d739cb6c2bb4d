"""Keeps a handful of services running between commands: ports remembered, deaths healed, nothing left behind.

Boundary: `laptop.json` under a state folder, processes through `local.processes`. Knows no particular service.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ratchet.errors import BadConfiguration, Unavailable

from local import ports, processes
from local.paths import Paths
from local.processes import Identity


@dataclass(frozen=True)
class Service:
    """One process to keep: how to start it and how to tell that it is ready."""

    name: str
    command: Sequence[str]
    cwd: Path
    ready: Callable[[], bool]
    port: int
    environment: Mapping[str, str] = field(default_factory=dict)
    patience: float = 60.0
    """Seconds to wait until `ready`."""
    ending: signal.Signals = signal.SIGTERM
    user: int | None = None

    def digest(self) -> str:
        """A hash of what is run, so that a changed service is started anew."""
        told = json.dumps([list(self.command), str(self.cwd), dict(self.environment)])
        return hashlib.sha256(told.encode()).hexdigest()[:16]


class Supervisor:
    """The services recorded in one `laptop.json`."""

    def __init__(self, paths: Paths) -> None:
        """Nothing is read or written before the first call."""
        self._paths = paths

    def port(self, name: str, asked: int | None = None) -> int:
        """The service's port: the one asked for, else the remembered one, else a free one; remembered from then on.

        Raises BadConfiguration when the port asked for is taken by somebody else.
        """
        document = self._read()
        remembered = document["ports"].get(name)
        wanted = asked or remembered
        ours = self.running(name) and wanted == remembered
        if asked and not ours:
            ports.require_free(asked, f"for {name}")
        if wanted is None or not (ours or ports.is_free(wanted)):
            wanted = ports.free_port()
        document["ports"][name] = wanted
        self._write(document)
        return int(wanted)

    def names(self) -> list[str]:
        """The recorded services, in the order of their starts."""
        return list(self._read()["services"])

    def ports(self) -> dict[str, int]:
        """The remembered port of each service."""
        return dict(self._read()["ports"])

    def running(self, name: str) -> bool:
        """Whether the recorded process of this service still runs."""
        record = self._read()["services"].get(name)
        return record is not None and processes.alive(_identity(record))

    def ensure(self, service: Service) -> bool:
        """Have the service running and ready; True when it had to be started.

        Raises Unavailable naming the log when it ends or is not ready in time; it is ended then.
        """
        record = self._read()["services"].get(service.name)
        if record is not None:
            if processes.alive(_identity(record)) and record["digest"] == service.digest() and service.ready():
                return False
            self.stop(service.name)
        identity = self._start(service)
        try:
            self._await(service, identity)
        except BaseException:
            self.stop(service.name)
            raise
        return True

    def stop(self, name: str) -> None:
        """End a service and all its processes; a service that does not run is no error."""
        document = self._read()
        record = document["services"].get(name)
        if record is None:
            return
        processes.stop(_identity(record), by=signal.Signals(record["ending"]))
        del document["services"][name]
        self._write(document)

    def stop_all(self) -> list[str]:
        """End every recorded service, the last started first; returns their names."""
        names = list(reversed(self._read()["services"]))
        for name in names:
            self.stop(name)
        for stray in self.leftovers():
            processes.stop(stray)
        return names

    def leftovers(self) -> list[Identity]:
        """Every process that still runs of the recorded services, and orphans of programs under `.ratchet/`."""
        recorded = [one for r in self._read()["services"].values() for one in processes.family(_identity(r))]
        return list({*recorded, *processes.orphans_in(self._paths.root)})

    @contextlib.contextmanager
    def exclusively(self) -> Iterator[None]:
        """Hold the folder's lock, waiting for another `up` or `down` to finish."""
        with self._paths.lock.open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _start(self, service: Service) -> Identity:
        environment = {"PATH": os.environ.get("PATH", os.defpath), **service.environment}
        log = self.log(service.name)
        try:
            identity = processes.start(
                service.command, log, cwd=service.cwd, environment=environment, user=service.user
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise BadConfiguration(f"{service.name} cannot be started: {error}. Run `ratchet doctor`.") from error
        document = self._read()
        document["services"][service.name] = {**asdict(identity), "digest": service.digest(), "ending": service.ending}
        self._write(document)
        return identity

    def _await(self, service: Service, identity: Identity) -> None:
        log, end = self.log(service.name), time.monotonic() + service.patience
        while not service.ready():
            if not processes.alive(identity):
                raise Unavailable(f"{service.name} ended at once: {_last_line(log)} (its log: {log}).")
            if time.monotonic() > end:
                raise Unavailable(f"{service.name} was not ready within {service.patience:.0f} s; its log: {log}.")
            time.sleep(0.05)

    def log(self, name: str) -> Path:
        """The log of a service."""
        return self._paths.logs / f"{name}.log"

    def _read(self) -> dict[str, Any]:
        try:
            document: dict[str, Any] = json.loads(self._paths.laptop.read_text())
        except FileNotFoundError:
            return {"ports": {}, "services": {}}
        except ValueError as error:
            raise BadConfiguration(
                f"{self._paths.laptop} is not JSON any more: delete it and run `ratchet up`."
            ) from error
        return document

    def _write(self, document: dict[str, Any]) -> None:
        part = self._paths.laptop.with_suffix(".part")
        part.write_text(json.dumps(document, indent=2))
        part.replace(self._paths.laptop)


def _identity(record: Mapping[str, Any]) -> Identity:
    return Identity(record["pid"], record["started"], record["boot"])


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "it said nothing"
