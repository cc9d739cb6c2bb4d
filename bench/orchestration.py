"""Six trivial steps: a warm execution of a state machine on the laptop target beside Metaflow's `run`.

Ours is an execution of six Lambda functions whose processes are warm, from StartExecution to its end. Metaflow's is its
one way to run: the command, with local metadata and no AWS, in its own environment. `python -m bench.orchestration`.
"""

import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local import ports
from local.environments import RECIPES, Recipe, ensure
from local.laptop import emulator_service
from local.paths import Paths, default_paths
from local.supervisor import Supervisor

STEPS = 6
ROUNDS = {"ours": 20, "metaflow": 3}
HERE = Path(__file__).parent
RESULTS = HERE / "results" / "orchestration.json"
HANDLER = "def handler(event, context):\n    return {'n': event['n'] + 1}\n"


@contextmanager
def emulator() -> Iterator[str]:
    """The address of an emulator with a state of its own, in the laptop target's environments."""
    home = default_paths()
    for recipe in RECIPES:
        if recipe.name in ("emulator", "runtime", "sam"):
            ensure(recipe, home, _tell)
    with tempfile.TemporaryDirectory() as folder:
        paths = Paths(Path(folder))
        (paths.root / "envs").symlink_to(home.root / "envs")
        paths.prepare()
        supervisor, port = Supervisor(paths), ports.free_port()
        try:
            supervisor.ensure(emulator_service(paths, port))
            yield f"http://127.0.0.1:{port}"
        finally:
            supervisor.stop_all()


class Machine:
    """A state machine of six Lambda functions, each with a process of its own."""

    def __init__(self, endpoint: str) -> None:
        """Deploys all of it to the emulator at `endpoint`."""
        self._endpoint = endpoint
        self._steps = self._client("stepfunctions")
        self._role = self._create_role()
        arns = [self._create_function(f"step{number}") for number in range(STEPS)]
        created = self._steps.create_state_machine(name="six", definition=_definition(arns), roleArn=self._role)
        self._arn = str(created["stateMachineArn"])

    def run(self) -> None:
        """One execution, from its start to its end."""
        execution = self._steps.start_execution(stateMachineArn=self._arn, input='{"n": 0}')["executionArn"]
        while (found := self._steps.describe_execution(executionArn=execution))["status"] == "RUNNING":
            time.sleep(0.002)
        assert json.loads(found.get("output", "null")) == {"n": STEPS}, found

    def _client(self, service: str) -> Any:
        import boto3

        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        return boto3.client(service, endpoint_url=self._endpoint, **keys)

    def _create_role(self) -> str:
        services = ["states.amazonaws.com", "lambda.amazonaws.com"]
        trust = {"Effect": "Allow", "Principal": {"Service": services}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        iam = self._client("iam")
        role = iam.create_role(RoleName="six", AssumeRolePolicyDocument=document)["Role"]["Arn"]
        allow = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        iam.put_role_policy(RoleName="six", PolicyName="six", PolicyDocument=policy)
        return str(role)

    def _create_function(self, name: str) -> str:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as opened:
            opened.writestr("app.py", HANDLER)
        code = {"Code": {"ZipFile": archive.getvalue()}, "Handler": "app.handler", "Runtime": "python3.12"}
        client = self._client("lambda")
        created = client.create_function(FunctionName=name, Role=self._role, MemorySize=256, Timeout=30, **code)
        return str(created["FunctionArn"])


def _definition(arns: list[str]) -> str:
    states: dict[str, dict[str, Any]] = {
        f"Step {number}": {"Type": "Task", "Resource": arn, "Next": f"Step {number + 1}"}
        for number, arn in enumerate(arns, 1)
    }
    last = states[f"Step {STEPS}"]
    last.pop("Next")
    last["End"] = True
    return json.dumps({"QueryLanguage": "JSONata", "StartAt": "Step 1", "States": states})


def metaflow(python: Path, home: Path) -> None:
    """One `run` of the same six steps."""
    environment = {
        "PATH": os.defpath,
        "HOME": str(home),
        "METAFLOW_USER": "bench",
        "METAFLOW_DEFAULT_METADATA": "local",
        "METAFLOW_DEFAULT_DATASTORE": "local",
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(home),
    }
    command = [str(python), str(HERE / "six_steps.py"), "--no-pylint", "--quiet", "run"]
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"Metaflow's run failed: {done.stdout}{done.stderr}")


def timed(rounds: int, call: Callable[[], None]) -> list[float]:
    """Seconds of each round, after one that fills caches and starts processes."""
    call()
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        found.append(time.perf_counter() - started)
    return found


def run() -> dict[str, object]:
    """Measures both, prints the table and saves it."""
    python = ensure(Recipe("bench-metaflow"), default_paths(), _tell, HERE / "requirements" / "metaflow.txt")
    with tempfile.TemporaryDirectory() as home:
        theirs = timed(ROUNDS["metaflow"], lambda: metaflow(python, Path(home)))
    with emulator() as endpoint:
        ours = timed(ROUNDS["ours"], Machine(endpoint).run)
    ratio = statistics.median(theirs) / statistics.median(ours)
    print("six trivial steps                                median ms     best ms")
    for way, seconds in (("a state machine on the laptop target, warm", ours), ("Metaflow's `run`", theirs)):
        print(f"  {way:<44} {statistics.median(seconds) * 1000:>11,.0f} {min(seconds) * 1000:>11,.0f}")
    print(f"  Metaflow takes {ratio:.0f} times as long")
    document: dict[str, object] = {
        "steps": STEPS,
        "seconds": {"ours": ours, "metaflow": theirs},
        "ratio": ratio,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    return document


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    run()
