"""One execution as a story: which calls it makes in their order, how each is answered, and how it ends."""

import json
from typing import Any, NamedTuple

from tests.flow.script import Answer, filled
from tests.flow.stage import Stage


class Call(NamedTuple):
    """A call of a function: what is not usual in its answer, and its event (of which every one names the pipeline)."""

    step: str
    answer: Answer
    event: dict[str, Any]


class Ended(NamedTuple):
    """How an execution ended: its last state, its output, and for a failed one error and cause."""

    last: str
    output: Any = None
    error: str | None = None
    cause: str | None = None


def play(stage: Stage, machine: str, given: dict[str, Any], calls: list[Call]) -> Ended:
    """How the execution ends, that makes these calls and no others; `given` goes into its input.

    `$pipeline` and `$execution` stand for what only the execution knows.
    """
    answers: dict[str, list[Answer]] = {}
    for call in calls:
        answers.setdefault(call.step, []).append(call.answer)
    part = stage.part(**answers)
    execution = stage.start(machine, {"pipeline": part.pipeline, **given})
    found = ended(stage, execution)
    names = {"pipeline": part.pipeline, "execution": execution}
    wanted = [(call.step, {"pipeline": part.pipeline, **filled(call.event, **names)}) for call in calls]
    assert part.calls == wanted, found
    return found


def ended(stage: Stage, execution: str) -> Ended:
    """How an execution ends."""
    told = stage.end(execution)
    output = json.loads(told["output"]) if told.get("output") else None
    return Ended(stage.last_state(execution), output, told.get("error"), told.get("cause"))
