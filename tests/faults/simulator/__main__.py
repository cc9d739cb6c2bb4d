"""The command behind `make faults`: interleavings on all cores, a table of what happened, and the first finding."""

import argparse
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.faults.simulator import bugs, interleaving, stand_ins
from tests.faults.simulator.interleaving import Outcome, Turn
from tests.faults.simulator.minimise import minimise

BATCH = 50
CLEAN, FOUND, INTERRUPTED = 0, 1, 130
UNCOUNTED, END = "seen ", "ended "


def main() -> int:
    """Explores, prints, and says by its exit code whether anything was found."""
    arguments = _arguments()
    console = Console(highlight=False)
    first = random.SystemRandom().randrange(10**9) if arguments.seed is None else arguments.seed
    if arguments.replay is not None:
        return _replay(console, arguments.replay, arguments.bug)
    console.print(f"{arguments.interleavings:,} interleavings from seed {first} on {arguments.jobs} processes")
    begun = time.monotonic()
    try:
        happened, finding = _explore(console, first, arguments)
    except KeyboardInterrupt:
        console.print("Interrupted.")
        return INTERRUPTED
    _table(console, happened, time.monotonic() - begun)
    if finding is None:
        console.print("[green]No rule was broken.[/]")
        return CLEAN
    return _replay(console, finding, arguments.bug)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.simulator",
        description="Interleaves the product's coordinating code with itself under faults, and checks every invariant "
        "after every step. Exit code: 0 nothing found; 1 a rule was broken; 130 interrupted.",
    )
    parser.add_argument("--interleavings", type=_positive, default=2000, metavar="N", help="how many (2000)")
    parser.add_argument("--seed", type=int, help="of the first interleaving; the others follow (default: drawn)")
    parser.add_argument(
        "--jobs", type=_positive, default=os.cpu_count() or 1, metavar="N", help="processes (all cores)"
    )
    parser.add_argument(
        "--replay", type=int, metavar="SEED", help="play the one interleaving of this seed, and tell it"
    )
    parser.add_argument("--bug", choices=sorted(bugs.BUGS), default="no bug", help="plant a known bug first")
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def _explore(console: Console, first: int, arguments: argparse.Namespace) -> tuple[Counter[str], int | None]:
    """What happened how often, and the seed of the first finding."""
    last = first + arguments.interleavings
    batches = [(start, min(start + BATCH, last), arguments.bug) for start in range(first, last, BATCH)]
    happened: Counter[str] = Counter()
    columns = (
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with (
        multiprocessing.Pool(arguments.jobs, _ignore_interrupts) as pool,
        Progress(*columns, console=console) as progress,
    ):
        task = progress.add_task("Interleaving", total=arguments.interleavings)
        for counted, finding in pool.imap_unordered(_batch, batches):
            happened += counted
            progress.update(task, completed=happened["interleavings"])
            if finding is not None:
                pool.terminate()
                return happened, finding
    return happened, None


def _ignore_interrupts() -> None:
    # The parent ends them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _batch(job: tuple[int, int, str]) -> tuple[Counter[str], int | None]:
    start, end, bug = job
    happened: Counter[str] = Counter()
    with simulated(bug):
        for seed in range(start, end):
            played = interleaving.explore(seed)
            happened["interleavings"] += 1
            happened.update(played.happened)
            if played.violation:
                return happened, seed
    return happened, None


@contextmanager
def simulated(bug: str = "no bug") -> Iterator[None]:
    """Everything that an interleaving needs, until the block ends."""
    with scratch(), stand_ins.simulated():
        interleaving.prepare()
        with bugs.BUGS[bug]():
            yield


@contextmanager
def scratch() -> Iterator[None]:
    """Temporary files in memory, where there is such a place: the steps make and remove thousands of folders."""
    memory = Path("/dev/shm")
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="ratchet-faults-", dir=memory if memory.is_dir() else None) as folder:
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = before


def _table(console: Console, happened: Counter[str], seconds: float) -> None:
    count = happened.pop("interleavings")
    changes, ends = happened.pop("changes"), {what: happened.pop(what) for what in [*happened] if what.startswith(END)}
    table = Table("what happened", "how often", box=None, header_style="dim")
    table.columns[1].justify = "right"
    for what, often in sorted(happened.items(), key=lambda row: -row[1]):
        if not what.startswith(UNCOUNTED):
            table.add_row(what, f"{often:,}")
    console.print(table)
    told = ", ".join(f"{often:,} {what.removeprefix(END)}" for what, often in sorted(ends.items()))
    console.print(f"Executions ended by themselves: {told}", soft_wrap=True)
    each = 1000 * seconds / count
    console.print(f"{count:,} interleavings, {changes:,} changes looked at, in {seconds:.0f} s ({each:.1f} ms each)")


def _replay(console: Console, seed: int, bug: str) -> int:
    """Plays one seed again; where it breaks a rule, tells the shortest schedule that does."""
    with simulated(bug):
        found = interleaving.explore(seed)
        if found.violation is None:
            console.print(f"Seed {seed} breaks no rule.")
            return CLEAN
        tell(console, found, minimise(found))
    return FOUND


def tell(console: Console, found: Outcome, shortest: Outcome) -> None:
    """Prints a finding: seed, rule, and the shortest schedule that breaks it."""
    assert found.violation
    assert shortest.violation
    console.print(f"[red]Broken:[/] {found.violation.rule}")
    console.print(shortest.violation.detail, style="dim", markup=False, soft_wrap=True)
    console.print(f"Seed {found.seed}; to play it again: python -m tests.faults.simulator --replay {found.seed}")
    console.print(f"{len(found.decisions)} decisions, of which these {len(shortest.story)} suffice:")
    for part in shortest.parts:
        console.print(f"  {part.kind} {part.name} {part.about}", style="cyan", markup=False, soft_wrap=True)
    for line in lines(shortest.story):
        console.print(f"  {line}", markup=False, soft_wrap=True)
    console.print("  (then everybody goes on in turn, without faults)", style="dim")


def lines(story: list[Turn]) -> Iterator[str]:
    """The story with a line for each spell of one process: its reads are counted, its writes and mishaps named."""
    for who, spell in groupby(story, lambda turn: turn.who):
        reads, told = 0, []
        for turn in spell:
            if turn.mishap or turn.request.startswith(("put ", "tag ")):
                told += [f"{reads} reads"] if reads else []
                told.append(f"{turn.request} <- {turn.mishap.upper()}".strip() if turn.mishap else turn.request)
                reads = 0
            else:
                reads += 1
        told += [f"{reads} reads"] if reads else []
        yield f"{who}: {'; '.join(told)}"


if __name__ == "__main__":
    sys.exit(main())
