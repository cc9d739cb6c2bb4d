"""The deployed machines on an emulator whose functions are stubs; waits and retries take a thousandth of their time."""

import io
import itertools
import json
import re
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.contract.application import RESOURCES, logical_id
from tests.emulated import CHECKOUT, Emulator
from tests.flow.script import FUNCTION, STEPS, Part, Script

ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
BUCKET = "flow"
# In place of the training Python: obeys the hyperparameter `do`; the guard it is first asked to run, it runs.
TRAINER = """#!{python}
import json, os, pathlib, sys, time
if sys.argv[1] == "-I":
    os.execv("{python}", ["{python}", *sys.argv[1:]])
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
do = json.loads((base / "input/config/hyperparameters.json").read_text())["do"]
if do == "fail":
    (base / "output/failure").write_text("the loss is not finite")
    sys.exit(1)
if do == "sleep":
    time.sleep(300)
(base / "model/model.onnx").write_text("a model")
"""


def until(look: Callable[[], Any], found: Callable[[Any], bool] = bool, seconds: float = 30) -> Any:
    """What `look` sees once `found` says so."""
    deadline = time.monotonic() + seconds
    while not found(seen := look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.02)
    return seen


def definition(file: str, **values: str) -> str:
    """A deployed definition as JSON, with its substitutions."""
    text = (CHECKOUT / "statemachines" / file).read_text()
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value)
    filled = json.dumps(yaml.safe_load(text))
    assert "${" not in filled, f"{file} has placeholders that no test fills"
    return filled


class Stage:
    """Deploys stubs and machines, runs executions, and tells what became of them."""

    def __init__(self, emulator: Emulator, script: Script) -> None:
        self.emulator, self.script = emulator, script
        self.machines = emulator.client("stepfunctions")
        self.sagemaker = emulator.client("sagemaker")
        emulator.client("s3").create_bucket(Bucket=BUCKET)
        self.role = self._role()
        self.topic = str(emulator.client("sns").create_topic(Name="outcomes")["TopicArn"])
        self.functions = {logical_id(step): self._function(step) for step in STEPS}
        told = {"TopicArn": self.topic}
        self.release, self.signed = (self.machine(name, **told) for name in ("ReleaseMachine", "SignedReleaseMachine"))
        self.parts, self.ingest = self.machine("ExtractPartsMachine"), self.machine("IngestMachine")
        self.endpoint = self.machine("EndpointMachine")
        self.deployment = self.machine("DeploymentMachine", EndpointMachineArn=self.endpoint)
        self._numbers = itertools.count()

    def part(self, **answers: list[dict[str, Any]]) -> Part:
        """The script of a new pipeline."""
        name = f"story{next(self._numbers)}"
        made = self.script.parts[name] = Part(name, answers)
        return made

    def pipeline(self, release: str | None = None, **answers: list[dict[str, Any]]) -> tuple[str, Part]:
        """The machine of a new pipeline, and its script; it has another `release` machine where one is given."""
        part = self.part(**answers)
        values = {"ReleaseMachineArn": release or self.release, "ExtractPartsMachineArn": self.parts}
        return self.machine("returnsMachine", f"flow-{part.pipeline}", Pipeline=part.pipeline, **values), part

    def approval(self, name: str, seconds: int, topic: str | None = None) -> str:
        """The machine that waits for a person, so long, and tells of it."""
        values = {"ApprovalSeconds": str(seconds), "DeploymentMachineArn": self.deployment}
        return self.machine("ApprovalMachine", f"flow-approval-{name}", TopicArn=topic or self.topic, **values)

    def machine(self, logical: str, name: str = "", **values: str) -> str:
        """The ARN of a machine of the template, with stubs for its functions and these values for the rest."""
        return self.created(name or f"flow-{logical}", self.definition(logical, **values))

    def created(self, name: str, text: str) -> str:
        """The ARN of a machine of that definition."""
        made = self.machines.create_state_machine(name=name, definition=text, roleArn=self.role)
        return str(made["stateMachineArn"])

    def definition(self, logical: str, **values: str) -> str:
        """The definition of a machine of the template, filled in."""
        properties = RESOURCES[logical]["Properties"]
        told = properties["DefinitionSubstitutions"].items()
        named = {key: re.search(r"\$\{(\w+)\.Arn\}:live", str(value)) for key, value in told}
        stubs = {key: self.functions[match[1]] for key, match in named.items() if match}
        return definition(Path(properties["DefinitionUri"]).name, **stubs, **values)

    def start(self, machine: str, given: Any) -> str:
        """The ARN of a new execution."""
        started = self.machines.start_execution(stateMachineArn=machine, input=json.dumps(given))
        return str(started["executionArn"])

    def described(self, execution: str) -> dict[str, Any]:
        """The execution as it is now."""
        return dict(self.machines.describe_execution(executionArn=execution))

    def end(self, execution: str) -> dict[str, Any]:
        """The execution once it has ended."""
        return dict(until(lambda: self.described(execution), lambda found: found["status"] != "RUNNING"))

    def last_state(self, execution: str) -> str:
        """The state it ended in."""
        events = self.machines.get_execution_history(executionArn=execution, maxResults=1000)["events"]
        entered = [event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event]
        return str(entered[-1])

    def children(self, part: Part) -> list[dict[str, Any]]:
        """The executions of the release machine for a pipeline."""
        listed = self.machines.list_executions(stateMachineArn=self.release)["executions"]
        return [each for each in listed if each["name"].startswith(f"{part.pipeline}-")]

    def training(self, do: str, **changes: Any) -> dict[str, Any]:
        """What `stage_training` answers to have a job started."""
        request = {
            "RoleArn": self.role,
            "AlgorithmSpecification": {"TrainingImage": "framework", "TrainingInputMode": "File"},
            "HyperParameters": {"do": do},
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/model"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            **changes,
        }
        return {"status": "start", "job_name": "mlops-$pipeline-a1", "request": request}

    def _role(self) -> str:
        iam = self.emulator.client("iam")
        services = ["states", "lambda", "sagemaker", "events"]
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": [f"{each}.amazonaws.com" for each in services]},
            "Action": "sts:AssumeRole",
        }
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        created = iam.create_role(RoleName="flow", AssumeRolePolicyDocument=document)["Role"]
        iam.put_role_policy(RoleName="flow", PolicyName="all", PolicyDocument=json.dumps(ALLOW))
        return str(created["Arn"])

    def _function(self, step: str) -> str:
        """A stub behind the alias that the template names."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as opened:
            opened.writestr("app.py", FUNCTION)
        client, name = self.emulator.client("lambda"), f"flow-{step}"
        client.create_function(
            FunctionName=name,
            Runtime="python3.12",
            Handler="app.handler",
            Role=self.role,
            Code={"ZipFile": archive.getvalue()},
            Timeout=60,
            MemorySize=256,
            Environment={"Variables": {"STEP": step, "SCRIPT": self.script.address}},
        )
        version = client.publish_version(FunctionName=name)["Version"]
        return str(client.create_alias(FunctionName=name, Name="live", FunctionVersion=version)["AliasArn"])


def trainer(folder: Path, python: str) -> Path:
    """The executable that stands in for the training Python."""
    path = folder / "trainer"
    path.write_text(TRAINER.format(python=python))
    path.chmod(0o755)
    return path
