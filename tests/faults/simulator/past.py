"""What an interleaving begins with: a bucket with five champions in its past, or an empty one."""

from datetime import timedelta
from functools import cache
from itertools import product

from tests.faults.simulator import stand_ins
from tests.faults.simulator.bucket import Bucket
from tests.faults.simulator.ends import drain
from tests.faults.simulator.hosting import INSTANCES, SERVERLESS
from tests.faults.simulator.parts import SIGNED, champions, theme
from tests.faults.simulator.people import Decider
from tests.faults.simulator.scene import NOW, instant
from tests.faults.simulator.source import Table
from tests.faults.simulator.world import World


def prepare() -> None:
    """Makes the pasts that worlds begin with: before a bug is planted."""
    for number, signed in product((0, 5), (False, True)):
        _past(number, signed)


def begin(seed: int) -> World:
    """A world with five champions in its past, or with none."""
    signed = theme(seed) == SIGNED
    first = _past(champions(seed), signed)
    tables = {name: table.copy() for name, table in first.tables.items()}
    world = World(seed, first.bucket.copy(), tables, signed=signed)
    first.watch.copy_to(world.watch)
    first.packages.copy_to(world.packages)
    first.hosts.copy_to(world.hosts)
    world.hosts.kind = world.chance("kind").choice([SERVERLESS] * 5 + [INSTANCES])
    world.now = first.now
    return world


@cache
def _past(number: int, signed: bool) -> World:
    tables = {name: Table(NOW - timedelta(hours=6), 6) for name in ("left", "right")}
    world = World(0, Bucket(), tables, signed=signed)
    world.deciders = [Decider("signer", "console", ("approve",))]
    for hour in range(number):
        for table in world.tables.values():
            table.happen("new", stand_ins.OVERLAP_MINUTES)
        world.now = NOW - timedelta(hours=5 - hour)
        execution = world.start(f"past{hour}", {"scheduledTime": instant(hour - 5)})
        drain(world)
        assert execution.status == "SUCCEEDED", execution.error
    world.now = NOW
    return world
