"""People of a simulated world: who decides about packages, takes models back, and takes up again what failed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ratchet.registry.package import APPROVED, REJECTED, Registration
from ratchet.registry.register import approval_input, execution_name

from tests.faults.simulator import functions, signed
from tests.faults.simulator.execution import Execution
from tests.faults.simulator.executions import Executions
from tests.faults.simulator.ports import Ports
from tests.faults.simulator.processes import Process
from tests.faults.simulator.rules.seen import KEYS
from tests.faults.simulator.stand_ins import NAME

DAY = timedelta(days=1)
STATUS = {"approve": APPROVED, "reject": REJECTED}


@dataclass(frozen=True)
class Decider:
    """A person who decides, perhaps more than once: by the page behind the link, or in the console (`means`)."""

    name: str
    means: str
    decisions: Sequence[str]
    patience: int = 0


class People(Executions):
    """A world in which people decide."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.deciders: list[Decider] = []
        self.undeployed: list[Execution] = []
        """Executions that waited for a person, and failed after that or before."""

    def package_registered(self, arn: str) -> None:
        """Whoever decides has one more package to decide about."""
        for decider in self.deciders:
            self.decide(decider, arn)

    def decide(self, decider: Decider, arn: str) -> None:
        """A person decides about a package."""

        def program(process: Process) -> None:
            for decision in decider.decisions:
                for _ in range(decider.patience):
                    process.ask("think", arn)
                process.ask("decide", arn)
                if decider.means == "link":
                    self._by_link(process, decision, arn)
                else:
                    self.packages.sign(arn, STATUS[decision], "", process.name)

        self.spawn(f"person {decider.name} of {arn.rpartition('/')[2]}", program, lambda process: None)

    def reject_champion(self, name: str) -> None:
        """A person rejects what is or was in service, in the console."""
        if served := sorted(set(self.watch.service)):
            registered = self.watch.store.json(KEYS.package(self.chance(name).choice(served)))
            self.decide(Decider(name, "console", ("reject",)), registered["package_arn"])

    def wait_for_people(self, name: str, given: dict[str, Any]) -> None:
        """An execution that waits for a decision."""
        self.start(name, given, definition=signed.approval)

    def _tell_of_end(self, execution: Execution) -> None:
        super()._tell_of_end(execution)
        if execution.kind == "approval" and execution.status != "SUCCEEDED":
            self.undeployed.append(execution)

    def roll_back(self, name: str, to: str | None) -> None:
        """A person takes a model back; where there is an endpoint, it follows."""

        def program(process: Process) -> Any:
            process.ask("decide", str(to))
            event = {"pipeline": NAME, "to": to, "who": name, "why": "worse"}
            moved = functions.step("rollback")(event, Ports(self, process), self.clock_of(name))
            if self.signed:
                self.endpoint_follows(name, moved["to_run_ts"])

        self.spawn(name, program, self.watch.rolled_back)

    def endpoint_follows(self, name: str, run_ts: str) -> None:
        """The endpoint is to serve the champion that a person chose."""
        self.start(name, {"pipeline": NAME, "run_ts": run_ts, "champion": True}, definition=signed.deployment)

    def resume(self, name: str, run_ts: str) -> None:
        """An operator takes a failed run up again."""

        def program(process: Process) -> None:
            process.ask("decide", run_ts)
            self.start(name, {"resume": run_ts})

        self.spawn(f"operator {name}", program, lambda process: None)

    def approve_again(self, execution: Execution) -> None:
        """`ratchet approve` of what is approved, but whose deployment failed."""

        def program(process: Process) -> None:
            process.ask("decide", execution.name)
            registered = Registration(**self.watch.store.json(KEYS.package(execution.given["run_ts"])))
            if self.packages.packages[registered.package_arn].status == APPROVED:
                self.wait_for_people(execution_name(registered, attempt + 1), approval_input(registered))

        attempt = int(execution.name.rpartition("-a")[2])
        self.spawn(f"operator {execution.name}", program, lambda process: None)

    def _by_link(self, process: Process, decision: str, arn: str) -> None:
        ports, run_ts = Ports(self, process), self.packages.packages[arn].facts["run_ts"]
        link = urlsplit(ports.signer().link("https://api", NAME, run_ts, self.now + DAY))
        event = {
            "requestContext": {"http": {"method": "POST", "path": link.path}},
            "pathParameters": {"pipeline": NAME, "run": run_ts},
            "queryStringParameters": dict(parse_qsl(link.query)),
            "body": f"decision={decision}",
        }
        functions.step("approval_page")(event, ports, self.clock_of(process.name))
