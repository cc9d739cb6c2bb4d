"""A laptop target of its own for tests: driven by the command line, looked at through AWS and SQL."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import psycopg
from ratchet.adapters.s3 import S3Store
from ratchet.keys import Keys

from cli.targets import Target
from local.laptop import SECRET, STACK
from local.paths import Paths

COMMAND = Path(sys.executable).parent / "ratchet"
TARGET = "RATCHET_E2E_HOME"
"""Names the home of a target that is up already: the tests then use it and leave it up."""
KEYS = Keys("")
"""Of `returns`, which has no prefix."""


@dataclass(frozen=True)
class Said:
    """What a command answered: exit code, the document of `--json`, and the lines that it ended with on stderr."""

    code: int
    document: Any
    stderr: str

    @property
    def complaint(self) -> str:
        """The one line after which a failing command ends."""
        lines = [line for line in self.stderr.splitlines() if line.startswith(("ratchet: ", "Error: "))]
        assert len(lines) == 1, self.stderr
        return lines[0]


@dataclass
class LaptopTarget:
    """A target whose `.ratchet/` is `home`."""

    home: Path
    said: list[str] = field(default_factory=list)
    """All that commands have printed."""
    _target: list[Target] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What the command is called with."""
        return {**os.environ, "RATCHET_HOME": str(self.home), "COLUMNS": "200", "NO_COLOR": "1"}

    def call(self, *arguments: str) -> Said:
        """Runs `ratchet ARGUMENTS --json`."""
        ran = self.plain(*arguments, "--json")
        return Said(ran.returncode, json.loads(ran.stdout) if ran.stdout.strip() else None, ran.stderr)

    def plain(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `ratchet ARGUMENTS` as a person does."""
        ran = subprocess.run(
            [str(COMMAND), *arguments],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        self.said.append(ran.stdout + ran.stderr)
        return ran

    def ratchet(self, *arguments: str, code: int = 0) -> Any:
        """The document of a command that ends with `code`."""
        said = self.call(*arguments)
        assert said.code == code, f"ratchet {' '.join(arguments)} ended with {said.code}: {said.document} {said.stderr}"
        return said.document

    def plain_json(self, *arguments: str) -> Any:
        """The document of a command that takes no `--json` since it prints nothing else."""
        ran = self.plain(*arguments)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    def run(self, *arguments: str, code: int = 0) -> Any:
        """What came of `ratchet run returns ARGUMENTS`."""
        return self.ratchet("run", "returns", *arguments, code=code)

    @cached_property
    def session(self) -> Any:
        """A boto3 session by the exports of `ratchet env`."""
        told = self.ratchet("env")
        return boto3.Session(told["AWS_ACCESS_KEY_ID"], told["AWS_SECRET_ACCESS_KEY"], region_name=told["AWS_REGION"])

    @property
    def target(self) -> Target:
        """The stack; asked for anew after `down` and `up`, for ports may change."""
        if not self._target:
            self._target.append(Target("laptop", STACK, self.session, self.ratchet("env")["AWS_ENDPOINT_URL"]))
        return self._target[0]

    def forget(self) -> None:
        """After `down`: the target's address may be another one next time."""
        self._target.clear()

    def client(self, service: str) -> Any:
        """A boto3 client with the owner's rights."""
        return self.target.client(service)

    @property
    def store(self) -> S3Store:
        """The landing bucket."""
        return self.target.store

    def document(self, key: str) -> dict[str, Any]:
        """A JSON object of the landing bucket."""
        stored = self.store.get(key)
        assert stored is not None, f"{key} is missing"
        document: dict[str, Any] = json.loads(stored.body)
        return document

    def etag(self, key: str) -> str | None:
        """The version of an object, None where there is none."""
        found = self.store.head(key)
        return found.etag if found else None

    @property
    def keys(self) -> dict[str, str]:
        """The keys and passwords of the local Supabase, by name."""
        return dict(json.loads(Paths(self.home).keys.read_text()))

    @property
    def database(self) -> str:
        """The libpq URL of the tables' owner."""
        ports = json.loads(Paths(self.home).laptop.read_text())["ports"]
        return f"postgresql://postgres:{self.keys['password']}@127.0.0.1:{ports['postgres']}/postgres"

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        """Runs statements as the tables' owner in one transaction; the rows of the last one."""
        with psycopg.connect(self.database) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def secret(self, change: Callable[[dict[str, str]], Any]) -> Iterator[None]:
        """Puts `change(fields)` (an object, or text as it is) into the secret until the block ends."""
        client = self.client("secretsmanager")
        text = client.get_secret_value(SecretId=SECRET)["SecretString"]
        other = change(json.loads(text))
        client.put_secret_value(SecretId=SECRET, SecretString=other if isinstance(other, str) else json.dumps(other))
        try:
            yield
        finally:
            client.put_secret_value(SecretId=SECRET, SecretString=text)

    def start(self, document: Any, pipeline: str = "returns") -> str:
        """Starts the machine as any client of Step Functions may; its ARN."""
        machine = self.target.machine(pipeline)
        answer = self.client("stepfunctions").start_execution(stateMachineArn=machine, input=json.dumps(document))
        return str(answer["executionArn"])

    def ended(self, execution: str) -> dict[str, Any]:
        """The description of an execution, once it has ended."""

        def look() -> dict[str, Any] | None:
            told: dict[str, Any] = self.client("stepfunctions").describe_execution(executionArn=execution)
            return None if told["status"] == "RUNNING" else told

        return until(look)

    def events(self, execution: str, kind: str) -> list[dict[str, Any]]:
        """The events of that type in an execution's history, in order."""
        pages = self.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=execution)
        return [event for page in pages for event in page["events"] if event["type"] == kind]

    def visited(self, execution: str) -> list[str]:
        """The states that an execution entered."""
        entered = ("TaskStateEntered", "SucceedStateEntered", "FailStateEntered")
        found = [event for kind in entered for event in self.events(execution, kind)]
        return [event["stateEnteredEventDetails"]["name"] for event in sorted(found, key=lambda event: event["id"])]

    def jobs(self) -> dict[str, str]:
        """The state of every training job there was, by name."""
        pages = self.client("sagemaker").get_paginator("list_training_jobs").paginate()
        jobs = [job for page in pages for job in page["TrainingJobSummaries"]]
        return {job["TrainingJobName"]: job["TrainingJobStatus"] for job in jobs}

    def renew(self, function: str) -> None:
        """Has a function start anew: a changed configuration makes new processes."""
        name, client = self.target.output(function), self.client("lambda")
        variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        renewed = {**variables, "RENEWED": str(time.time_ns())}
        client.update_function_configuration(FunctionName=name, Environment={"Variables": renewed})

    def runtimes(self, function: str) -> list[Path]:
        """Where `/proc` shows the processes of a function, warm ones included."""
        variable = f"\0AWS_LAMBDA_FUNCTION_NAME={self.target.output(function)}\0".encode()
        found = []
        for pid in (entry for entry in Path("/proc").iterdir() if entry.name.isdigit()):
            with contextlib.suppress(OSError):
                command = (pid / "cmdline").read_bytes().split(b"\0")
                if command[1:3] == [b"-m", b"awslambdaric"] and variable in b"\0" + (pid / "environ").read_bytes():
                    found.append(pid)
        return found

    def processes(self) -> list[str]:
        """Every process whose command, environment or working folder lies in this target."""
        return [line for pid in Path("/proc").iterdir() if pid.name.isdigit() if (line := self._belongs(pid))]

    def _belongs(self, pid: Path) -> str:
        mark = str(self.home).encode()
        try:
            command = (pid / "cmdline").read_bytes()
            there = os.readlink(pid / "cwd").encode()  # noqa: PTH115
            variables = (pid / "environ").read_bytes().replace(TARGET.encode() + b"=" + mark, b"")
        except OSError:
            return ""
        return (
            f"{pid.name}: {command.decode(errors='replace')}"
            if any(mark in text for text in (command, variables, there))
            else ""
        )


def until(look: Callable[[], Any], seconds: float = 120) -> Any:
    """What `look` finds, once it finds something."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"nothing came of waiting {seconds} s"
        time.sleep(0.2)
    return found
