"""One interleaving: who takes part, in which order their requests come, and what befalls them; all from one seed.

The decisions are written down, so that the same can be played again, or a part of it.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache

from tests.faults.simulator import machine, stand_ins
from tests.faults.simulator.bucket import BEFALLS
from tests.faults.simulator.invariants import Violation, require
from tests.faults.simulator.source import EVENTS, Table
from tests.faults.simulator.world import NOW, Execution, World, instant

NETWORK = "network"
MOST_STEPS = 6000
FAULT_RATES = (0.0, 0.02, 0.05, 0.1)
AIMS = ({"put": 1, "other": 1}, {"put": 5, "other": 0})
"""Faults befall all requests alike, or writes alone and those often."""
PERSISTENCE = (0.0, 0.5, 0.9, 0.97)
"""How likely it is that whoever had the last turn has the next one too: races need both short and long turns."""
STALLS = (0.0, 0.1, 0.4)
"""How likely a process comes to a halt before a write: what it read may then be out of date when it goes on."""
WORLD_EVENTS = ("abort", "abort, its child lives", "time-out", "connection to a function lost", "lease expires")
OVERTAKING = ("connection to a function lost", "connection to a function lost", "abort", "lease expires")
"""After which somebody else may do what a process that came to a halt was about to do."""
JOB_EVENTS = {"train": ("job fails",), "upload": ("job writes no bundle",)}


@dataclass(frozen=True)
class Decision:
    """Whose turn it is, and what befalls it; or an event of the world upon an execution."""

    who: str
    what: str = "go"


@dataclass(frozen=True)
class Part:
    """Who takes part: a run with its input, a scorer, a person or the source."""

    kind: str
    name: str
    about: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Turn:
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


def draw_parts(seed: int) -> list[Part]:
    """Who takes part in the interleaving of that seed."""
    chance = random.Random(f"parts {seed}")
    theme = _theme(seed)
    forms = _forms(theme, prepared=_champions(seed) > 0)
    runs = range(chance.choice([1, 2, 2, 3, 3]))
    parts = [Part("run", f"run{number}", _given(chance, forms)) for number in runs]
    twice = [part for part in parts if "scheduledTime" in part.about["given"]]  # type: ignore[operator]
    if twice and chance.random() < 0.4:
        parts.append(Part("run", f"{twice[0].name} again", twice[0].about))
    for number in range(chance.choice([1, 2, 3] if theme == "promotion" else [0, 0, 1])):
        parts.append(Part("rollback", f"person{number}", {"to": chance.choice([None, None, 0, 2])}))
    parts += [Part("scorer", f"scorer{n}", {"calls": chance.randint(2, 6)}) for n in range(chance.choice([0, 1, 2]))]
    if theme == "extraction" or chance.random() < 0.5:
        events = [chance.choice(EVENTS) for _ in range(chance.randint(1, 12))]
        parts.append(Part("source", "source", {"events": events}))
    return parts


def _theme(seed: int) -> str:
    return random.Random(f"theme {seed}").choice(["promotion", "extraction", "both"])


def _forms(theme: str, prepared: bool) -> list[str]:
    whole = ["scheduledTime", "scheduledTime", "at", "sinceTs"]
    if theme == "promotion" and prepared:
        return ["skipDataPrep", "skipDataPrep", "skipDataPrep", "scheduledTime"]
    return [*whole, "skipDataPrep"] if theme == "both" and prepared else whole


def _given(chance: random.Random, forms: list[str]) -> dict[str, object]:
    hour, form = chance.choice([0, 1, 1, 2]), chance.choice(forms)
    own: dict[str, object] = {"at": instant(hour + chance.choice([0.2, 0.3, 0.4]))}
    if form == "scheduledTime":
        own = {"scheduledTime": instant(hour)}
    elif form == "sinceTs":
        own |= {"sinceTs": instant(-8)}
    elif form == "skipDataPrep":
        own |= {"skipDataPrep": True}
    return {"given": own, "approval": chance.random() < 0.15}


def explore(seed: int) -> Outcome:
    """The interleaving of that seed."""
    return _play(seed, draw_parts(seed), None)


def replay(seed: int, parts: list[Part], decisions: list[Decision]) -> Outcome:
    """The same with these parts and decisions alone; a decision that has no subject any more is passed over."""
    return _play(seed, parts, decisions)


def _play(seed: int, parts: list[Part], decisions: list[Decision] | None) -> Outcome:
    stand_ins.COMPARED.clear()
    world = _begin(seed)
    played = Outcome(seed, parts, [] if decisions is None else decisions, world.happened)
    try:
        for part in parts:
            _join(world, part)
        if decisions is None:
            _wander(world, played)
        else:
            for decision in decisions:
                _tell(world, decision, played.story)
                _decide(world, decision)
        _settle(world)
    except Violation as violation:
        played.violation = violation
    finally:
        world.close()
    return played


def prepare() -> None:
    """Makes the pasts that worlds begin with: before a bug is planted."""
    for champions in (0, 5):
        _past(champions)


def _begin(seed: int) -> World:
    """A world with five champions in its past, or with none."""
    first = _past(_champions(seed))
    world = World(seed, first.bucket.copy(), {name: table.copy() for name, table in first.tables.items()})
    first.watch.copy_to(world.watch)
    world.now = first.now
    return world


def _champions(seed: int) -> int:
    return 5 if random.Random(f"past {seed}").random() < 0.85 else 0


@cache
def _past(champions: int) -> World:
    tables = {name: Table(NOW - timedelta(hours=6), 6) for name in ("left", "right")}
    world = World(0, tables=tables)
    for number in range(champions):
        for table in world.tables.values():
            table.happen("new", stand_ins.OVERLAP_MINUTES)
        world.now = NOW - timedelta(hours=5 - number)
        execution = world.start(f"past{number}", {"scheduledTime": instant(number - 5)})
        drain(world)
        assert execution.status == "SUCCEEDED"
    world.now = NOW
    return world


def _join(world: World, part: Part) -> None:
    about = part.about
    if part.kind == "run":
        execution = world.start(part.name, about["given"], needs_approval=bool(about["approval"]))  # type: ignore[arg-type]
        if execution.needs_approval:
            world.approve(execution)
    elif part.kind == "rollback":
        number = about["to"]
        world.roll_back(part.name, None if number is None else instant(int(number) - 5).replace(":", "-"))  # type: ignore[call-overload]
    elif part.kind == "scorer":
        world.scorer(part.name, about["calls"])  # type: ignore[arg-type]
    else:
        world.rows_change(part.name, about["events"])  # type: ignore[arg-type]


def _wander(world: World, played: Outcome) -> None:
    """Random turns and faults until everything has ended or enough has happened."""
    chance = random.Random(f"turns {played.seed}")
    theme = _theme(played.seed)
    rate, stays, stalls = (chance.choice(each) for each in (FAULT_RATES, PERSISTENCE, STALLS))
    aim = chance.choice(AIMS)
    last, stalled = "", dict[str, int]()
    for number in range(chance.choice([60, 200, 500, 1000])):
        alive = world.alive()
        if not alive:
            return
        moving = [name for name in alive if stalled.get(name, 0) <= number] or alive
        last = last if last in moving and chance.random() < stays else chance.choice(moving)
        writing = world.processes[last].waiting[0] == "put"
        if last not in stalled and chance.random() < stalls * (1 if writing else 0.1):
            stalled[last] = number + chance.randint(5, 200)
            overtaken = world.execution_of(last)
            if overtaken and chance.random() < 0.4:
                _record(world, played, Decision(overtaken.name, chance.choice(OVERTAKING)))
            continue
        stalled.pop(last, None)
        decision = Decision(last)
        if chance.random() < rate * aim["put" if writing else "other"]:
            decision = _mishap(world, last, theme, chance)
        _record(world, played, decision)


def _record(world: World, played: Outcome, decision: Decision) -> None:
    played.decisions.append(decision)
    _decide(world, decision)


def _mishap(world: World, name: str, theme: str, chance: random.Random) -> Decision:
    if chance.random() < (0.5 if theme == "extraction" else 0.15):
        executions = [each for each in world.executions.values() if each.status == "RUNNING"]
        if executions:
            return Decision(chance.choice(executions).name, chance.choice(WORLD_EVENTS))
    if world.bucket.late and chance.random() < 0.5:
        return Decision(NETWORK, "a late write takes effect")
    operation = world.processes[name].waiting[0]
    may = [what for what, operations in BEFALLS.items() if operation in operations]
    may += JOB_EVENTS.get(operation, ())
    return Decision(name, chance.choice(may)) if may else Decision(name)


def _decide(world: World, decision: Decision) -> None:
    """Carries a decision out, where its subject is still there."""
    who, what = decision.who, decision.what
    if not _has_subject(world, decision):
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
    if decision.what in WORLD_EVENTS:
        story.append(Turn(decision.who, "", mishap))
    elif decision.who == NETWORK:
        late = world.bucket.late[0]
        story.append(Turn(NETWORK, f"{late.by}'s put {late.key}", mishap))
    else:
        story.append(Turn(decision.who, " ".join(world.processes[decision.who].waiting), mishap))


def _take_up(world: World) -> None:
    """An operator sees a failed run and takes it up again while others still run."""
    for run in list(world.watch.failed_runs):
        name = f"resumed {run}"
        if world.executions.get(f"arn:{name}") is None and f"operator {name}" not in world.processes:
            if world.happened[f"seen {run}"]:
                continue
            world.happened[f"seen {run}"] += 1
            if world.chance(f"operator {run}").random() < 0.5:
                world.resume(name, run)


def _settle(world: World) -> None:
    """Lets everything end without further faults, takes up what failed, and has the last run find what came late."""
    while world.bucket.late:
        world.bucket.land_late(world.bucket.late[0])
    drain(world)
    for attempt in range(4):
        for run in list(world.watch.failed_runs):
            world.start(f"last resort {attempt} {run}", {"resume": run})
            drain(world)
    world.now += timedelta(hours=25)
    run = instant(40).replace(":", "-")
    world.start("the last extraction", {"run_ts": run}, definition=machine.extraction)
    drain(world)
    if world.watch.expiring():
        world.start("the last evaluation", {"at": instant(41), "skipDataPrep": True})
        drain(world)
        require(not world.watch.expiring(), "what the champion needs does not expire", world.watch.expiring())
    world.watch.final()


def drain(world: World) -> None:
    """Everybody goes on in turn, without faults, until all have ended."""
    for _ in range(MOST_STEPS):
        names = world.alive()
        if not names:
            return
        for name in names:
            if name in world.processes:
                world.turn(name)
    raise Violation("everything comes to an end", ", ".join(world.alive()))
