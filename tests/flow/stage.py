"""The deployed machines on an emulator whose functions are stubs; waits and retries take a thousandth of their time."""

import io
import itertools
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.contract.application import RESOURCES
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
        self.functions = {self._placeholder(step): self._function(step) for step in STEPS}
        self.release = self._release("flow-release", self.topic)
        text = definition("extract_parts.asl.yaml", **self._for("extract_parts"))
        self.parts = self._machine("flow-extract-parts", text)
        self._numbers = itertools.count()

    def pipeline(self, topic: str | None = None, **answers: list[dict[str, Any]]) -> tuple[str, Part]:
        """The machine of a new pipeline, and its script; with a `topic`, its release tells that one."""
        name = f"story{next(self._numbers)}"
        release = self._release(f"flow-release-{name}", topic) if topic else self.release
        part = self.script.parts[name] = Part(name, answers)
        values = {"Pipeline": name, "ReleaseMachineArn": release, "ExtractPartsMachineArn": self.parts}
        values |= self._for("pipeline")
        return self._machine(f"flow-{name}", definition("pipeline.asl.yaml", **values)), part

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

    def _release(self, name: str, topic: str) -> str:
        return self._machine(name, definition("release.asl.yaml", TopicArn=topic, **self._for("release")))

    def _for(self, machine: str) -> dict[str, str]:
        """The function ARNs that the template fills into a machine."""
        machines = [each["Properties"] for each in RESOURCES.values() if "DefinitionUri" in each["Properties"]]
        wanted = next(
            each["DefinitionSubstitutions"]
            for each in machines
            if each["DefinitionUri"].endswith(f"{machine}.asl.yaml")
        )
        return {name: arn for name, arn in self.functions.items() if name in wanted}

    @staticmethod
    def _placeholder(step: str) -> str:
        return "".join(part.capitalize() for part in step.split("_")) + "FunctionArn"

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

    def _machine(self, name: str, text: str) -> str:
        created = self.machines.create_state_machine(name=name, definition=text, roleArn=self.role)
        return str(created["stateMachineArn"])


def trainer(folder: Path, python: str) -> Path:
    """The executable that stands in for the training Python."""
    path = folder / "trainer"
    path.write_text(TRAINER.format(python=python))
    path.chmod(0o755)
    return path
