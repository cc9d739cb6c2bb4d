"""In-memory ports for tests of what a person signs: a registry, endpoints, waiting tasks, people, a feature group.

They answer as the services do, late and with refusals: what SageMaker would not do, they do not do either.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from typing import Any

from ratchet.endpoint.hosting import CHANGING, Endpoint
from ratchet.errors import AlreadyRunning, BadConfiguration, Unavailable
from ratchet.instants import parse_instant
from ratchet.registry.package import PENDING, Package

GROUP = "arn:aws:sagemaker:us-east-1:123456789012:model-package/ratchet-models"
Answer = Callable[[bytes], bytes]


class Killed(Exception):
    """The process died here."""


class Packages:
    """`Registry`: one package group. `decided` are the decisions that came through this port, in order."""

    def __init__(self) -> None:
        self.packages: dict[str, Package] = {}
        self.tokens: dict[str, tuple[str, tuple[Any, ...]]] = {}
        self.about: dict[str, str] = {}
        self.decided: list[tuple[str, str, str]] = []
        self.versions = count(1)
        self.down = False

    def create(self, token: str, model_uri: str, evaluation_uri: str, facts: Mapping[str, str], about: str) -> str:
        self._answer()
        request = (model_uri, evaluation_uri, dict(facts), about)
        if token in self.tokens:
            arn, first = self.tokens[token]
            if first != request:
                raise Unavailable("ConflictException: the token was used with another request.")
            return arn
        arn = f"{GROUP}/{next(self.versions)}"
        self.tokens[token] = arn, request
        self.packages[arn], self.about[arn] = Package(arn, PENDING, dict(facts), model_uri), about
        return arn

    def find(self, arn: str) -> Package | None:
        self._answer()
        return self.packages.get(arn)

    def decide(self, arn: str, status: str, why: str) -> None:
        self._answer()
        self.decided.append((arn, status, why))
        self.change(arn, status=status, why=why)

    def change(self, arn: str, /, **changed: Any) -> None:
        """Somebody changes a package past this port, as in the console."""
        self.packages[arn] = replace(self.packages[arn], **changed)

    def _answer(self) -> None:
        if self.down:
            raise Unavailable("The model registry does not answer.")


@dataclass
class Hosted:
    """An endpoint on its way: after `left` more looks it is as `then` says, None: gone."""

    now: Endpoint
    left: int = 0
    then: Endpoint | None = None


class Hosts:
    """`Hosting` whose every change takes `delay` looks. Configurations in `broken` never become healthy.

    `stuck` endpoints cannot be deleted; `calls` are all that change something, in order.
    """

    def __init__(self, kind: str = "serverless-2048-5", delay: int = 1) -> None:
        self.kind, self.delay = kind, delay
        self.endpoints: dict[str, Hosted] = {}
        self.configs: dict[str, str] = {}
        self.models: dict[str, str] = {}
        self.broken: set[str] = set()
        self.stuck: set[str] = set()
        self.answers: dict[str, Answer] = {}
        self.calls: list[tuple[str, ...]] = []

    def endpoint(self, name: str) -> Endpoint | None:
        found = self.endpoints.get(name)
        if found is None:
            return None
        if found.now.status in CHANGING:
            found.left -= 1
            if found.left < 0 and found.then is None:
                del self.endpoints[name]
                return None
            if found.left < 0 and found.then is not None:
                found.now = found.then
        return found.now

    def create_model(self, name: str, model_uri: str) -> None:
        self.calls.append(("create_model", name, model_uri))
        self.models.setdefault(name, model_uri)

    def create_config(self, name: str, model: str) -> None:
        self.calls.append(("create_config", name, model))
        if model not in self.models:
            raise BadConfiguration(f"Could not find model {model}.")
        self.configs.setdefault(name, model)

    def create_endpoint(self, name: str, config: str) -> None:
        self.calls.append(("create_endpoint", name, config))
        if name not in self.endpoints:
            self._known(config)
            healthy = Endpoint("InService", config)
            then = Endpoint("Failed", config, "No answer to /ping.") if config in self.broken else healthy
            self.endpoints[name] = Hosted(Endpoint("Creating", config), self.delay, then)

    def update_endpoint(self, name: str, config: str) -> None:
        self.calls.append(("update_endpoint", name, config))
        self._known(config)
        found = self._settled(name)
        old = found.now.config
        if found.now.status != "InService" or _serverless(old) != _serverless(config):
            raise BadConfiguration(f"{name} takes no update from {found.now.status} {old} to {config}.")
        then = Endpoint("InService", old, "No answer to /ping.") if config in self.broken else None
        now = replace(found.now, status="Updating", reason="")
        self.endpoints[name] = Hosted(now, self.delay, then or Endpoint("InService", config))

    def delete_endpoint(self, name: str) -> None:
        self.calls.append(("delete_endpoint", name))
        if name in self.endpoints:
            found = self._settled(name)
            then = replace(found.now, status="Failed", reason="It cannot be deleted.") if name in self.stuck else None
            self.endpoints[name] = Hosted(replace(found.now, status="Deleting"), self.delay, then)

    def named(self, prefix: str) -> list[str]:
        return [name for name in self.configs if name.startswith(prefix)]

    def discard(self, name: str) -> None:
        self.calls.append(("discard", name))
        self.configs.pop(name, None)
        self.models.pop(name, None)

    def invoke(self, endpoint: str, body: bytes, content_type: str) -> bytes:
        assert content_type == "application/json"
        return self.answers[endpoint](body)

    def made(self) -> list[str]:
        """The names of models that were asked for."""
        return [call[1] for call in self.calls if call[0] == "create_model"]

    def _known(self, config: str) -> None:
        if config not in self.configs:
            raise BadConfiguration(f"Could not find endpoint configuration {config}.")

    def _settled(self, name: str) -> Hosted:
        if self.endpoints[name].now.status in CHANGING:
            raise BadConfiguration(f"Cannot update in-progress endpoint {name}.")
        return self.endpoints[name]


class Waiting:
    """`Tasks`: those whose token is in `alive` wait. `heard` is what was said to them, in order."""

    def __init__(self) -> None:
        self.alive: set[str] = set()
        self.heard: list[tuple[str, dict[str, str]]] = []
        self.killed_before = self.killed_after = False

    def succeed(self, token: str, output: dict[str, str]) -> bool:
        if self.killed_before:
            raise Killed
        if token not in self.alive:
            return False
        self.alive.remove(token)
        self.heard.append((token, output))
        if self.killed_after:
            raise Killed
        return True

    def decisions(self) -> list[tuple[str, str]]:
        """Which token heard which decision."""
        return [(token, output["decision"]) for token, output in self.heard]


class People:
    """`Topic`: whoever listens. `messages` are (subject, text)."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []
        self.down = False

    def tell(self, subject: str, message: str) -> None:
        if self.down:
            raise Unavailable("Nobody can be told.")
        self.messages.append((subject, message))


