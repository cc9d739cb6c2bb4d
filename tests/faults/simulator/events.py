"""Events that reach functions of the product some time later, perhaps twice, until the function has done its work."""

from typing import Any

from tests.faults.simulator import functions
from tests.faults.simulator.jobs import Jobs
from tests.faults.simulator.ports import Ports
from tests.faults.simulator.processes import Process

DELIVERIES = 21


class Events(Jobs):
    """A world with EventBridge."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._decided = 0

    def deliver(self, step: str, about: str, detail: dict[str, Any]) -> None:
        """Has a function hear of something."""
        event = {"detail": detail}
        for copy in range(self.chance(f"rule {about}").choice([1, 1, 2])):
            self._deliver(step, f"{about} {step} {copy}", event, 0)

    def package_decided(self, arn: str) -> None:
        """The registry tells that a package was approved or rejected."""
        self._decided += 1
        self.deliver("decide", f"event {self._decided}", {"ModelPackageArn": arn})

    def _deliver(self, step: str, name: str, event: dict[str, Any], delivery: int) -> None:
        def program(process: Process) -> Any:
            return functions.step(step)(event, Ports(self, process), self.clock_of(process.name))

        def ended(process: Process) -> None:
            if process.error and delivery < DELIVERIES:
                self._deliver(step, name, event, delivery + 1)

        self.spawn(f"{name}.{delivery}", program, ended)
