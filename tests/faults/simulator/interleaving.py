"""One interleaving: who takes part, in which order their requests come, and what befalls them; all from one seed.

The decisions are written down, so that the same can be played again, or a part of it.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from tests.faults.simulator import stand_ins
from tests.faults.simulator.bucket import BEFALLS
from tests.faults.simulator.ends import settle
from tests.faults.simulator.executions import Execution
from tests.faults.simulator.parts import TAKES_PART, Part, draw_parts, join, theme
from tests.faults.simulator.past import begin
from tests.faults.simulator.rules.seen import KEYS, Violation
from tests.faults.simulator.world import World

NETWORK, BEGINS = "network", "begins"
FAULT_RATES = (0.0, 0.02, 0.05, 0.1)
AIMS = ({"put": 1, "other": 1}, {"put": 5, "other": 0})
"""Faults befall all requests alike, or writes alone and those often."""
PERSISTENCE = (0.0, 0.5, 0.9, 0.97)
"""How likely it is that whoever had the last turn has the next one too: races need both short and long turns."""
STALLS = (0.0, 0.1, 0.4, 0.4)
"""How likely a process comes to a halt before a write: what it read may then be out of date when it goes on."""
DECIDING = {KEYS.pointer(), KEYS.tests()}
OFTEN = 4
WORLD_EVENTS = ("abort", "abort, its child lives", "time-out", "connection to a function lost", "lease expires")
OVERTAKING = (
    "connection to a function lost",
    "connection to a function lost",
    "connection to a function lost",
    "abort",
    "lease expires",
)
"""After which somebody else may do what a process that came to a halt was about to do."""
JOB_EVENTS = {"train": ("job fails",), "upload": ("job writes no bundle",)}


class Decision(NamedTuple):
    """Whose turn it is, and what befalls it; or an event of the world upon an execution; or that somebody begins."""

    who: str
    what: str = "go"


class Turn(NamedTuple):
    """What a decision came to: a request of a process, or an event of the world."""

    who: str
    request: str
    mishap: str = ""


@dataclass
class Outcome:
    """What came of an interleaving."""

    seed: int
    parts: list[Part]
    decisions: list[Decision]
    happened: Counter[str]
    violation: Violation | None = None
    story: list[Turn] = field(default_factory=list)


def explore(seed: int) -> Outcome:
    """The interleaving of that seed."""
    return _play(seed, draw_parts(seed), None)


def replay(seed: int, parts: list[Part], decisions: list[Decision]) -> Outcome:
    """The same with these parts and decisions alone; a decision that has no subject any more is passed over."""
    return _play(seed, parts, decisions)


def _play(seed: int, parts: list[Part], decisions: list[Decision] | None) -> Outcome:
    stand_ins.COMPARED.clear()
    world = begin(seed)
    played = Outcome(seed, parts, [] if decisions is None else decisions, world.happened)
    try:
        for part in parts:
            if part.later:
                world.later[part.name] = part
            else:
                join(world, part)
        if decisions is None:
            _wander(world, played)
        else:
            for decision in decisions:
                _tell(world, decision, played.story)
                _decide(world, decision)
        settle(world)
    except Violation as violation:
        played.violation = violation
    finally:
        world.close()
    return played


def _wander(world: World, played: Outcome) -> None:
    """Random turns and faults until everything has ended or enough has happened."""
    chance = random.Random(f"turns {played.seed}")
    about = theme(played.seed)
    rate, stays, stalls = (chance.choice(each) for each in (FAULT_RATES, PERSISTENCE, STALLS))
    aim = chance.choice(AIMS)
    last, stalled = "", dict[str, int]()
    for number in range(chance.choice([60, 150, 300, 600])):
        if not world.processes and world.later:
            _record(world, played, Decision(next(iter(world.later)), BEGINS))
        if not world.processes:
            return
        if last not in world.processes or stalled.get(last, 0) > number or chance.random() >= stays:
            moving = [name for name in world.processes if stalled.get(name, 0) <= number]
            last = chance.choice(moving or world.alive())
        operation, key = world.processes[last].waiting
        kind = "put" if operation == "put" else "other"
        if last not in stalled and chance.random() < stalls * (1 if kind == "put" else 0.1):
            stalled[last] = number + chance.randint(5, 200)
            if chance.random() < 0.7:
                _overtake(world, played, last, chance)
            continue
        stalled.pop(last, None)
        decision = Decision(last)
        if chance.random() < min(0.5, rate * aim[kind] * (OFTEN if _decides(operation, key) else 1)):
            decision = _mishap(world, last, about, chance)
        _record(world, played, decision)


def _overtake(world: World, played: Outcome, name: str, chance: random.Random) -> None:
    """Has others do what a process that came to a halt was about to do, and what it read change meanwhile."""
    overtaken, landing = world.execution_of(name), world.processes[name].waiting[1].startswith("landing/")
    if overtaken:
        _record(world, played, Decision(overtaken.name, chance.choice(OVERTAKING)))
        if world.later and chance.random() < 0.7:
            _record(world, played, Decision(next(iter(world.later)), BEGINS))
    for _ in range(3 if overtaken and landing else 0):
        _record(world, played, Decision("source"))


def _decides(operation: str, key: str) -> bool:
    """Whether much depends on a request of which there are few: something befalls these more often."""
    if operation == "put":
        return key in DECIDING
    return operation in JOB_EVENTS or (operation == "get" and key.endswith("/model.tar.gz"))


def _record(world: World, played: Outcome, decision: Decision) -> None:
    played.decisions.append(decision)
    _decide(world, decision)


def _mishap(world: World, name: str, about: str, chance: random.Random) -> Decision:
    if chance.random() < (0.5 if about == "extraction" else 0.15):
        executions = [each for each in world.executions.values() if each.status == "RUNNING"]
        if executions:
            return Decision(chance.choice(executions).name, chance.choice(WORLD_EVENTS))
    if world.bucket.late and chance.random() < 0.5:
        return Decision(NETWORK, "a late write takes effect")
    operation = world.processes[name].waiting[0]
    # What can befall no other kind of request comes as often as all that can befall any.
    own = [what for what, operations in BEFALLS.items() if operations == (operation,)]
    own += JOB_EVENTS.get(operation, ())
    may = own if own and chance.random() < 0.5 else [what for what, able in BEFALLS.items() if operation in able] + own
    return Decision(name, chance.choice(may)) if may else Decision(name)


def _decide(world: World, decision: Decision) -> None:
    """Carries a decision out, where its subject is still there."""
    who, what = decision.who, decision.what
    if not _has_subject(world, decision):
        return
    if what == BEGINS:
        join(world, world.later.pop(who))
        return
    if what != "go":
        world.happened[what] += 1
    if what in WORLD_EVENTS:
        _befall(world, world.executions[f"arn:{who}"], what)
    elif who == NETWORK:
        world.bucket.land_late(world.bucket.late[0])
    else:
        world.turn(who, what)
        _take_up(world)


def _has_subject(world: World, decision: Decision) -> bool:
    if decision.what == BEGINS:
        return decision.who in world.later
    if decision.what in WORLD_EVENTS:
        execution = world.executions.get(f"arn:{decision.who}")
        return execution is not None and execution.status == "RUNNING"
    return bool(world.bucket.late) if decision.who == NETWORK else decision.who in world.processes


def _befall(world: World, execution: Execution, what: str) -> None:
    if what == "lease expires":
        world.now += timedelta(hours=5)
    elif what == "connection to a function lost":
        world.forget(execution)
    else:
        world.end(execution, "TIMED_OUT" if what == "time-out" else "ABORTED", child_lives=what.endswith("lives"))


def _tell(world: World, decision: Decision, story: list[Turn]) -> None:
    """Notes what a decision is about to come to."""
    mishap = "" if decision.what == "go" else decision.what
    if not _has_subject(world, decision):
        return
    if decision.what in {BEGINS, *WORLD_EVENTS}:
        story.append(Turn(decision.who, "", mishap))
    elif decision.who == NETWORK:
        late = world.bucket.late[0]
        story.append(Turn(NETWORK, f"{late.by}'s put {late.key}", mishap))
    else:
        story.append(Turn(decision.who, " ".join(world.processes[decision.who].waiting), mishap))


def _take_up(world: World) -> None:
    """An operator sees a failed run and takes it up again while others still run."""
    for run in list(world.watch.failed_runs) if world.watch.failed_runs else ():
        name = f"resumed {run}"
        if world.executions.get(f"arn:{name}") is None and f"operator {name}" not in world.processes:
            if world.happened[f"seen {run}"]:
                continue
            world.happened[f"seen {run}"] += 1
            if world.chance(f"operator {run}").random() < 0.3:
                world.happened[f"{TAKES_PART}failed runs taken up again"] += 1
                world.resume(name, run)
