"""The port to what hosts endpoints, and the names of what is hosted."""

import hashlib
import re
from dataclasses import dataclass
from typing import Protocol

from ratchet.errors import BadConfiguration

LONGEST = 31
"""Characters of an endpoint's name: SageMaker takes 63 for a configuration's, whose ending has 32."""
CHANGING = {"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"}


@dataclass(frozen=True)
class Endpoint:
    """How an endpoint stands; `reason` says why something failed, while it is known."""

    status: str
    config: str
    reason: str = ""


class Hosting(Protocol):
    """SageMaker's endpoints of one kind, which `kind` names. Raises Unavailable, BadConfiguration where it refuses."""

    @property
    def kind(self) -> str:
        """What a model is served on, another text for another size; it begins with `serverless` where it is that."""

    def endpoint(self, name: str) -> Endpoint | None:
        """The endpoint of that name, or None."""

    def create_model(self, name: str, model_uri: str) -> None:
        """A model; the one that is there stays."""

    def create_config(self, name: str, model: str) -> None:
        """A configuration for one model; the one that is there stays."""

    def create_endpoint(self, name: str, config: str) -> None:
        """Begins to create."""

    def update_endpoint(self, name: str, config: str) -> None:
        """Begins to change what an endpoint of the same kind serves, while it serves on."""

    def delete_endpoint(self, name: str) -> None:
        """Begins to delete; nothing where there is none."""

    def named(self, prefix: str) -> list[str]:
        """The configurations whose names begin so."""

    def discard(self, name: str) -> None:
        """Deletes the configuration and the model of that name; nothing where there are none."""

    def invoke(self, endpoint: str, body: bytes, content_type: str) -> bytes:
        """What an endpoint answers in JSON. Raises EndpointFailed for an answer that is an error."""


def endpoint_name(stack: str, pipeline: str) -> str:
    """The endpoint's own name, and how those of its configurations begin."""
    whole = f"{stack}-{pipeline}"
    if len(whole) > LONGEST:
        raise BadConfiguration(
            f"The stack's name may have {LONGEST - len(pipeline) - 1} characters for an endpoint of {pipeline} to be "
            f"named after it; '{stack}' has {len(stack)}: deploy it under a shorter one."
        )
    if whole != whole.lower():
        raise BadConfiguration(
            f"'{stack}' has capital letters, which SageMaker's ARNs have not: deploy it in small ones."
        )
    return whole


def candidate_name(endpoint: str) -> str:
    """The endpoint on which a model is tried before the one in service is touched."""
    return f"{endpoint}-candidate"


def config_name(endpoint: str, run_ts: str, sha256: str, kind: str) -> str:
    """Of a bundle served in one way always the same, and in the order of runs: `…-20261126140000-<bundle>-<kind>`."""
    instant = "".join(letter for letter in run_ts if letter.isdigit())[:14]
    return f"{endpoint}-{instant}-{sha256[:8]}-{kind_of(kind)}"


def is_config(endpoint: str, name: str) -> bool:
    """Whether a configuration is that endpoint's: another's name, or one that a person gave, may begin as well so."""
    return re.fullmatch(r"-[0-9]{14}-[0-9a-f]{8}-[si][0-9a-f]{5}", name.removeprefix(endpoint)) is not None


def kind_of(kind: str) -> str:
    """A kind in a name; its first letter tells serverless ones from instances, which no update makes of each other."""
    return f"{'s' if kind.startswith('serverless') else 'i'}{hashlib.sha256(kind.encode()).hexdigest()[:5]}"
