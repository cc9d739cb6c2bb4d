"""What may befall whom in an interleaving, how likely it is, and what comes of it where it is an event of the world."""

import random
from datetime import timedelta
from typing import NamedTuple

from tests.faults.simulator.bucket import BEFALLS, CALLS
from tests.faults.simulator.execution import Execution
from tests.faults.simulator.hosting import FAILS, WRONG
from tests.faults.simulator.rules.seen import KEYS
from tests.faults.simulator.world import World

NETWORK = "network"
WORLD_EVENTS = ("abort", "abort, its child lives", "time-out", "connection to a function lost", "lease expires")
UNANSWERED = "nobody answers in time"
OUTSIDE = {
    "train": ("job fails",),
    "upload": ("job writes no bundle",),
    "settle": (FAILS,),
    "ask endpoint": (WRONG,),
}
"""What may befall others than the product's own processes."""
DECIDING = {KEYS.pointer(), KEYS.tests()}
OFTEN = 4
HOSTED = {"settle": 0.15, "ask endpoint": 0.15}
"""How likely something befalls what happens but a few times."""
IMPATIENCE = 0.01
SHORTER = {"deployment", "endpoint"}
"""Machines whose time-out comes before the lease that they work under expires."""


class Decision(NamedTuple):
    """Whose turn it is, and what befalls it; or an event of the world upon an execution; or that somebody begins."""

    who: str
    what: str = "go"


def writes(operation: str) -> bool:
    """Whether a request changes something."""
    return operation in {"put", *CALLS}


def likelihood(operation: str, key: str, rate: float, aim: dict[str, int]) -> float:
    """How likely something befalls a request."""
    usual = rate * aim["put" if writes(operation) else "other"] * (OFTEN if _decides(operation, key) else 1)
    return HOSTED.get(operation, min(0.5, usual)) if rate else 0.0


def _decides(operation: str, key: str) -> bool:
    """Whether much depends on a request of which there are few: something befalls these more often."""
    if operation == "put":
        return key in DECIDING
    return operation in {*OUTSIDE, *CALLS} or (operation == "get" and key.endswith("/model.tar.gz"))


def mishap(world: World, name: str, about: str, chance: random.Random) -> Decision:
    """What befalls a process, or somebody else in its turn."""
    if chance.random() < (0.5 if about == "extraction" else 0.15):
        executions = [each for each in world.executions.values() if each.status == "RUNNING"]
        if executions:
            return Decision(chance.choice(executions).name, chance.choice(WORLD_EVENTS))
    if world.bucket.late and chance.random() < 0.5:
        return Decision(NETWORK, "a late write takes effect")
    operation = world.processes[name].waiting[0]
    # What can befall no other kind of request comes as often as all that can befall any.
    own = [what for what, operations in BEFALLS.items() if operations == (operation,)]
    own += OUTSIDE.get(operation, ())
    may = own if own and chance.random() < 0.5 else [what for what, able in BEFALLS.items() if operation in able] + own
    return Decision(name, chance.choice(may)) if may else Decision(name)


def unanswered(world: World, chance: random.Random) -> list[Decision]:
    """An execution for which a person's time is over: now and then, and where nothing else moves."""
    waiting = [each.name for each in world.executions.values() if each.has_asked] if world.signed else []
    over = waiting and (chance.random() < IMPATIENCE or not (world.processes or world.later))
    return [Decision(chance.choice(waiting), UNANSWERED)] if over else []


def befall(world: World, execution: Execution, what: str) -> None:
    """Carries out an event of the world upon an execution."""
    if what == "lease expires":
        world.now += timedelta(hours=5)
        for each in list(world.executions.values()):
            if each.kind in SHORTER:
                world.end(each, "TIMED_OUT")
    elif what == UNANSWERED:
        world.time_is_up(execution)
    elif what == "connection to a function lost":
        world.forget(execution)
    else:
        world.end(execution, "TIMED_OUT" if what == "time-out" else "ABORTED", child_lives=what.endswith("lives"))
