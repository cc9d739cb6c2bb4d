"""One execution of a state machine, and what its steps may ask of the world."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.faults.simulator.jobs import Job
from tests.faults.simulator.machine import Machine, Task
from tests.faults.simulator.processes import Process


@dataclass
class Execution:
    """One execution of a machine, which `kind` names; `token` is the one by which it waits for somebody, if it does."""

    world: Any
    name: str
    given: dict[str, Any]
    started: datetime
    kind: str = "pipeline"
    parent: "Execution | None" = None
    child: "Execution | None" = None
    token: str | None = None
    heard: int = 0
    status: str = "RUNNING"
    outcome: str | None = None
    error: str | None = None
    releasing: bool = False
    machine: Machine | None = None
    task: Task | None = None
    process: Process | None = None
    waiting: Callable[[], bool] | None = None
    failures: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)

    @property
    def arn(self) -> str:
        return f"arn:{self.name}"

    @property
    def signed(self) -> bool:
        return self.world.signed

    def create_job(self, name: str, request: dict[str, Any]) -> Job | None:
        return self.world.create_job(name, request, self.arn)

    def is_training(self, name: str) -> bool:
        return self.world.jobs[name].status in {"InProgress", "Stopping"}

    def is_running(self, arn: str) -> bool:
        return self.world.executions[arn].status == "RUNNING"

    @property
    def has_asked(self) -> bool:
        return self.token is not None and self.process is None

    def is_settled(self, endpoint: str | None) -> bool:
        return self.world.hosts.is_settled(endpoint)
