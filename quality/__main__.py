"""`python -m quality [NAME ...]`: measures what the pipelines reach on real data; all data sets without a name.

A measurement prints its table, writes `quality/results/<name>.json`, and exits 0 when it reaches its target or its data
is absent, which it says; 1 when one missed its target.
"""

import argparse
import subprocess
import sys
from pathlib import Path

NAMES = ("fd001", "power", "hourly", "adclick")


def main(arguments: list[str]) -> int:
    """Runs the measurements that the arguments name and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m quality", description="What the pipelines reach on real data.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(NAMES):
        parser.error(f"nothing is named {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    codes = []
    for name in given.names or NAMES:
        print(f"\n== {name}", flush=True)
        command = [sys.executable, "-m", f"quality.{name}"]
        codes.append(subprocess.run(command, cwd=Path(__file__).parents[1], check=False).returncode)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
