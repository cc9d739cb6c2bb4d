"""A simulated world: one bucket, executions, jobs, a source, scorers and people, of which one goes on at a time."""

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ratchet.errors import RatchetError, Unavailable
from ratchet.instants import iso
from ratchet.serving.champion import Follower
from ratchet.serving.request import Rows, Slots
from ratchet.serving.service import serve
from ratchet.training import Job as Described

from tests.faults.simulator import functions, machine
from tests.faults.simulator.bucket import Bucket, Change, Requests
from tests.faults.simulator.functions import PIPELINE
from tests.faults.simulator.invariants import Violation, Watch
from tests.faults.simulator.machine import Machine, StepFailed, Task, Wait
from tests.faults.simulator.processes import Killed, Process
from tests.faults.simulator.source import Source, Table
from tests.faults.simulator.stand_ins import NAME, pack

NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)
SKEW = timedelta(minutes=10)
RETRIES = {"unavailable": 4, "killed": 2}
"""How often a Task is tried again (five and two times in the definitions)."""
DELIVERIES = 21


@dataclass
class Job:
    """A training job."""

    name: str
    request: dict[str, Any]
    owner: str
    status: str = "InProgress"
    reason: str = ""
    process: Process | None = None

    def described(self) -> dict[str, Any]:
        return {"TrainingJobName": self.name, "TrainingJobStatus": self.status, "FailureReason": self.reason}


@dataclass
class Execution:
    """One execution of the pipeline's machine."""

    world: "World"
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
        return self.world.create_job(name, request, self)

    def is_training(self, name: str) -> bool:
        return self.world.jobs[name].status in {"InProgress", "Stopping"}

    def is_running(self, arn: str) -> bool:
        return self.world.executions[arn].status == "RUNNING"


