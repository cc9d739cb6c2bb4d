"""Builds and deploys a SAM application to the laptop target with the very commands that deploy it to AWS.

Boundary: runs `sam build` and `sam deploy` and reads the stack; what the application is, it does not know.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from ratchet.errors import BadConfiguration, RatchetError, Unavailable

REGION = "us-east-1"
INPUTS = ("template.yaml", "samconfig.toml", "pyproject.toml", "functions", "layers", "statemachines")
"""What a build reads: when none of it changed, the last build is still right."""
TOLD = ("Building ", "Build Succeeded", "Uploading", "Waiting", "Successfully", "Error")
"""How the lines of sam begin that tell a person something; the others count only when it fails."""
_BROKEN = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"}
_KEY = "test"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Application:
    """What to deploy where."""

    folder: Path
    """Holds `template.yaml`; `.aws-sam/` is made in it."""
    endpoint: str
    stack: str
    sam: Path
    """The `sam` of an environment made with Python 3.12: that Python's folder goes first on PATH."""
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def built(self) -> Path:
        """The digest of what the last successful build read."""
        return self.folder / ".aws-sam" / "ratchet-inputs.sha256"


def build_and_deploy(
    folder: Path,
    endpoint: str,
    stack: str,
    parameters: Mapping[str, str] | None = None,
    *,
    sam: Path,
    progress: Progress = lambda line: None,
) -> dict[str, str]:
    """Build what changed, deploy it, and return the stack's outputs; each line that sam prints goes to `progress`.

    Raises BadConfiguration where the application or this machine is at fault, Unavailable where the emulator is.
    """
    application = Application(folder, endpoint, stack, sam, parameters or {})
    build(application, progress)
    return deploy(application, progress)


def build(application: Application, progress: Progress) -> bool:
    """Run `sam build` unless the last build read the same; True when it ran."""
    digest = inputs_digest(application.folder)
    stamp = application.built
    if stamp.exists() and stamp.read_text() == digest:
        progress("Nothing changed since the last build.")
        return False
    stamp.unlink(missing_ok=True)
    remedy = "Dependencies come from PyPI, so a first build needs it; run `sam build` by hand for the whole output."
    _run(
        application,
        ["build"],
        progress,
        lambda line: BadConfiguration(f"sam build failed: {line.rstrip('.')}. {remedy}"),
    )
    stamp.write_text(digest)
    return True


def validate(application: Application, progress: Progress) -> None:
    """Run `sam validate --lint`. Raises BadConfiguration with its finding."""
    failed = "sam validate --lint finds a fault: {} Run it by hand for all of them.".format
    _run(application, ["validate", "--lint"], progress, lambda line: BadConfiguration(failed(line)))


def deploy(application: Application, progress: Progress) -> dict[str, str]:
    """Run `sam deploy` on the last build and return the stack's outputs."""
    cloudformation = _client(application)
    _clear_broken(cloudformation, application, progress)
    overrides = [f'{key}="{_escaped(value)}"' for key, value in application.parameters.items()]
    arguments = [
        *("deploy", "--no-confirm-changeset", "--no-fail-on-empty-changeset", "--resolve-s3", "--no-progressbar"),
        *("--stack-name", application.stack, "--region", REGION),
        *("--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"),
        *(["--parameter-overrides", *overrides] if overrides else []),
    ]
    _run(application, arguments, progress, lambda line: _deploy_failed(cloudformation, application, line))
    return outputs(_stack(cloudformation, application))


def inputs_digest(folder: Path) -> str:
    """A digest of names and contents of all that a build of the folder reads."""
    digest = hashlib.sha256()
    for path in _inputs(folder):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(folder)}\0{content}\0".encode())
    return digest.hexdigest()


def outputs(stack: Mapping[str, Any] | None) -> dict[str, str]:
    """The outputs of a described stack."""
    return {each["OutputKey"]: each["OutputValue"] for each in (stack or {}).get("Outputs", [])}


def _inputs(folder: Path) -> Iterator[Path]:
    for name in INPUTS:
        root = folder / name
        for path in [root] if root.is_file() else sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def _run(
    application: Application, arguments: list[str], progress: Progress, failed: Callable[[str], RatchetError]
) -> None:
    last: deque[str] = deque(maxlen=200)
    try:
        with subprocess.Popen(  # noqa: S603 - our own command line
            [str(application.sam), *arguments],
            cwd=application.folder,
            env=_environment(application),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            for line in process.stdout or ():
                last.append(line.rstrip())
                if line.startswith(TOLD):
                    progress(line.rstrip())
    except OSError as error:
        raise BadConfiguration(f"{application.sam} cannot be run ({error.strerror}): run `ratchet up`.") from error
    if process.returncode != 0:
        raise failed(reason(list(last)))


def reason(lines: list[str]) -> str:
    """The one line of sam's output that says what went wrong."""
    told = [line for line in lines if line.startswith(("Error:", "Build Failed"))]
    errors = [line for line in lines if line.lower().startswith(("error:", "make:"))]
    lines = [line for line in lines if line.strip()]
    return (errors or told or lines or ["it said nothing."])[-1].strip()


def _environment(application: Application) -> dict[str, str]:
    """The host's environment without its AWS account and its Python's settings, pointed at the emulator."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PYTHON", "SAM_CLI_"))}
    return {
        **kept,
        "PATH": os.pathsep.join([str(application.sam.parent), os.environ.get("PATH", os.defpath)]),
        "SAM_CLI_TELEMETRY": "0",
        "AWS_ENDPOINT_URL": application.endpoint,
        "AWS_ACCESS_KEY_ID": _KEY,
        "AWS_SECRET_ACCESS_KEY": _KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _client(application: Application) -> Any:
    return boto3.client(
        "cloudformation",
        endpoint_url=application.endpoint,
        region_name=REGION,
        aws_access_key_id=_KEY,
        aws_secret_access_key=_KEY,
        config=Config(retries={"total_max_attempts": 2}, connect_timeout=5),
    )


def _stack(cloudformation: Any, application: Application) -> dict[str, Any] | None:
    try:
        stacks: list[dict[str, Any]] = cloudformation.describe_stacks(StackName=application.stack)["Stacks"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            return None
        raise Unavailable(f"The emulator refuses to describe {application.stack}: {error}") from error
    except BotoCoreError as error:
        raise Unavailable(f"No answer from {application.endpoint}: start the emulator with `ratchet up`.") from error
    return stacks[0]


def _clear_broken(cloudformation: Any, application: Application, progress: Progress) -> None:
    """Remove a stack whose creation failed: it holds nothing, and CloudFormation refuses to update it."""
    stack = _stack(cloudformation, application)
    if stack is None or stack["StackStatus"] not in _BROKEN:
        return
    progress(f"Removing what a failed deployment left of {application.stack}.")
    cloudformation.delete_stack(StackName=application.stack)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=application.stack, WaiterConfig={"Delay": 1})


def _deploy_failed(cloudformation: Any, application: Application, line: str) -> RatchetError:
    """The first resource that failed and why, else what sam said."""
    if _stack(cloudformation, application) is not None:
        events = cloudformation.describe_stack_events(StackName=application.stack)["StackEvents"]
        causes = [each for each in events if each["ResourceStatus"].endswith("_FAILED")]
        own = [each for each in causes if each["LogicalResourceId"] != application.stack] or causes
        if own and own[-1].get("ResourceStatusReason"):
            line = f"{own[-1]['LogicalResourceId']}: {own[-1]['ResourceStatusReason']}"
    return BadConfiguration(f"sam deploy failed: {line.rstrip('.')}. Correct it and run `ratchet up` again.")
