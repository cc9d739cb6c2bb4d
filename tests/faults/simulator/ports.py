"""`ratchet.wiring` for one process of the simulated world: each question waits for its turn."""

from typing import Any

from ratchet.errors import Unavailable
from ratchet.registry.link import Signer
from ratchet.training import Job as Described

from tests.faults.simulator.bucket import Requests
from tests.faults.simulator.functions import PIPELINE
from tests.faults.simulator.hosting import HostingClient
from tests.faults.simulator.processes import Killed, Process
from tests.faults.simulator.registry import RegistryClient
from tests.faults.simulator.source import Source
from tests.faults.simulator.waiting import Waiting


class Ports:
    """`ratchet.wiring` for one process."""

    def __init__(self, world: Any, process: Process) -> None:
        self._world, self._process = world, process
        self._store = Requests(world.bucket, process)
        self.region = "us-east-1"

    def store(self) -> Requests:
        return self._store

    def source(self) -> Any:
        return Source(self._world.tables, self._ask)

    def executions(self) -> "Ports":
        return self

    def training_jobs(self) -> "Ports":
        return self

    def registry(self) -> RegistryClient:
        return RegistryClient(self._world, self._process)

    def hosting(self) -> HostingClient:
        return HostingClient(self._world, self._process)

    def tasks(self) -> Waiting:
        return Waiting(self._world, self._process)

    def topic(self) -> Waiting:
        return Waiting(self._world, self._process)

    def approvals(self) -> Waiting:
        return Waiting(self._world, self._process)

    def signer(self) -> Signer:
        return Signer("secret")

    def api_url(self) -> str:
        return "https://api"

    def prediction_table(self) -> None:
        raise AssertionError("no table is declared")

    def is_running(self, execution: str) -> bool:
        self._ask("describe", execution)
        found = self._world.executions.get(execution)
        return found is not None and found.status == "RUNNING"

    def stop_leftovers(self, execution: str) -> list[str]:
        self._ask("stop", execution)
        found = self._world.executions.get(execution)
        if found is None or found.status == "RUNNING":
            return []
        self._world.let_go(found)
        return []

    def find(self, name: str) -> Described | None:
        self._ask("describe", name)
        job = self._world.jobs.get(name)
        if job is None:
            return None
        output = f"s3://{self._world.bucket.name}/{PIPELINE.keys.jobs()}{name}/output/model.tar.gz"
        knobs, tags = job.request["HyperParameters"], {tag["Key"]: tag["Value"] for tag in job.request["Tags"]}
        return Described(name, job.status, job.status, job.reason, output, knobs, tags)

    def _ask(self, operation: str, what: str) -> str:
        action = self._process.ask(operation, what)
        if action == "killed before":
            raise Killed
        if action in {"request lost", "answer lost"}:
            raise Unavailable(f"No answer about {what}.")
        return action
