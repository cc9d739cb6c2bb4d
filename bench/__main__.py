"""`python -m bench [NAME ...]`: runs the benchmarks one after the other, each in a fresh process; all without a name.

A benchmark prints its table, writes `bench/results/<name>.json`, and exits 0 when it meets its target, or 3 where what
it needs is not there. Here the machine's facts are added to that file, and the ends summed up: 1 when one failed to run
or missed its target.
"""

import argparse
import ast
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
SKIPPED = 3
NAMES = ("extraction", "compaction", "meters", "join", "scoring", "trees", "handler", "api", "orchestration")


def about(name: str, folder: Path = HERE) -> str:
    """The first line of a benchmark's docstring."""
    return (ast.get_docstring(ast.parse((folder / f"{name}.py").read_text())) or "").splitlines()[0]


def machine() -> dict[str, str | int]:
    """What a reader must know of the machine to read the figures."""
    cores = len(os.sched_getaffinity(0))
    return {"cores": cores, "cpu": _cpu(), "python": platform.python_version(), "system": platform.platform()}


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def run(name: str, folder: Path = HERE) -> str:
    """`met`, `missed`, `skipped` or `failed`: a benchmark that ends with an error has written no new results."""
    results = folder / "results" / f"{name}.json"
    before = results.stat().st_mtime_ns if results.exists() else None
    print(f"\n== {name}: {about(name, folder)}", flush=True)
    code = subprocess.run([sys.executable, "-m", f"bench.{name}"], cwd=folder.parent, check=False).returncode
    if code == SKIPPED:
        return "skipped"
    if code not in (0, 1) or not results.exists() or results.stat().st_mtime_ns == before:
        return "failed"
    end = "missed" if code else "met"
    date = datetime.now(UTC).isoformat(timespec="seconds")
    document = {**json.loads(results.read_text()), "met": code == 0, "at": date, "machine": machine()}
    results.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    return end


def main(arguments: list[str]) -> int:
    """Runs the benchmarks that the arguments name and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures us beside the alternatives.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--list", action="store_true", help="say what there is")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(NAMES):
        parser.error(f"no benchmark is named {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if given.list:
        print("\n".join(f"{name:14} {about(name)}" for name in NAMES))
        return 0
    ends = {name: run(name) for name in given.names or NAMES}
    words = {
        "met": "met its target",
        "missed": "MISSED its target",
        "failed": "FAILED to run",
        "skipped": "was skipped",
    }
    print("\n" + "\n".join(f"{name:14} {words[end]}" for name, end in ends.items()))
    return 0 if set(ends.values()) <= {"met", "skipped"} else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
