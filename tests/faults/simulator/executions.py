"""Executions of the state machines: steps called, tried again and lost; aborts, and who is told of a bad end."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ratchet.errors import Unavailable

from tests.faults.simulator import functions, machine
from tests.faults.simulator.jobs import Job, Jobs
from tests.faults.simulator.machine import Machine, StepFailed, Task, Wait
from tests.faults.simulator.ports import Ports
from tests.faults.simulator.processes import Killed, Process
from tests.faults.simulator.stand_ins import NAME

RETRIES = {"unavailable": 4, "killed": 2}
"""How often a Task is tried again (five and two times in the definitions)."""
DELIVERIES = 21


@dataclass
class Execution:
    """One execution of the pipeline's machine."""

    world: "Executions"
    name: str
    given: dict[str, Any]
    started: datetime
    needs_approval: bool = False
    approved: bool | None = None
    asked: bool = False
    status: str = "RUNNING"
    outcome: str | None = None
    error: str | None = None
    disturbed: bool = False
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

    def create_job(self, name: str, request: dict[str, Any]) -> Job | None:
        return self.world.create_job(name, request, self.arn)

    def is_training(self, name: str) -> bool:
        return self.world.jobs[name].status in {"InProgress", "Stopping"}

    def is_running(self, arn: str) -> bool:
        return self.world.executions[arn].status == "RUNNING"


class Executions(Jobs):
    """A world in which executions go on."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.executions: dict[str, Execution] = {}
        self._waiting: list[Execution] = []

    def start(
        self,
        name: str,
        given: dict[str, Any],
        *,
        needs_approval: bool = False,
        definition: Callable[[Execution], Machine] = machine.pipeline,
    ) -> Execution:
        """A new execution."""
        execution = Execution(self, name, given, self.now, needs_approval)
        self.executions[execution.arn] = execution
        execution.machine = definition(execution)
        self._advance(execution)
        return execution

    def execution_of(self, process: str) -> Execution | None:
        """The running execution that waits for this process."""
        found = self.executions.get(f"arn:{process.rsplit(' ', 2)[0]}")
        ours = found and found.status == "RUNNING" and found.process and found.process.name == process
        return found if ours else None

    def end(self, execution: Execution, status: str, *, child_lives: bool = False) -> None:
        """An abort or the machine's own time-out: no Catch hears of it, and a function that runs goes on to its end."""
        if execution.status != "RUNNING":
            return
        execution.status, execution.disturbed = status, True
        if not (child_lives and execution.releasing):
            self.let_go(execution)
        self._wake()
        self._tell_rule(execution)

    def forget(self, execution: Execution) -> None:
        """The machine loses the connection to a function, and calls it again while it goes on."""
        if execution.task and execution.process and not execution.process.done:
            execution.disturbed = True
            self._retry(execution, "unavailable", StepFailed("Lambda.SdkClientException", "connection lost"))

    def let_go(self, execution: Execution) -> None:
        """Ends what an execution left running."""
        if execution.machine:
            execution.machine.close()
        execution.machine, execution.process, execution.waiting = None, None, None
        self.stop_jobs(execution.arn)

    def _advance(self, execution: Execution, value: Any = None, error: StepFailed | None = None) -> None:
        steps = execution.machine
        if steps is None:
            return
        try:
            request = steps.throw(error) if error else steps.send(value)
        except StopIteration as ended:
            self._finish(execution, "SUCCEEDED", ended.value, None)
            return
        except StepFailed as failure:
            self._finish(execution, "FAILED", "failed", failure)
            return
        if execution.status != "RUNNING" and not execution.releasing:
            # A child outlived its parent; what the parent would do next nobody does.
            self.let_go(execution)
        elif isinstance(request, Wait):
            execution.waiting, execution.process, execution.task = request.until, None, None
            self._waiting.append(execution)
        else:
            execution.task, execution.failures = request, Counter()
            self._call(execution)

    def _finish(self, execution: Execution, status: str, outcome: str, failure: StepFailed | None) -> None:
        execution.machine, execution.process, execution.task = None, None, None
        if execution.status != "RUNNING":
            return
        execution.status, execution.outcome = status, outcome
        execution.error = failure.name if failure else None
        self.watch.execution_ended(execution, failure)
        if status != "SUCCEEDED":
            self._tell_rule(execution)

    def _call(self, execution: Execution) -> None:
        task = execution.task
        assert task
        execution.calls[task.step] += 1
        name = f"{execution.name} {task.step} {execution.calls[task.step]}"

        def returned(process: Process) -> None:
            if execution.process is process:
                self._returned(execution, process)

        def program(process: Process) -> Any:
            execution.process = process
            self.watch.step_begins(task.step, task.event, process.name)
            return functions.step(task.step)(task.event, Ports(self, process), self.clock_of(process.name))

        self.spawn(name, program, returned)

    def _returned(self, execution: Execution, process: Process) -> None:
        task, error = execution.task, process.error
        assert task
        if error is None:
            self.watch.step_ended(execution, task, process.result)
            self._advance(execution, process.result)
        elif isinstance(error, Killed):
            self._retry(execution, "killed", StepFailed("Lambda.Unknown", "killed"))
        elif isinstance(error, Unavailable):
            self._retry(execution, "unavailable", StepFailed(type(error).__name__, str(error)))
        else:
            self.watch.step_failed(execution, task, error)
            self._advance(execution, error=StepFailed(type(error).__name__, str(error)))

    def _retry(self, execution: Execution, kind: str, failure: StepFailed) -> None:
        execution.failures[kind] += 1
        if execution.failures[kind] > RETRIES[kind]:
            self._advance(execution, error=failure)
        else:
            self._call(execution)

    def _settle(self, process: Process) -> None:
        super()._settle(process)
        self._wake()

    def _wake(self) -> None:
        """Lets those go on whose state has come about; nothing comes about but by the end of a process or an abort."""
        for execution in list(self._waiting):
            if execution.waiting is None:
                self._waiting.remove(execution)
            elif execution.waiting():
                execution.waiting = None
                self._waiting.remove(execution)
                self._advance(execution)

    def _tell_rule(self, execution: Execution) -> None:
        """EventBridge tells of the end, perhaps twice, until the function has done its work."""
        for copy in range(self.chance(f"rule {execution.name}").choice([1, 1, 2])):
            self._deliver(execution, f"{execution.name} free_lease {copy}", 0)

    def _deliver(self, execution: Execution, name: str, delivery: int) -> None:
        told = {
            **{"executionArn": execution.arn, "startDate": execution.started.timestamp() * 1000},
            **{"status": execution.status, "input": json.dumps(execution.given)},
            "stateMachineArn": f"arn:stateMachine:stack-{NAME}",
        }

        def program(process: Process) -> Any:
            return functions.step("free_lease")({"detail": told}, Ports(self, process), self.clock_of(process.name))

        def ended(process: Process) -> None:
            if process.error and delivery < DELIVERIES:
                self._deliver(execution, name, delivery + 1)

        self.spawn(f"{name}.{delivery}", program, ended)
