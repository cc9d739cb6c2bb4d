"""Whoever waits for a person in a simulated world, and whoever is told: executions, their tokens, a topic."""

from collections.abc import Mapping
from typing import Any

from ratchet.errors import AlreadyRunning

from tests.faults.simulator.services import Client


class Waiting(Client):
    """`Tasks`, `Topic` and the machine of approvals for one process."""

    def succeed(self, token: str, output: dict[str, str]) -> bool:
        return self.change("tell task", f"{token}: {output['decision']}", lambda: self.world.hear(token, output))

    def tell(self, subject: str, message: str) -> None:
        self.change("tell people", subject, lambda: None)

    def start_execution(self, name: str, document: Mapping[str, Any]) -> None:
        self.change("begin", name, lambda: self._begin(name, dict(document)))

    def _begin(self, name: str, given: dict[str, Any]) -> None:
        standing = self.world.executions.get(f"arn:{name}")
        if standing is None:
            self.world.wait_for_people(name, given)
        elif standing.given != given or standing.status != "RUNNING":
            raise AlreadyRunning(f"{name} was started before.")
