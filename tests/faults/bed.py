"""A test bed for deaths: the deployed machines on the emulator, with functions and a trainer that can be killed.

Each story begins with the bucket filled from a snapshot; what is left in the end is compared object by object.
"""

import hashlib
import io
import itertools
import json
import os
import re
import shutil
import sys
import sysconfig
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from ratchet.adapters.s3 import S3Store
from ratchet.keys import Keys
from ratchet.training_request import base_name

from tests.contract.application import RESOURCES
from tests.emulated import CHECKOUT, Emulator, Environments
from tests.faults.mortal import FUNCTION, Commander
from tests.faulty_rest import Rest, serve
from tests.flow.stage import ALLOW, definition

TINY = CHECKOUT / "tests" / "faults" / "tiny"
BUCKET, KEYS = "bed", Keys("tiny/")
STEPS = (
    *("claim_run", "take_lease", "extract", "check_sufficiency", "prepare", "stage_training", "confirm_training"),
    *("evaluate", "promote", "give_back_lease", "free_lease", "score", "rollback"),
)
STEP = timedelta(minutes=10)
SOLD_OUT = "ml.p4d.24xlarge"
UNTIMELY = ["FAILED", "ABORTED", "TIMED_OUT"]
# In place of the training Python: runs `tiny`'s train.py by the orders; the guard it is first asked to run, it runs.
TRAINER = """#!{python}
import os, runpy, sys
if sys.argv[1] == "-I":
    os.execv("{python}", ["{python}", *sys.argv[1:]])
sys.path[:0] = {packages!r}.split(os.pathsep)
sys.argv[1:] = ["{orders}"]
os.chdir(os.environ["SAGEMAKER_BASE_DIR"])
runpy.run_path("{script}", run_name="__main__")
"""
PASSING = {
    *("claimed_at", "ended_at", "taken_at", "expires_at", "updated_at", "generated_at", "attempt", "execution"),
    *("token", "job_name", "who", "champion_job"),
}
"""Fields that differ from attempt to attempt: instants, counters, names of executions and jobs."""


@dataclass
class Story:
    """The bucket and what happened on it."""

    store: S3Store
    untimely: int = 0
    """Executions that did not end by themselves; the rule about ends is called for each."""

    def document(self, key: str) -> dict[str, Any]:
        stored = self.store.get(key)
        assert stored, f"{key} is missing"
        return dict(json.loads(stored.body))


