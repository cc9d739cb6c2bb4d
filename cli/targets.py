"""Where commands act: the laptop target or a deployed stack. Both are AWS interfaces and a stack's outputs."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import boto3
from botocore.client import Config
from botocore.exceptions import ClientError
from ratchet import catalog
from ratchet.adapters.s3 import S3Store

from cli.errors import CommandError


@dataclass
class Target:
    """A deployed stack and the session that reaches it."""

    name: str
    stack: str
    session: Any
    endpoint_url: str | None = None
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """A boto3 client of the target; answers are waited for as long as a function may run."""
        if service not in self._clients:
            config = Config(read_timeout=900, retries={"mode": "standard", "max_attempts": 3})
            self._clients[service] = self.session.client(service, endpoint_url=self.endpoint_url, config=config)
        return self._clients[service]

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The stack's outputs. Raises CommandError when there is no such stack."""
        try:
            stacks = self.client("cloudformation").describe_stacks(StackName=self.stack)["Stacks"]
        except ClientError as error:
            raise CommandError(
                f"There is no stack '{self.stack}' in {self.session.region_name}: name it with --stack, "
                f"or deploy it with sam deploy ({error.response['Error'].get('Message', '')})."
            ) from error
        return {entry["OutputKey"]: entry["OutputValue"] for entry in stacks[0].get("Outputs", [])}

    def output(self, name: str) -> str:
        """One output of the stack. Raises CommandError when the stack is too old to have it."""
        if name not in self.outputs:
            raise CommandError(f"The stack '{self.stack}' has no output {name}; deploy this version first.")
        return self.outputs[name]

    @cached_property
    def store(self) -> S3Store:
        """The landing bucket."""
        return S3Store(self.output("LandingBucket"), self.client("s3"))

    def machine(self, pipeline: str) -> str:
        """The ARN of a pipeline's state machine. Raises UnknownPipeline."""
        return self.output(f"{catalog.load(pipeline).name.capitalize()}MachineArn")


def laptop() -> Target:
    """The laptop target. Raises CommandError when it is not up."""
    from local.laptop import current

    running = current()
    if running is None:
        raise CommandError("The laptop target is not running; start it with `ratchet up`.")
    environment = running.environment()
    session = boto3.Session(
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_DEFAULT_REGION"],
    )
    return Target("laptop", running.stack, session, running.endpoint_url)


def aws(stack: str | None) -> Target:
    """A stack in the account of the environment's credentials. Raises CommandError without a name or a region."""
    if not stack:
        raise CommandError("Say which stack: --target aws --stack NAME.")
    session = boto3.Session()
    if session.region_name is None:
        raise CommandError("No AWS region is configured: set AWS_REGION, or run `aws configure`.")
    return Target("aws", stack, session)
