"""A meter's file of two million minutes, as UCI publishes it: landed beside pandas and polars, then prepared.

Each in a fresh process. The others read the file and take means of 15 minutes; they check nothing and count nothing.
Preparation makes the rows of forecasts and splits them, which has no counterpart there.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench.measure import measure

MINUTES, MEMORY_MIB = 2_075_259, 3008
"""Lines of the published file, and what the function that prepares has."""
RESULTS = Path(__file__).parent / "results" / "meters.json"


def write(path: Path) -> None:
    """The file: a daily wave with noise, a hundredth of it missing."""
    chance = np.random.default_rng(1)
    start = np.datetime64("2006-12-16T17:24")
    hours = np.arange(MINUTES) / 60
    values = np.abs(1 + 0.5 * np.sin(hours * 2 * np.pi / 24) + chance.normal(0, 0.3, MINUTES)).round(3)
    missing = chance.random(MINUTES) < 0.01
    with path.open("w") as file:
        file.write("Date;Time;Global_active_power;Global_reactive_power;Voltage\n")
        for minute, value, none in zip(range(MINUTES), values.tolist(), missing.tolist(), strict=True):
            day, at = str(start + np.timedelta64(minute, "m")).split("T")
            year, month, number = day.split("-")
            told = "?" if none else f"{value:.3f}"
            file.write(f"{int(number)}/{int(month)}/{year};{at}:00;{told};0.418;234.840\n")


class Folder:
    """The part of the object store that landing takes, over a folder."""

    def __init__(self, path: Path) -> None:
        """Below `path`."""
        self.path = path

    def download(self, key: str, path: Path) -> str:
        """Copies a file."""
        path.write_bytes((self.path / key).read_bytes())
        return "tag"


def land(path: Path) -> Any:
    """The number of steps, and the sum of their means."""
    rows = _landed(path).rows
    return rows.num_rows, rows["value"].to_numpy().sum()


def prepare(path: Path) -> Any:
    """The number of rows for each part."""
    from ratchet.catalog import load
    from ratchet.files.dataset import write as write_dataset
    from ratchet.files.span import Span
    from ratchet.meters.kind import Source

    pipeline = load("energy")
    rows = _landed(path).rows

    def parts() -> Iterator[Any]:
        yield rows

    examples = Source(pipeline).examples(parts(), Span(), datetime(2011, 1, 1, tzinfo=UTC))
    with tempfile.TemporaryDirectory() as folder:
        made = write_dataset(pipeline, examples, Path(folder))
    return made.counts


def _landed(path: Path) -> Any:
    from ratchet.catalog import load
    from ratchet.meters.kind import Source
    from ratchet.store import Listed

    listed = [Listed(path.name, path.stat().st_size, "tag")]
    return Source(load("energy")).read(Folder(path.parent), listed)  # type: ignore[arg-type]


def pandas(path: Path) -> Any:
    """As `land`."""
    import pandas as pd

    frame = pd.read_csv(path, sep=";", na_values="?", usecols=["Date", "Time", "Global_active_power"])
    at = pd.to_datetime(frame["Date"] + " " + frame["Time"], format="%d/%m/%Y %H:%M:%S")
    means = frame.set_index(at)["Global_active_power"].resample("15min").mean().dropna()
    return len(means), means.sum()


def polars(path: Path) -> Any:
    """As `land`."""
    import polars as pl

    columns = ["Date", "Time", "Global_active_power"]
    at = (pl.col("Date") + " " + pl.col("Time")).str.to_datetime("%d/%m/%Y %H:%M:%S").dt.truncate("15m")
    frame = pl.read_csv(path, separator=";", null_values="?", columns=columns)
    means = frame.group_by(at.alias("at")).agg(pl.col("Global_active_power").mean()).drop_nulls()
    return len(means), means["Global_active_power"].sum()


CONTENDERS: dict[str, Callable[[Path], Any]] = {"land": land, "pandas": pandas, "polars": polars, "prepare": prepare}


def main() -> bool:
    """Measures, prints the table and keeps it; whether half of the memory is enough."""
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "household.txt"
        write(path)
        print(f"{MINUTES:,} lines{'s':>12}{'CPU s':>10}{'peak MiB':>10}")
        for name in CONTENDERS:
            cost = measure([sys.executable, "-m", "bench.meters", name, str(path)])
            found[name] = {"seconds": cost.wall_seconds, "cpu_seconds": cost.cpu_seconds, "peak_mib": cost.peak_mib}
            print(f"  {name:18}{cost.wall_seconds:10.1f}{cost.cpu_seconds:10.1f}{cost.peak_mib:10.0f}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"lines": MINUTES, **found}, indent=2) + "\n")
    print(f"  landed and prepared in {found['prepare']['peak_mib']:.0f} MiB of {MEMORY_MIB} MiB that the function has")
    print(f"  CPU {found['pandas']['cpu_seconds'] / found['land']['cpu_seconds']:.2f} times below pandas")
    return found["prepare"]["peak_mib"] <= MEMORY_MIB / 2


if __name__ == "__main__":
    if len(sys.argv) == 3:
        CONTENDERS[sys.argv[1]](Path(sys.argv[2]))
    else:
        sys.exit(0 if main() else 1)
