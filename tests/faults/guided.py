"""The fuzzer led by coverage: atheris varies inputs that have reached something new in the readers' own code.

    python -m tests.faults.guided bundles:ARCHIVE --inputs 100000 --seed 1

It begins with inputs that the target makes, and goes on with those and its own variations in turn. An input that ends
in something else than a result or a named error, or takes too long or too much memory, is kept as a file.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any, NoReturn

from tests.emulated import CHECKOUT
from tests.faults.fuzz import DEADLINE_SECONDS, MEMORY_DISK, MEMORY_MIB, Found, Report, load, peak_mib

BEGINNINGS = 200
"""Inputs that it begins with."""
LONGEST = 1 << 16
CHATTER = ("INFO: ", "WARNING: Failed to find function")


def run(name: str, inputs: int, seed: int, deadline: int = DEADLINE_SECONDS) -> Report:
    """Fuzzes a target. Raises Found with the first input that breaks it, kept as a file."""
    with tempfile.TemporaryDirectory(dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None) as folder:
        # A target has its folder to itself.
        scratch = Path(folder, "scratch")
        scratch.mkdir()
        order = ["--inputs", inputs, "--seed", seed, "--deadline", deadline, "--folder", folder]
        done = subprocess.run(
            [sys.executable, "-m", "tests.faults.guided", name, *map(str, order)],
            cwd=scratch,
            env={"PYTHONPATH": str(CHECKOUT)},
            capture_output=True,
            text=True,
            errors="replace",
        )
        if done.returncode:
            raise _found(name, Path(folder), done)
    return Report(**json.loads(done.stdout.splitlines()[-1]))


def _found(name: str, folder: Path, done: subprocess.CompletedProcess[str]) -> Found:
    kept = ""
    for broke in sorted(folder.glob("broke-*")):
        path = Path(tempfile.gettempdir()) / f"{name.replace(':', '-')}-{broke.name}"
        shutil.move(broke, path)
        kept = f"python -m tests.faults.fuzz {name} --replay {path}"
    said = [line for line in [*done.stdout.splitlines(), *done.stderr.splitlines()] if not line.startswith(CHATTER)]
    return Found("\n".join([f"{name}, led by coverage:", *said[-60:], kept]))


def work(name: str, inputs: int, seed: int, deadline: int, folder: Path) -> NoReturn:
    """All inputs, in this process and its current folder; it ends the process."""
    import atheris

    with atheris.instrument_imports(include=["ratchet"]):
        target = load(name)
    corpus = folder / "corpus"
    corpus.mkdir()
    for number in range(BEGINNINGS):
        (corpus / str(number)).write_bytes(target.make(Random(seed << 32 | number)))
    outcomes: Counter[str] = Counter()
    started = time.process_time()

    def check(data: bytes) -> None:
        if not data:
            # What every fuzzer of this kind tries first, and no target makes.
            return
        outcomes[target.check(data)] += 1
        if outcomes.total() == inputs:
            seconds = round(time.process_time() - started, 1)
            print(json.dumps(vars(Report(inputs, seconds, peak_mib(), dict(outcomes.most_common())))), flush=True)
            # A fuzzer takes any other way to leave for a fault.
            os._exit(0)

    def vary(data: bytes, longest: int, number: int) -> bytes:
        chance = Random(number)
        made: bytes = target.make(chance) if chance.random() < 0.5 else atheris.Mutate(data, longest)
        return made[:longest]

    limits = [f"-timeout={deadline}", f"-rss_limit_mb={MEMORY_MIB}", f"-max_len={LONGEST}", f"-seed={seed}"]
    options = [*limits, f"-artifact_prefix={folder}/broke-", "-print_final_stats=0", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], check, custom_mutator=vary)
    atheris.Fuzz()
    raise AssertionError("the fuzzer gave up")


def main(arguments: list[str]) -> Any:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.guided")
    parser.add_argument("target")
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--deadline", type=int, default=DEADLINE_SECONDS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.folder:
        work(given.target, given.inputs, given.seed, given.deadline, given.folder)
    print(run(given.target, given.inputs, given.seed, given.deadline))


if __name__ == "__main__":
    main(sys.argv[1:])
