"""SageMaker's hosting in a simulated world: endpoints that change while others look, fail, or answer wrongly.

What SageMaker refuses is refused here: an update in the midst of another, or from serverless to instances.
"""

import json
from dataclasses import dataclass
from typing import Any

from ratchet.endpoint.hosting import CHANGING, Endpoint, endpoint_name
from ratchet.errors import BadConfiguration, Unavailable

from tests.faults.simulator.processes import Process
from tests.faults.simulator.rules.seen import parsed
from tests.faults.simulator.services import Client
from tests.faults.simulator.stand_ins import NAME

SERVERLESS, INSTANCES = "serverless-2048-5", "ml.m5.large-1-"
ENDPOINT = endpoint_name("stack", NAME)
FAILS = "it does not come into service"
WRONG = "a wrong answer"


@dataclass
class Hosted:
    """An endpoint: what it serves, and what it is on the way to; `by` is whose call that was."""

    status: str
    config: str
    by: str
    target: str | None = None
    reason: str = ""


class Hosts:
    """Models, configurations and endpoints."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self.kind = SERVERLESS
        self.models: dict[str, str] = {}
        self.configs: dict[str, str] = {}
        self.endpoints: dict[str, Hosted] = {}
        self.broken: set[str] = set()
        """Configurations that never come into service."""
        self._changes = 0

    def copy_to(self, other: "Hosts") -> None:
        """Hands over what there is; nothing is on its way."""
        other.models, other.configs = dict(self.models), dict(self.configs)
        other.endpoints = {name: Hosted(each.status, each.config, each.by) for name, each in self.endpoints.items()}

    def served(self, name: str) -> str | None:
        """The configuration by which an endpoint answers."""
        found = self.endpoints.get(name)
        return found.config if found and found.status in {"InService", "Updating"} else None

    def is_settled(self, name: str | None) -> bool:
        """Whether an endpoint is not on its way."""
        found = self.endpoints.get(name or "")
        return found is None or found.status not in CHANGING

    def create_model(self, name: str, uri: str, by: str) -> None:
        self._world.watch.model_created(name, uri, by)
        self.models.setdefault(name, uri)

    def create_config(self, name: str, model: str) -> None:
        if model not in self.models:
            raise BadConfiguration(f"Could not find model {model}.")
        self.configs.setdefault(name, model)

    def create_endpoint(self, name: str, config: str, by: str) -> None:
        if name not in self.endpoints:
            self._known(config)
            self._begin(name, Hosted("Creating", config, by, config))

    def update_endpoint(self, name: str, config: str, by: str) -> None:
        self._known(config)
        found = self._settled(name)
        if found.status != "InService" or _serverless(found.config) != _serverless(config):
            raise BadConfiguration(f"{name} takes no update from {found.status} {found.config} to {config}.")
        self._begin(name, Hosted("Updating", found.config, by, config))

    def delete_endpoint(self, name: str, by: str) -> None:
        if name in self.endpoints:
            self._begin(name, Hosted("Deleting", self._settled(name).config, by))

    def discard(self, name: str) -> None:
        self.configs.pop(name, None)
        self.models.pop(name, None)
        self._world.watch.discarded(name)

    def answer(self, name: str, body: bytes, *, wrong: bool) -> bytes:
        """What an endpoint answers to rows."""
        config = self.served(name)
        if config is None:
            raise BadConfiguration(f"Endpoint {name} was not found, or is not in service.")
        bundle = parsed(self._world.watch.store.get(self._world.watch.store.key_of(self.models[config])).body)
        rows = json.loads(body)["features"]
        told = {"model_run_ts": bundle["run_ts"], "unknown": []}
        answers = [{"probability": bundle["scale"] * row[0] + wrong, **told} for row in rows]
        self._world.watch.endpoint_answered(config, right=not wrong)
        return json.dumps({"predictions": answers}).encode()

    def _begin(self, name: str, hosted: Hosted) -> None:
        self._world.watch.endpoint_changes(name, hosted)
        self.endpoints[name] = hosted
        self._changes += 1

        def program(process: Process) -> None:
            if process.ask("settle", name) == FAILS:
                self.broken.add(hosted.target or name)
            self._settle(name, hosted, failed=(hosted.target or name) in self.broken)

        self._world.spawn(f"hosting of {name} {self._changes}", program, lambda process: None)

    def _settle(self, name: str, hosted: Hosted, *, failed: bool) -> None:
        hosted.reason = "No answer to /ping." if failed else ""
        if hosted.status == "Updating":
            hosted.status, hosted.config = "InService", hosted.config if failed else hosted.target or ""
        elif failed or hosted.status == "Creating":
            hosted.status = "Failed" if failed else "InService"
        else:
            del self.endpoints[name]
        self._world.watch.endpoint_settled(name)
        self._world.minutes_pass()

    def _known(self, config: str) -> None:
        if config not in self.configs:
            raise BadConfiguration(f"Could not find endpoint configuration {config}.")

    def _settled(self, name: str) -> Hosted:
        found = self.endpoints.get(name)
        if found is None or found.status in CHANGING:
            raise BadConfiguration(f"{name} was not found, or is in the midst of a change.")
        return found


class HostingClient(Client):
    """`Hosting` for one process."""

    @property
    def kind(self) -> str:
        kind: str = self.world.hosts.kind
        return kind

    def endpoint(self, name: str | None) -> Endpoint | None:
        self.look("describe", str(name))
        if name is None:
            raise Unavailable("Parameter validation failed.")
        found = self._hosts.endpoints.get(name)
        return Endpoint(found.status, found.config, found.reason) if found else None

    def create_model(self, name: str, model_uri: str) -> None:
        self.change("host", f"model {name}", lambda: self._hosts.create_model(name, model_uri, self.process.name))

    def create_config(self, name: str, model: str) -> None:
        self.change("host", f"configuration {name}", lambda: self._hosts.create_config(name, model))

    def create_endpoint(self, name: str, config: str) -> None:
        self._host(f"create {name} with {config}", lambda by: self._hosts.create_endpoint(name, config, by))

    def update_endpoint(self, name: str, config: str) -> None:
        self._host(f"update {name} to {config}", lambda by: self._hosts.update_endpoint(name, config, by))

    def delete_endpoint(self, name: str) -> None:
        self._host(f"delete {name}", lambda by: self._hosts.delete_endpoint(name, by))

    def named(self, prefix: str) -> list[str]:
        self.look("describe", prefix)
        return [name for name in self._hosts.configs if name.startswith(prefix)]

    def discard(self, name: str) -> None:
        self._host(f"discard {name}", lambda by: self._hosts.discard(name))

    def invoke(self, endpoint: str, body: bytes, content_type: str) -> bytes:
        wrong = self.look("ask endpoint", endpoint) == WRONG
        return self._hosts.answer(endpoint, body, wrong=wrong)

    def _host(self, what: str, effect: Any) -> None:
        self.change("host", what, lambda: effect(self.process.name))

    @property
    def _hosts(self) -> Hosts:
        hosts: Hosts = self.world.hosts
        return hosts


def _serverless(config: str) -> bool:
    return config.rpartition("-")[2].startswith("s")
