"""One interleaving: who takes part, in which order their requests come, and what befalls them; all from one seed.

The decisions are written down, so that the same can be played again, or a part of it.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.faults.simulator import stand_ins
from tests.faults.simulator.ends import settle
from tests.faults.simulator.mishaps import (
    NETWORK,
    UNANSWERED,
    WORLD_EVENTS,
    Decision,
    befall,
    likelihood,
    mishap,
    unanswered,
    writes,
)
from tests.faults.simulator.parts import SIGNED, TAKES_PART, Part, draw_parts, join, theme
from tests.faults.simulator.past import begin
from tests.faults.simulator.rules.seen import Violation
from tests.faults.simulator.world import World

BEGINS = "begins"
FAULT_RATES = (0.0, 0.02, 0.05, 0.1)
AIMS = ({"put": 1, "other": 1}, {"put": 5, "other": 0})
"""Faults befall all requests alike, or writes alone and those often."""
PERSISTENCE = (0.0, 0.5, 0.9, 0.97)
"""How likely it is that whoever had the last turn has the next one too: races need both short and long turns."""
STALLS = (0.0, 0.1, 0.4, 0.4)
"""How likely a process comes to a halt before a write: what it read may then be out of date when it goes on."""
MOST_QUIET = 150
OVERTAKING = (
    "connection to a function lost",
    "connection to a function lost",
    "connection to a function lost",
    "abort",
    "lease expires",
)
"""After which somebody else may do what a process that came to a halt was about to do."""


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
    if about == SIGNED and chance.random() < 0.7:
        _go_quietly(world, played)
    for number in range(chance.choice([300, 600] if about == SIGNED else [60, 150, 300, 600])):
        for decision in unanswered(world, chance):
            _record(world, played, decision)
        if not world.processes and world.later:
            _record(world, played, Decision(next(iter(world.later)), BEGINS))
        if not world.processes:
            return
        if last not in world.processes or stalled.get(last, 0) > number or chance.random() >= stays:
            moving = [name for name in world.processes if stalled.get(name, 0) <= number]
            last = chance.choice(moving or world.alive())
        operation, key = world.processes[last].waiting
        if last not in stalled and chance.random() < stalls * (1 if writes(operation) else 0.1):
            stalled[last] = number + chance.randint(5, 200)
            if chance.random() < 0.7:
                _overtake(world, played, last, chance)
            continue
        stalled.pop(last, None)
        decision = Decision(last)
        if chance.random() < likelihood(operation, key, rate, aim):
            decision = mishap(world, last, about, chance)
        _record(world, played, decision)


def _go_quietly(world: World, played: Outcome) -> None:
    """Nothing befalls anybody until somebody is asked to sign: what is of interest comes after that."""
    before = len(world.packages.packages)
    for _ in range(MOST_QUIET):
        if not world.processes or len(world.packages.packages) > before:
            return
        _record(world, played, Decision(next(iter(world.processes))))


def _overtake(world: World, played: Outcome, name: str, chance: random.Random) -> None:
    """Has others do what a process that came to a halt was about to do, and what it read change meanwhile."""
    overtaken, landing = world.execution_of(name), world.processes[name].waiting[1].startswith("landing/")
    if overtaken:
        # Who asks people is called again while it still asks; who is told then is the question.
        befallen = OVERTAKING[0] if overtaken.token else chance.choice(OVERTAKING)
        _record(world, played, Decision(overtaken.name, befallen))
        if world.later and chance.random() < 0.7:
            _record(world, played, Decision(next(iter(world.later)), BEGINS))
    for _ in range(3 if overtaken and landing else 0):
        _record(world, played, Decision("source"))


def _record(world: World, played: Outcome, decision: Decision) -> None:
    played.decisions.append(decision)
    _decide(world, decision)


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
    if what in {UNANSWERED, *WORLD_EVENTS}:
        befall(world, world.executions[f"arn:{who}"], what)
    elif who == NETWORK:
        world.bucket.land_late(world.bucket.late[0])
    else:
        world.turn(who, what)
        _take_up(world)


def _has_subject(world: World, decision: Decision) -> bool:
    if decision.what == BEGINS:
        return decision.who in world.later
    if decision.what in {UNANSWERED, *WORLD_EVENTS}:
        execution = world.executions.get(f"arn:{decision.who}")
        waits = decision.what != UNANSWERED or (execution is not None and execution.has_asked)
        return execution is not None and execution.status == "RUNNING" and waits
    return bool(world.bucket.late) if decision.who == NETWORK else decision.who in world.processes


def _tell(world: World, decision: Decision, story: list[Turn]) -> None:
    """Notes what a decision is about to come to."""
    befell = "" if decision.what == "go" else decision.what
    if not _has_subject(world, decision):
        return
    if decision.what in {BEGINS, UNANSWERED, *WORLD_EVENTS}:
        story.append(Turn(decision.who, "", befell))
    elif decision.who == NETWORK:
        late = world.bucket.late[0]
        story.append(Turn(NETWORK, f"{late.by}'s {late.what}", befell))
    else:
        story.append(Turn(decision.who, " ".join(world.processes[decision.who].waiting), befell))


def _take_up(world: World) -> None:
    """An operator sees a failed run, or a deployment that failed, and takes it up again while others still run."""
    while world.undeployed:
        execution = world.undeployed.pop()
        if world.chance(f"operator {execution.name}").random() < 0.5:
            world.happened[f"{TAKES_PART}deployments taken up again"] += 1
            world.approve_again(execution)
    for run in list(world.watch.failed_runs) if world.watch.failed_runs else ():
        name = f"resumed {run}"
        if world.executions.get(f"arn:{name}") is None and f"operator {name}" not in world.processes:
            if world.happened[f"seen {run}"]:
                continue
            world.happened[f"seen {run}"] += 1
            if world.chance(f"operator {run}").random() < 0.3:
                world.happened[f"{TAKES_PART}failed runs taken up again"] += 1
                world.resume(name, run)