class World:
    """Everything there is. `seed` decides what is left to chance by name: clocks, models, decisions of people."""

    def __init__(self, seed: int, bucket: Bucket | None = None, tables: dict[str, Table] | None = None) -> None:
        self.seed = seed
        self.bucket = bucket or Bucket()
        self.now = NOW
        self.tables = tables or {name: Table() for name in PIPELINE.source.tables}
        self.executions: dict[str, Execution] = {}
        self.jobs: dict[str, Job] = {}
        self.processes: dict[str, Process] = {}
        self.watch = Watch(self)
        self.bucket.watch = self.watch.changed
        self.happened: Counter[str] = Counter()
        self.skew = SKEW
        self.spoilt: set[str] = set()
        self._waiting: list[Execution] = []
        self._ended: dict[str, Callable[[Process], None]] = {}

    # ------------------------------------------------------------------------------------------------------ processes

    def alive(self) -> list[str]:
        """The names of all processes that wait for their turn, in the order of their making."""
        return list(self.processes)

    def turn(self, name: str, action: str = "go") -> None:
        """One request of a process, with what befalls it."""
        process = self.processes[name]
        self.bucket.step += 1
        self.now += timedelta(seconds=1)
        process.resume(action)
        self._settle(process)

    def spawn(self, name: str, program: Callable[[Process], Any], ended: Callable[[Process], None]) -> Process:
        """A new process, run until its first request."""
        process = Process(name, program)
        self.processes[name], self._ended[name] = process, ended
        process.resume()
        self._settle(process)
        return process

    def close(self) -> None:
        """Ends whatever still runs."""
        for process in list(self.processes.values()):
            process.end()

    def _settle(self, process: Process) -> None:
        if process.done and self.processes.pop(process.name, None):
            if isinstance(process.error, Violation):
                raise process.error
            if process.error and not isinstance(process.error, RatchetError | Killed):
                raise Violation("no step breaks on what another did", f"{process.name}: {process.error!r}") from (
                    process.error
                )
            self._ended.pop(process.name)(process)
        for execution in list(self._waiting):
            if execution.waiting is None:
                self._waiting.remove(execution)
            elif execution.waiting():
                execution.waiting = None
                self._waiting.remove(execution)
                self._advance(execution)

    def clock_of(self, name: str) -> Callable[[], datetime]:
        """A clock that may be ten minutes wrong."""
        skew = self.chance(f"clock {name}").choice([-SKEW, timedelta(0), timedelta(0), SKEW])
        return lambda: self.now + skew

    def chance(self, name: str) -> random.Random:
        """What is left to chance for this name, the same in every replay."""
        return random.Random(f"{self.seed} {name}")

    # ----------------------------------------------------------------------------------------------------- executions

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
            self._let_go(execution)
        self._tell_rule(execution)

    def forget(self, execution: Execution) -> None:
        """The machine loses the connection to a function, and calls it again while it goes on."""
        if execution.task and execution.process and not execution.process.done:
            execution.disturbed = True
            self._retry(execution, "unavailable", StepFailed("Lambda.SdkClientException", "connection lost"))

    def _let_go(self, execution: Execution) -> None:
        if execution.machine:
            execution.machine.close()
        execution.machine, execution.process, execution.waiting = None, None, None
        self.stop_jobs(execution)

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
            self._let_go(execution)
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

    # ----------------------------------------------------------------------------------------------------------- jobs

    def create_job(self, name: str, request: dict[str, Any], owner: Execution) -> Job | None:
        """A training job under a name that nobody has yet, else None."""
        if name in self.jobs:
            return None
        job = self.jobs[name] = Job(name, request, owner.arn)
        job.process = self.spawn(f"job {name}", lambda process: self._train(job, process), lambda process: None)
        return job

    def _train(self, job: Job, process: Process) -> None:
        store = Requests(self.bucket, process)
        knobs = job.request["HyperParameters"]
        action = process.ask("train", job.name)
        if action == "job fails":
            job.status, job.reason = "Failed", "AlgorithmError: out of memory"
            return
        digest = self.watch.training_reads(knobs["train_uri"], job.name)
        scale = self.chance(f"model {job.name}").uniform(0.5, 2.0)
        body = pack(knobs["run_ts"], knobs["train_uri"], digest, scale)
        if process.ask("upload", job.name) == "job writes no bundle":
            body = b"cut off"
            self.spoilt.add(knobs["run_ts"])
        output = f"{PIPELINE.keys.jobs()}{job.name}/output/model.tar.gz"
        self.bucket.apply(Change(output, body, None, False, {}, process.name))
        assert store
        job.status = "Completed"

    def stop_jobs(self, execution: Execution) -> list[str]:
        """Stops what an execution left training."""
        stopped = []
        for job in self.jobs.values():
            if job.owner == execution.arn and job.status == "InProgress":
                job.status, job.reason = "Stopped", ""
                stopped.append(job.name)
                if job.process and job.process.name in self.processes:
                    self.processes.pop(job.process.name).end()
                    self._ended.pop(job.process.name)
        return stopped

    # --------------------------------------------------------------------------------------------- people and scorers

    def approve(self, execution: Execution) -> None:
        """A person decides, one way or the other."""

        def program(process: Process) -> None:
            process.ask("decide", execution.name)
            if execution.asked and execution.approved is None:
                execution.approved = self.chance(f"approval {execution.name}").random() < 0.7

        def ended(process: Process) -> None:
            if execution.approved is None and execution.status == "RUNNING":
                self.approve(execution)

        number = execution.calls["approve"] = execution.calls["approve"] + 1
        self.spawn(f"approver of {execution.name} {number}", program, ended)

    def roll_back(self, name: str, to: str | None) -> None:
        """A person takes a model back."""

        def program(process: Process) -> Any:
            process.ask("decide", str(to))
            event = {"pipeline": NAME, "to": to, "who": name, "why": "worse"}
            return functions.step("rollback")(event, Ports(self, process), self.clock_of(name))

        self.spawn(name, program, self.watch.rolled_back)

    def resume(self, name: str, run_ts: str) -> None:
        """An operator takes a failed run up again."""

        def program(process: Process) -> None:
            process.ask("decide", run_ts)
            self.start(name, {"resume": run_ts})

        self.spawn(f"operator {name}", program, lambda process: None)

    def scorer(self, name: str, calls: int, follower: Follower | None = None, done: int = 0) -> None:
        """A scoring process that is called several times; a killed one is followed by a new one that knows nothing."""
        following = follower or Follower(PIPELINE)

        def program(process: Process) -> None:
            for number in range(done, calls):
                self._score(process, following, number)
                process.result = number

        def ended(process: Process) -> None:
            if isinstance(process.error, Killed) and self.happened["scorers that died"] < 20:
                self.happened["scorers that died"] += 1
                self.scorer(f"{name}'", calls, None, process.result or 0)

        self.spawn(name, program, ended)

    def _score(self, process: Process, following: Follower, number: int) -> None:
        ports, begun = Ports(self, process), self.watch.scoring_begins()
        process.ask("invoke", process.name)
        inputs = [{"base_ts": "2026-11-21T04:00:00Z", "vector": [1.0 + row, 0.0]} for row in range(2)]
        request = Slots(NAME) if number % 2 == 0 else Rows(NAME, inputs, single=False)
        try:
            champion = following.current(ports.store())
            answer = serve(request, PIPELINE, champion, ports, self.clock_of(process.name))
        except RatchetError as error:
            self.watch.scoring_failed(process.name, error)
            return
        if isinstance(request, Rows):
            self.watch.scored(process.name, champion, answer, inputs, begun)

    # ----------------------------------------------------------------------------------------------------- the source

    def rows_change(self, name: str, events: list[str]) -> None:
        """New rows, late ones, and rows that are written again."""

        def program(process: Process) -> None:
            for event in events:
                process.ask("source", event)
                for table in self.tables.values():
                    table.happen(event, PIPELINE.source.overlap_minutes)

        self.spawn(name, program, lambda process: None)


class Ports:
    """`ratchet.wiring` for one process."""

    def __init__(self, world: World, process: Process) -> None:
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
        self._world._let_go(found)
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


def instant(hours: float) -> str:
    """An instant so many hours from the beginning."""
    return iso(NOW + timedelta(hours=hours))