class Started:
    """`Machine`, as far as it is started: executions and their inputs by name."""

    def __init__(self) -> None:
        self.inputs: dict[str, Mapping[str, Any]] = {}

    def start_execution(self, name: str, document: Mapping[str, Any]) -> None:
        if name in self.inputs:
            raise AlreadyRunning(f"'{name}' was started before.")
        self.inputs[name] = document

    def describe_execution(self, name: str) -> None:
        raise AssertionError(f"Nobody here asks about {name}.")


class Group:
    """`FeatureGroup`: for each record the one of the latest event time. `dies_after` so many records a process dies."""

    def __init__(self, name: str = "ratchet-adclick") -> None:
        self.name = name
        self.records: dict[str, dict[str, str]] = {}
        self.puts = 0
        self.dies_after: int | None = None

    def put(self, records: list[dict[str, str]]) -> None:
        for record in records:
            if self.puts == self.dies_after:
                raise Killed
            self.puts += 1
            standing = self.records.get(record["record_id"])
            if standing is None or _at(standing) <= _at(record):
                self.records[record["record_id"]] = record


def _at(record: Mapping[str, str]) -> datetime:
    return parse_instant(record["event_time"])


def _serverless(config: str) -> bool:
    return config.rpartition("-")[2].startswith("s")