class Bed:
    """Deploys once; `story` begins on a bucket of its own."""

    def __init__(self, environments: Environments, folder: Path, rest: Rest) -> None:
        self.orders, self.commander, self.rest = folder / "orders.json", Commander(), rest
        # A copy, so that the code archive of all runs is the same even while somebody works on the product.
        self.product = folder / "product"
        for part in ("functions", "layers/common"):
            shutil.copytree(CHECKOUT / part, self.product / part)
        self.packages = self._packages(TINY)
        trainer = folder / "python"
        script = TINY / "pipelines" / "tiny" / "train.py"
        filled = {"python": sys.executable, "packages": self.packages, "orders": self.orders, "script": script}
        trainer.write_text(TRAINER.format(**filled))
        trainer.chmod(0o755)
        fast = {"SFN_WAIT_SCALE": "0.001", "RATCHET_TRAINING_PYTHON": str(trainer)}
        fast["RATCHET_TRAINING_WITHOUT_CAPACITY"] = SOLD_OUT
        self.emulator = Emulator(environments, folder / "emulator", **fast).start()
        self.states, self.s3 = self.emulator.client("stepfunctions"), self.emulator.client("s3")
        self.s3.create_bucket(Bucket=BUCKET)
        self._numbers = itertools.count()
        self._deploy()

    def close(self) -> None:
        self.emulator.stop()
        self.commander.close()

    def _deploy(self) -> None:
        self.role = self._role()
        topic = self.emulator.client("sns").create_topic(Name="outcomes")["TopicArn"]
        self.functions = {step: self.function(step) for step in STEPS}
        arns = {f"{_camel(step)}FunctionArn": arn for step, arn in self.functions.items()}
        release = {"TopicArn": str(topic), **_wanted("ReleaseMachine", arns)}
        self.release = self.machine("bed-release", definition("release.asl.yaml", **release))
        land = _wanted("ExtractPartsMachine", arns)
        parts = self.machine("bed-extract-parts", definition("extract_parts.asl.yaml", **land))
        own = {"Pipeline": "tiny", "ReleaseMachineArn": self.release, "ExtractPartsMachineArn": parts}
        own |= _wanted("returnsMachine", arns)
        self.definition = definition("pipeline.asl.yaml", **own)
        self.pipeline = self.machine("bed-tiny", self.definition)
        self._rule()

    def machine(self, name: str, text: str) -> str:
        """A deployed machine."""
        made = self.states.create_state_machine(name=name, definition=text, roleArn=self.role)
        return str(made["stateMachineArn"])

    # ------------------------------------------------------------------------------------------------------- stories

    def story(self, objects: dict[str, tuple[bytes, dict[str, str]]] | None = None) -> Story:
        """A bucket with these objects and nothing else; no orders."""
        self.commander.await_silence()
        story = Story(S3Store(BUCKET, self.s3))
        for row in story.store.list(""):
            self.s3.delete_object(Bucket=BUCKET, Key=row.key)
        for key, (body, tags) in (objects or {}).items():
            story.store.put(key, body, tags=tags)
        secret = self._secret()
        self.commander.reset(
            RATCHET_BUCKET=BUCKET,
            # Job names are unique for ever: no other story must have made this one's.
            RATCHET_STACK=f"bed-{next(self._numbers)}",
            RATCHET_SECRET=secret,
            RATCHET_TRAINING_ROLE=self.role,
            RATCHET_TRAINING_IMAGE="image",
            RATCHET_TRAINING_INSTANCE="ml.m5.large",
            RATCHET_ALLOW_SYNTHETIC="true",
            RATCHET_MACHINE_TIMEOUT_SECONDS="14400",
        )
        self.train()
        return story

    def train(self, **orders: Any) -> None:
        """What the trainer shall do."""
        self.orders.write_text(json.dumps(orders))

    def start(self, given: dict[str, Any], machine: str | None = None) -> str:
        """The ARN of a new execution."""
        told = self.states.start_execution(stateMachineArn=machine or self.pipeline, input=json.dumps(given))
        return str(told["executionArn"])

    def run(self, story: Story, given: dict[str, Any], machine: str | None = None) -> dict[str, Any]:
        """A run to its end; the lease is free then."""
        return self.ended(story, self.start(given, machine))

    def ended(self, story: Story, execution: str) -> dict[str, Any]:
        """The execution once it has ended and the rule about ends has freed what it held."""
        described = until(lambda: self._ended(execution))
        story.untimely += described["status"] in UNTIMELY
        until(lambda: self.commander.calls["free_lease"] >= story.untimely)
        until(lambda: self._free(story))
        return dict(described)

    def _ended(self, execution: str) -> dict[str, Any] | None:
        found: dict[str, Any] = self.states.describe_execution(executionArn=execution)
        return found if found["status"] != "RUNNING" else None

    def _free(self, story: Story) -> bool:
        held, running = (
            story.store.get(KEYS.lease()),
            [row.key for row in story.store.list("tiny/runs/") if story.document(row.key)["state"] == "running"],
        )
        return not running and (held is None or json.loads(held.body)["state"] == "free")

    def invoke(self, step: str, event: dict[str, Any]) -> tuple[str | None, Any]:
        """The error and the answer of a function that a person or a schedule calls."""
        answer = self.emulator.client("lambda").invoke(FunctionName=f"bed-{step}", Payload=json.dumps(event).encode())
        told = json.loads(answer["Payload"].read())
        return (told["errorType"], told) if "FunctionError" in answer else (None, told)

    def jobs(self, run_ts: str) -> dict[str, str]:
        """The states of the jobs of a run of this story, by name."""
        common = base_name("tiny", self.commander.environment["RATCHET_STACK"], run_ts, 1).rpartition("-")[0]
        listed = self.emulator.client("sagemaker").list_training_jobs(NameContains=common)
        return {job["TrainingJobName"]: job["TrainingJobStatus"] for job in listed["TrainingJobSummaries"]}

    # ------------------------------------------------------------------------------------------------------ deployment

    def _packages(self, pipelines: Path) -> str:
        """Where a process finds the product, with the pipelines in that folder."""
        places = (pipelines, self.product / "layers/common", sysconfig.get_paths()["purelib"])
        return os.pathsep.join(map(str, places))

    def function(self, step: str, name: str = "", pipelines: Path = TINY) -> str:
        """Deploys a step, under another name if it has one and with the pipelines in that folder; its ARN."""
        name = name or step
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as opened:
            opened.writestr("app.py", FUNCTION)
        handler = self.product / "functions" / step / "app.py"
        where = {"PACKAGES": self._packages(pipelines), "ORDERS": self.commander.address}
        variables = {"STEP": name, "HANDLER": str(handler), **where}
        logging = {"POWERTOOLS_SERVICE_NAME": "bed", "POWERTOOLS_METRICS_NAMESPACE": "Ratchet"}
        made = self.emulator.client("lambda").create_function(
            FunctionName=f"bed-{name}",
            Runtime="python3.12",
            Handler="app.handler",
            Role=self.role,
            Code={"ZipFile": archive.getvalue()},
            Timeout=60,
            MemorySize=2048,
            Environment={"Variables": {**variables, **logging}},
        )
        return str(made["FunctionArn"])

    def _role(self) -> str:
        iam = self.emulator.client("iam")
        services = [f"{each}.amazonaws.com" for each in ("states", "lambda", "sagemaker", "events")]
        trust = {"Effect": "Allow", "Principal": {"Service": services}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        made = iam.create_role(RoleName="bed", AssumeRolePolicyDocument=document)["Role"]
        iam.put_role_policy(RoleName="bed", PolicyName="all", PolicyDocument=json.dumps(ALLOW))
        return str(made["Arn"])

    def _rule(self) -> None:
        events = self.emulator.client("events")
        machines = [f"{self.pipeline.rpartition(':')[0]}:{stack}-tiny" for stack in ("bed", "impatient")]
        detail = {"status": UNTIMELY, "stateMachineArn": machines}
        pattern = {"source": ["aws.states"], "detail": detail}
        rule = events.put_rule(Name="bed-ended", EventPattern=json.dumps(pattern))["RuleArn"]
        self.emulator.client("lambda").add_permission(
            FunctionName="bed-free_lease",
            StatementId="rule",
            Action="lambda:InvokeFunction",
            Principal="events.amazonaws.com",
            SourceArn=rule,
        )
        events.put_targets(Rule="bed-ended", Targets=[{"Id": "free", "Arn": self.functions["free_lease"]}])

    def _secret(self) -> str:
        client, text = self.emulator.client("secretsmanager"), json.dumps({"url": self.rest.url, "key": "sb_secret_x"})
        try:
            client.put_secret_value(SecretId="bed", SecretString=text)
        except client.exceptions.ResourceNotFoundException:
            client.create_secret(Name="bed", SecretString=text)
        return "bed"


def _camel(step: str) -> str:
    return "".join(part.capitalize() for part in step.split("_"))


def _wanted(logical: str, arns: dict[str, str]) -> dict[str, str]:
    """The function ARNs that the template fills into a machine."""
    wanted = RESOURCES[logical]["Properties"]["DefinitionSubstitutions"]
    return {name: arn for name, arn in arns.items() if name in wanted}


@contextmanager
def made_up(environments: Environments, folder: Path) -> Iterator[Bed]:
    """A bed with a source behind it."""
    with serve(Rest()) as rest:
        bed = Bed(environments, folder, rest)
        try:
            yield bed
        finally:
            bed.close()


def rows(count: int, end: datetime, seed: int = 3) -> dict[str, list[dict[str, Any]]]:
    """The source's tables: `count` instants up to `end`, an outcome that is linear in the inputs."""
    chance = np.random.default_rng(seed)
    inputs, outcomes = [], []
    for number in range(count):
        instant, angle = end - STEP * (count - number), float(chance.uniform(0, 2 * np.pi))
        vector = [float(np.cos(angle)), float(np.sin(angle))]
        inputs.append({"ts": instant.isoformat(), "vector": vector})
        noise = float(chance.normal()) * 0.1
        outcomes.append({"at": (instant + STEP).isoformat(), "value": 2 * vector[0] - vector[1] + noise})
    return {"inputs": inputs, "outcomes": outcomes}


def snapshot(story: Story) -> dict[str, tuple[bytes, dict[str, str]]]:
    """Every object with its tags."""
    client, found = story.store._client, {}
    for row in story.store.list(""):
        stored = story.store.get(row.key)
        assert stored
        tags = client.get_object_tagging(Bucket=BUCKET, Key=row.key)["TagSet"]
        found[row.key] = (stored.body, {tag["Key"]: tag["Value"] for tag in tags})
    return found


def contents(story: Story) -> dict[str, Any]:
    """The bucket as far as it may not differ: what attempts and clocks put there is left out."""
    found = {}
    for key, (body, tags) in snapshot(story).items():
        # SageMaker's own output carries the job's name; the run's bundle is compared itself.
        if not key.startswith("tiny/jobs/"):
            found[key] = (_plain(key, body), tags)
    return found


def _plain(key: str, body: bytes) -> Any:
    # What sensors write is a document in every line.
    if key.endswith(".json") and not key.startswith("EQUIPMENT/"):
        return _without_passing(json.loads(body))
    if key.endswith(".html"):
        body = re.sub(rb"mlops-tiny-[-0-9a-z]+", b"job", body)
        body = re.sub(rb"\d+ [A-Z][a-z]{2} \d{4} \d\d:\d\d", b"instant", body)
    return hashlib.sha256(body).hexdigest()


def _without_passing(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_passing(each) for name, each in value.items() if name not in PASSING}
    if isinstance(value, list):
        return [_without_passing(each) for each in value]
    return value


def until(look: Callable[[], Any], seconds: float = 60) -> Any:
    """What `look` sees once it sees something."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, "nothing came of waiting"
        time.sleep(0.02)
    return seen


def this_hour() -> datetime:
    """The instant that the newest run is named by."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
