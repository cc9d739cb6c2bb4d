"""The command behind `make faults`: interleavings on all cores, a table of what happened, and the first finding."""

import argparse
import gc
import multiprocessing
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.faults.simulator import bugs, interleaving, past, stand_ins
from tests.faults.simulator.bucket import CALLS
from tests.faults.simulator.interleaving import Outcome, Turn
from tests.faults.simulator.minimise import minimise
from tests.faults.simulator.parts import TAKES_PART
from tests.faults.simulator.scratch import scratch

BATCH = 50
CLEAN, FOUND, INTERRUPTED = 0, 1, 130
TOLD = tuple(f"{operation} " for operation in ("put", "decide", *CALLS))
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
    _tell(console, happened, time.monotonic() - begun)
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
    # What there is by now stays for good; what an interleaving leaves behind is looked for less often.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)
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
        past.prepare()
        with bugs.BUGS[bug]():
            yield


def _tell(console: Console, happened: Counter[str], seconds: float) -> None:
    """Who took part and what befell them, how often."""
    told = {what: often for what, often in happened.items() if not what.startswith(UNCOUNTED)}
    count, changes = told.pop("interleavings"), told.pop("changes")
    parts, ends = _split(told, TAKES_PART), _split(told, END)
    _table(console, "who took part", parts)
    _table(console, "what was injected", told)
    listed = ", ".join(f"{often:,} {what}" for what, often in sorted(ends.items()))
    console.print(f"Executions ended by themselves: {listed}", soft_wrap=True)
    each = 1000 * seconds / count
    console.print(f"{count:,} interleavings, {changes:,} changes looked at, in {seconds:.0f} s ({each:.1f} ms each)")


def _split(told: dict[str, int], start: str) -> dict[str, int]:
    """Takes out what begins so, and names it without that."""
    return {what.removeprefix(start): told.pop(what) for what in list(told) if what.startswith(start)}


def _table(console: Console, title: str, counts: dict[str, int]) -> None:
    table = Table(title, "how often", box=None, header_style="dim")
    table.columns[0].min_width, table.columns[1].justify = 36, "right"
    for what, often in sorted(counts.items(), key=lambda row: -row[1]):
        table.add_row(what, f"{often:,}")
    console.print(table)


def _replay(console: Console, seed: int, bug: str) -> int:
    """Plays one seed again; where it breaks a rule, tells the shortest schedule that does."""
    with simulated(bug):
        found = interleaving.explore(seed)
        if found.violation is None:
            console.print(f"Seed {seed} breaks no rule.")
            return CLEAN
        tell(console, found, minimise(found), "" if bug == "no bug" else f" --bug '{bug}'")
    return FOUND


def tell(console: Console, found: Outcome, shortest: Outcome, options: str) -> None:
    """Prints a finding: seed, rule, and the shortest schedule that breaks it."""
    assert found.violation
    assert shortest.violation
    console.print(f"[red]Broken:[/] {found.violation.rule}")
    console.print(shortest.violation.detail, style="dim", markup=False, soft_wrap=True)
    again = f"python -m tests.faults.simulator --replay {found.seed}{options}"
    console.print(f"Seed {found.seed}; to play it again: {again}", soft_wrap=True)
    console.print(f"{len(found.decisions)} decisions, of which these {len(shortest.story)} suffice:")
    for part in shortest.parts:
        console.print(f"  {part.kind} {part.name} {part.about}", style="cyan", markup=False, soft_wrap=True)
    for line in lines(shortest.story):
        console.print(f"  {line}", markup=False, soft_wrap=True)
    console.print("  (then everybody goes on in turn, without faults)", style="dim")


def lines(story: list[Turn]) -> Iterator[str]:
    """The story with a line for each spell of one process: what went well is counted, writes and mishaps are named."""
    for who, spell in groupby(story, lambda turn: turn.who):
        told = [
            part
            for kind, turns in groupby(spell, _counted_as)
            for part in ([f"{len(list(turns))} {kind}"] if kind else map(_told, turns))
        ]
        yield f"{who}: {'; '.join(told)}"


def _counted_as(turn: Turn) -> str:
    if turn.mishap or turn.request.startswith(TOLD):
        return ""
    return "tags" if turn.request.startswith("tag ") else "reads"


def _told(turn: Turn) -> str:
    return f"{turn.request} <- {turn.mishap.upper()}".strip() if turn.mishap else turn.request


if __name__ == "__main__":
    sys.exit(main())
