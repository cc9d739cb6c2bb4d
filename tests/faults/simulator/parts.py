"""Who takes part in an interleaving, drawn from its seed: runs of all kinds, people, scorers, a source that changes."""

import random
from dataclasses import dataclass, field

from tests.faults.simulator.people import Decider
from tests.faults.simulator.scene import instant
from tests.faults.simulator.source import EVENTS
from tests.faults.simulator.world import World

TAKES_PART = "part "
SIGNED = "what a person signs"
DECIDES: dict[str, list[object]] = {
    "means": ["link", "console"],
    "decisions": [
        *[("approve",)] * 3,
        ("reject",),
        ("approve", "approve"),
        ("approve", "reject"),
        ("reject", "approve"),
    ],
    "patience": [0, 0, 5, 20],
}
FORMS = {
    "scheduledTime": "scheduled runs",
    "sinceTs": "runs by hand from an instant on",
    "skipDataPrep": "runs by hand on prepared data",
    "at": "runs by hand",
}
"""What kind of run an input asks for, by the first of these fields that it has."""
ROLLBACKS = {"promotion": [1, 1, 2], SIGNED: [0, 1, 1]}
SCORERS = {"extraction": [0, 1, 2], SIGNED: [0, 0, 1]}
PEOPLE = {
    "decider": "people who decide",
    "rejecter": "champions rejected",
    "rollback": "rollbacks",
    "scorer": "scorers",
    "source": "sources that change",
}


@dataclass(frozen=True)
class Part:
    """Who takes part: a run with its input, a scorer, a person or the source."""

    kind: str
    name: str
    about: dict[str, object] = field(default_factory=dict)
    later: bool = False
    """Begins when somebody else came to a halt, or when nobody is left; else with the first."""


def draw_parts(seed: int) -> list[Part]:
    """Who takes part in the interleaving of that seed."""
    chance = random.Random(f"parts {seed}")
    about = theme(seed)
    forms = _forms(about, prepared=champions(seed) > 0)
    runs = range(chance.choice([1, 1, 2, 2]))
    parts = [
        Part("run", f"run{n}", _given(chance, forms), later=n > 0 and chance.random() < (1 if about == SIGNED else 0.5))
        for n in runs
    ]
    twice = [part for part in parts if "scheduledTime" in part.about["given"]]  # type: ignore[operator]
    if twice and chance.random() < 0.3:
        parts.append(Part("run", f"{twice[0].name} again", twice[0].about, later=chance.random() < 0.5))
    parts += _signers(chance) if about == SIGNED else []
    for number in range(chance.choice(ROLLBACKS.get(about, [0, 0, 1]))):
        parts.append(Part("rollback", f"person{number}", {"to": chance.choice([None, None, 0, 2])}))
    parts += [
        Part("scorer", f"scorer{n}", {"calls": chance.randint(2, 4)})
        for n in range(chance.choice(SCORERS.get(about, [1, 1, 2])))
    ]
    if about not in {"promotion", SIGNED} or chance.random() < 0.3:
        events = [chance.choice(EVENTS) for _ in range(chance.randint(3, 12))]
        parts.append(Part("source", "source", {"events": events}))
    return parts


def theme(seed: int) -> str:
    """What the interleaving of that seed is mostly about."""
    return random.Random(f"theme {seed}").choice(["promotion", "extraction", "both", SIGNED])


def _signers(chance: random.Random) -> list[Part]:
    """People who decide about each new package, and perhaps one who rejects the champion's."""
    deciders = [
        Part("decider", f"decider{n}", {name: chance.choice(choices) for name, choices in DECIDES.items()})
        for n in range(chance.choice([0, 1, 1, 1, 1, 2]))
    ]
    # First: a package may be there once the first run goes on.
    return [*deciders, *([Part("rejecter", "rejecter", later=True)] if chance.random() < 0.3 else [])]


def _forms(about: str, prepared: bool) -> list[str]:
    whole = ["scheduledTime", "scheduledTime", "at", "sinceTs"]
    if about in {"promotion", SIGNED} and prepared:
        return ["skipDataPrep"]
    return [*whole, "skipDataPrep", "skipDataPrep"] if about == "both" and prepared else whole


def _given(chance: random.Random, forms: list[str]) -> dict[str, object]:
    hour, form = chance.choice([0, 1, 1, 2]), chance.choice(forms)
    own: dict[str, object] = {"at": instant(hour + chance.choice([0.2, 0.3, 0.4]))}
    if form == "scheduledTime":
        own = {"scheduledTime": instant(hour)}
    elif form == "sinceTs":
        own |= {"sinceTs": instant(-8)}
    elif form == "skipDataPrep":
        own |= {"skipDataPrep": True}
    return {"given": own}


def champions(seed: int) -> int:
    """How many models have been in service before the interleaving of that seed begins."""
    return 5 if random.Random(f"past {seed}").random() < 0.85 else 0


def join(world: World, part: Part) -> None:
    """Has somebody take part from now on."""
    about = part.about
    world.happened[f"{TAKES_PART}{_kind(part)}"] += 1
    if part.kind == "run":
        world.start(part.name, about["given"])  # type: ignore[arg-type]
    elif part.kind == "decider":
        world.deciders.append(Decider(part.name, **about))  # type: ignore[arg-type]
    elif part.kind == "rejecter":
        world.reject_champion(part.name)
    elif part.kind == "rollback":
        number = about["to"]
        world.roll_back(part.name, None if number is None else instant(int(number) - 5).replace(":", "-"))  # type: ignore[call-overload]
    elif part.kind == "scorer":
        world.scorer(part.name, about["calls"])  # type: ignore[arg-type]
    else:
        world.rows_change(part.name, about["events"])  # type: ignore[arg-type]


def _kind(part: Part) -> str:
    if part.kind != "run":
        return PEOPLE[part.kind]
    if part.name.endswith(" again"):
        return "duplicate runs"
    return next(kind for field, kind in FORMS.items() if field in part.about["given"])  # type: ignore[operator]
