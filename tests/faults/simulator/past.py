"""What an interleaving begins with: a bucket with five champions in its past, or an empty one."""

from datetime import timedelta
from functools import cache

from tests.faults.simulator import stand_ins
from tests.faults.simulator.bucket import Bucket
from tests.faults.simulator.ends import drain
from tests.faults.simulator.parts import champions
from tests.faults.simulator.scene import NOW, instant
from tests.faults.simulator.source import Table
from tests.faults.simulator.world import World


def prepare() -> None:
    """Makes the pasts that worlds begin with: before a bug is planted."""
    for number in (0, 5):
        _past(number)


def begin(seed: int) -> World:
    """A world with five champions in its past, or with none."""
    first = _past(champions(seed))
    world = World(seed, first.bucket.copy(), {name: table.copy() for name, table in first.tables.items()})
    first.watch.copy_to(world.watch)
    world.now = first.now
    return world


@cache
def _past(number: int) -> World:
    tables = {name: Table(NOW - timedelta(hours=6), 6) for name in ("left", "right")}
    world = World(0, Bucket(), tables)
    for hour in range(number):
        for table in world.tables.values():
            table.happen("new", stand_ins.OVERLAP_MINUTES)
        world.now = NOW - timedelta(hours=5 - hour)
        execution = world.start(f"past{hour}", {"scheduledTime": instant(hour - 5)})
        drain(world)
        assert execution.status == "SUCCEEDED"
    world.now = NOW
    return world
