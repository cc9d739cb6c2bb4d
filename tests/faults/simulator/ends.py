"""How an interleaving ends: everybody goes on undisturbed, what failed is taken up, and what came late is found."""

from datetime import timedelta

from tests.faults.simulator import machine
from tests.faults.simulator.rules.seen import KEYS, Violation, require
from tests.faults.simulator.scene import instant
from tests.faults.simulator.world import World

MOST_STEPS = 6000


def settle(world: World) -> None:
    """Lets everything end without further faults; then a failed run is taken up, or one finds all rows, or neither.

    One at a time: all of it would take as long as what it follows.
    """
    while world.bucket.late:
        world.bucket.land_late(world.bucket.late[0])
    drain(world)
    world.watch.all_runs_ended()
    world.watch.endpoint_stands()
    end = world.chance("end").choice(["take up", "find rows", "neither", "neither"])
    if end == "take up" and world.watch.failed_runs:
        _take_up(world, world.chance("failed").choice(list(world.watch.failed_runs)))
    elif end == "find rows" and world.watch.data_moved:
        _find_all_rows(world)
    if world.watch.expiring():
        world.start("the last evaluation", {"at": instant(41), "skipDataPrep": True})
        drain(world)
        require(not world.watch.expiring(), "what the champion needs does not expire", world.watch.expiring())
    if not world.watch.lease_is_free():
        # A step that outlived its execution took it: as good as free, since the next run gets it at once.
        world.start("the next run", {"run_ts": instant(42).replace(":", "-")}, definition=machine.lease_alone)
        drain(world)
        require(world.watch.lease_is_free(), "the lease comes back", world.watch.store.json(KEYS.lease()))


def _take_up(world: World, run: str) -> None:
    for attempt in range(4):
        if run in world.watch.failed_runs:
            world.start(f"last resort {attempt} {run}", {"resume": run})
            drain(world)
    world.watch.ended_well(run)


def _find_all_rows(world: World) -> None:
    """An extraction that also compares what has landed with the source: those that came very late are found by that."""
    world.now += timedelta(hours=25)
    run = instant(40).replace(":", "-")
    world.start("the last extraction", {"run_ts": run}, definition=machine.extraction)
    drain(world)
    world.watch.all_rows_landed()


def drain(world: World) -> None:
    """Everybody goes on in turn, without faults, until all have ended; who is not answered by then never will be."""
    for _ in range(MOST_STEPS):
        names = world.alive()
        if not names and not _time_is_up(world):
            return
        for name in names:
            if name in world.processes:
                world.turn(name)
    raise Violation("everything comes to an end", ", ".join(world.alive()))


def _time_is_up(world: World) -> bool:
    waiting = [execution for execution in world.executions.values() if execution.token]
    for execution in waiting:
        world.time_is_up(execution)
    return bool(waiting)
