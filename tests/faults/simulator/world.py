"""A simulated world: one bucket, executions, jobs, a source, scorers and people, of which one goes on at a time."""

from typing import Any

from ratchet.errors import RatchetError
from ratchet.serving.champion import Follower
from ratchet.serving.request import Rows, Slots
from ratchet.serving.service import serve

from tests.faults.simulator.functions import PIPELINE
from tests.faults.simulator.people import People
from tests.faults.simulator.ports import Ports
from tests.faults.simulator.processes import Killed, Process
from tests.faults.simulator.stand_ins import NAME


class World(People):
    """Everything there is: beside executions and people, scorers, and a source that changes."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.later: dict[str, Any] = {}
        """Who has not begun yet."""

    def scorer(self, name: str, calls: int, follower: Follower | None = None, done: int = 0) -> None:
        """A scoring process that is called several times; a killed one is followed by a new one that knows nothing."""
        following = follower or Follower(PIPELINE)

        def program(process: Process) -> None:
            for number in range(done, calls):
                self._score(process, following, number)
                process.result = number

        def ended(process: Process) -> None:
            if isinstance(process.error, Killed) and self.happened["scorers that died"] < 20:
                self.happened["scorers that died"] += 1
                self.scorer(f"{name}'", calls, None, process.result or 0)

        self.spawn(name, program, ended)

    def _score(self, process: Process, following: Follower, number: int) -> None:
        ports, begun = Ports(self, process), self.watch.scoring_begins()
        process.ask("invoke", process.name)
        inputs = [{"base_ts": "2026-11-21T04:00:00Z", "vector": [1.0 + row, 0.0]} for row in range(2)]
        request = Slots(NAME) if number % 2 == 0 else Rows(NAME, inputs, single=False)
        try:
            champion = following.current(ports.store())
            answer = serve(request, PIPELINE, champion, ports, self.clock_of(process.name))
        except RatchetError as error:
            self.watch.scoring_failed(process.name, error)
            return
        if isinstance(request, Rows):
            self.watch.scored(process.name, champion, answer, inputs, begun)

    def rows_change(self, name: str, events: list[str]) -> None:
        """New rows, late ones, and rows that are written again."""

        def program(process: Process) -> None:
            for event in events:
                process.ask("source", event)
                self.watch.data_moved = True
                for table in self.tables.values():
                    table.happen(event, PIPELINE.source.overlap_minutes)

        self.spawn(name, program, lambda process: None)
