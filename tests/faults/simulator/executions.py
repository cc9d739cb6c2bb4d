"""Executions of the state machines: steps called, tried again and lost; nested ones; aborts, and who hears of them."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from ratchet.errors import Unavailable

from tests.faults.simulator import functions, machine
from tests.faults.simulator.events import Events
from tests.faults.simulator.execution import Execution
from tests.faults.simulator.machine import Ask, Machine, Nested, StepFailed, Wait
from tests.faults.simulator.ports import Ports
from tests.faults.simulator.processes import Killed, Process
from tests.faults.simulator.stand_ins import NAME

RETRIES = {"unavailable": 4, "killed": 2}
"""How often a Task is tried again (five and two times in the definitions)."""
MACHINES = dict.fromkeys(("pipeline", "extraction", "lease_alone"), NAME) | {"deployment": "deployment"}
"""How the machines are named whose bad ends a rule hears of."""


class Executions(Events):
    """A world in which executions go on."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.executions: dict[str, Execution] = {}
        self.began: dict[str, int] = {}
        """At which step of the world each call of a function began."""
        self._waiting: list[Execution] = []

    def start(
        self,
        name: str,
        given: dict[str, Any],
        *,
        definition: Callable[[Execution], Machine] = machine.pipeline,
    ) -> Execution:
        """A new execution."""
        execution = Execution(self, name, given, self.now, definition.__name__)
        self._begin(execution, definition)
        return execution

    def _begin(self, execution: Execution, definition: Callable[[Execution], Machine]) -> None:
        self.executions[execution.arn] = execution
        execution.machine = definition(execution)
        self._advance(execution)

    def execution_of(self, process: str) -> Execution | None:
        """The running execution that waits for this process."""
        found = self.executions.get(f"arn:{process.rsplit(' ', 2)[0]}")
        ours = found and found.status == "RUNNING" and found.process and found.process.name == process
        return found if ours else None

    def root_of(self, process: str) -> str:
        """Who is behind a process: the outermost execution whose function it is, or a person."""
        found = self.executions.get(f"arn:{process.rsplit(' ', 2)[0]}")
        while found and found.parent:
            found = found.parent
        return found.name if found else process

    def end(self, execution: Execution, status: str, *, child_lives: bool = False) -> None:
        """An abort or the machine's own time-out: no Catch hears of it, and a function that runs goes on to its end."""
        if execution.status != "RUNNING":
            return
        execution.status = status
        if child_lives and execution.child:
            self._drop(execution)
        elif not (child_lives and execution.releasing):
            self.let_go(execution)
        self._wake()
        self._tell_of_end(execution)

    def forget(self, execution: Execution) -> None:
        """The machine loses the connection to a function, and calls it again while it goes on."""
        if execution.task and execution.process and not execution.process.done:
            self._retry(execution, "unavailable", StepFailed("Lambda.SdkClientException", "connection lost"))

    def let_go(self, execution: Execution) -> None:
        """Ends what an execution left running."""
        self._drop(execution)
        if execution.child:
            self.end(execution.child, "ABORTED")
        self.stop_jobs(execution.arn)

    def _drop(self, execution: Execution) -> None:
        if execution.machine:
            execution.machine.close()
        execution.machine, execution.process, execution.waiting, execution.token = None, None, None, None

    def hear(self, token: str, output: dict[str, str]) -> bool:
        """A token comes back; whether somebody waited for it."""
        execution = next((each for each in self.executions.values() if each.token == token), None)
        if execution is None:
            return False
        execution.token, execution.process = None, None
        self.watch.heard(execution, output)
        self._advance(execution, output)
        return True

    def time_is_up(self, execution: Execution) -> None:
        """Nobody answered in time, which is days after whoever was to ask has done so."""
        self._nothing_outlives(execution)
        if not self.processes:
            self.watch.nobody_waits_in_vain()
        execution.token, execution.process = None, None
        self._advance(execution, error=StepFailed("States.Timeout", "nobody answered"))

    def _advance(self, execution: Execution, value: Any = None, error: StepFailed | None = None) -> None:
        steps = execution.machine
        if steps is None:
            return
        if execution.kind == "endpoint":
            self._nothing_outlives(execution)
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
        elif isinstance(request, Nested):
            self._nest(execution, request)
        else:
            execution.task, execution.failures = request, Counter()
            self._call(execution)

    def minutes_pass(self) -> None:
        """What those endpoint executions left running that have ended is over."""
        for execution in self.executions.values():
            if execution.kind == "endpoint" and execution.status != "RUNNING":
                self._nothing_outlives(execution)

    def _nothing_outlives(self, execution: Execution) -> None:
        """A function's time, and that of its calls, is over before an endpoint has changed or a person answered."""
        ours = f"{execution.name} "
        for name in [name for name in self.processes if name.startswith(ours)]:
            self.stop(name)
        for late in [late for late in self.bucket.late if late.by.startswith(ours)]:
            self.bucket.land_late(late)

    def _nest(self, execution: Execution, request: Nested) -> None:
        execution.process, execution.task = None, None
        execution.calls[kind := request.definition.__name__] += 1
        name = f"{execution.name}-{kind}{execution.calls[kind]}"
        # Known before it takes its first step, at which it may end.
        child = Execution(self, name, request.given, self.now, kind, execution)
        execution.child = child
        self._begin(child, request.definition)

    def _finish(self, execution: Execution, status: str, outcome: str, failure: StepFailed | None) -> None:
        execution.machine, execution.process, execution.task = None, None, None
        if execution.status != "RUNNING":
            return
        execution.status, execution.outcome = status, outcome
        execution.error = failure.name if failure else None
        self.watch.execution_ended(execution, failure)
        self._tell_of_end(execution)

    def _call(self, execution: Execution) -> None:
        task = execution.task
        assert task
        execution.calls[task.step] += 1
        name = f"{execution.name} {task.step} {execution.calls[task.step]}"
        event = task.event
        if isinstance(task, Ask):
            event, execution.token = {**event, "token": name}, name

        def returned(process: Process) -> None:
            if execution.process is process:
                self._returned(execution, process)

        def program(process: Process) -> Any:
            execution.process = process
            self.watch.step_begins(task.step, event, process.name)
            return functions.step(task.step)(event, Ports(self, process), self.clock_of(process.name))

        self.began[name] = self.bucket.step
        self.spawn(name, program, returned)

    def _returned(self, execution: Execution, process: Process) -> None:
        task, error = execution.task, process.error
        assert task
        if error is None and isinstance(task, Ask):
            execution.process = None
        elif error is None:
            self.watch.step_ended(execution, task, process.result)
            self._advance(execution, process.result)
        elif isinstance(error, Killed):
            self._retry(execution, "killed", StepFailed("Lambda.Unknown", "killed"))
        elif isinstance(error, Unavailable):
            self._retry(execution, "unavailable", StepFailed(type(error).__name__, str(error)))
        else:
            execution.token = None
            self.watch.step_failed(execution, task, error)
            self._advance(execution, error=StepFailed(type(error).__name__, str(error)))

    def _retry(self, execution: Execution, kind: str, failure: StepFailed) -> None:
        execution.token = None
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

    def _tell_of_end(self, execution: Execution) -> None:
        """The rule for a bad end of what may hold a lease; and whoever nested it hears of any."""
        if execution.status != "SUCCEEDED" and execution.kind in MACHINES:
            detail = {
                **{"executionArn": execution.arn, "startDate": execution.started.timestamp() * 1000},
                **{"status": execution.status, "input": json.dumps(execution.given)},
                "stateMachineArn": f"arn:stateMachine:stack-{MACHINES[execution.kind]}",
            }
            self.deliver("free_lease", execution.name, detail)
        parent = execution.parent
        if parent and parent.child is execution:
            parent.child = None
            failure = StepFailed(execution.error or "States.TaskFailed", execution.status)
            self._advance(parent, execution.outcome, None if execution.status == "SUCCEEDED" else failure)
