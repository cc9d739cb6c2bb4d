"""The fuzzer: hands a reader one hostile input after the other, in a process of its own that may crash, hang or swell.

    python -m tests.faults.fuzz bundles:ARCHIVE --inputs 100000 --seed 1     a target of `tests/faults/hostile/`
    python -m tests.faults.fuzz bundles:ARCHIVE --replay FILE                one input again, with its traceback

Inputs follow from the seed and their number alone: a dead process leaves behind which one it was at, and nothing else
is needed to make it again. Whole files are made rather than bytes flipped at random: what is packed, digested or behind
a checksum is otherwise never reached.
"""

import argparse
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from tests.emulated import CHECKOUT
from tests.faults.hostile.target import Target

MEMORY_MIB = 1024
"""What the smallest function that reads bundles, and any that reads rows, has."""
ADDRESSES_MIB = 4096
"""Memory that is asked for and never touched costs nothing; this much of it is a bug all the same."""
DEADLINE_SECONDS = 20
MEMORY_DISK = Path("/dev/shm")
STATUS = os.open("/proc/self/status", os.O_RDONLY)


class Found(AssertionError):
    """An input that ends in something else than a result or a named error."""


@dataclass(frozen=True)
class Report:
    """What came of all inputs; seconds are of the processor."""

    inputs: int
    seconds: float
    peak_mib: int
    outcomes: dict[str, int]


def run(name: str, inputs: int, seed: int, deadline: int = DEADLINE_SECONDS) -> Report:
    """Fuzzes a target. Raises Found with the first input that breaks it, kept as a file."""
    with (
        tempfile.TemporaryDirectory(dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None) as folder,
        tempfile.TemporaryFile() as progress,
    ):
        order = ["--inputs", inputs, "--seed", seed, "--deadline", deadline, "--progress", progress.fileno()]
        done = subprocess.run(
            [sys.executable, "-m", "tests.faults.fuzz", name, *map(str, order)],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT)},
            pass_fds=[progress.fileno()],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise _found(name, seed, int.from_bytes(os.pread(progress.fileno(), 8, 0), "big"), done)
    # What a library prints comes before.
    return Report(**json.loads(done.stdout.splitlines()[-1]))


def _found(name: str, seed: int, number: int, done: subprocess.CompletedProcess[str]) -> Found:
    how = signal.Signals(-done.returncode).name if done.returncode < 0 else done.stderr.strip().splitlines()[-1]
    how = "no answer by the deadline" if how == "SIGALRM" else how
    data = load(name).input(seed, number)
    path = Path(tempfile.gettempdir()) / f"{name.replace(':', '-')}-{seed}-{number}"
    path.write_bytes(data)
    return Found(
        f"{name}, seed {seed}, input {number}: {how}\n{data[:64].hex()}{'…' if len(data) > 64 else ''}\n"
        f"python -m tests.faults.fuzz {name} --replay {path}\n{done.stderr}"
    )


def load(name: str) -> Target:
    """The target of that name, `<module>:<attribute>`."""
    module, attribute = name.split(":")
    target: Target = getattr(import_module(f"tests.faults.hostile.{module}"), attribute)
    return target


def work(target: Target, inputs: int, seed: int, deadline: int, progress: int) -> Report:
    """All inputs, in this process and its current folder."""
    resource.setrlimit(resource.RLIMIT_DATA, (ADDRESSES_MIB << 20, ADDRESSES_MIB << 20))
    outcomes: Counter[str] = Counter()
    started = time.process_time()
    for number in range(inputs):
        os.pwrite(progress, number.to_bytes(8, "big"), 0)
        data = target.input(seed, number)
        # Python takes no part in this signal, so it ends native code that hangs, too.
        signal.alarm(deadline)
        outcomes[target.check(data)] += 1
        signal.alarm(0)
        assert (peak := peak_mib()) <= MEMORY_MIB, f"{peak} MiB"
    return Report(inputs, round(time.process_time() - started, 1), peak_mib(), dict(outcomes.most_common()))


def peak_mib() -> int:
    """The most that this process has held so far; getrusage would count what its parent had before it."""
    return int(os.pread(STATUS, 4096, 0).split(b"VmHWM:")[1].split(maxsplit=1)[0]) >> 10


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.fuzz")
    parser.add_argument("target")
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--deadline", type=int, default=DEADLINE_SECONDS)
    parser.add_argument("--replay", type=Path)
    parser.add_argument("--progress", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.replay:
        data = given.replay.read_bytes()
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            print(load(given.target).check(data), f"{peak_mib()} MiB")
    elif given.progress is None:
        print(run(given.target, given.inputs, given.seed, given.deadline))
    else:
        order = (given.inputs, given.seed, given.deadline, given.progress)
        print(json.dumps(vars(work(load(given.target), *order))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
