"""A day of raw sensor files to hourly aggregates: ours beside pandas and polars, each in a fresh process.

50 machines x 6 sensors at a sample every 5 seconds: 5.2 million records in 1,200 files of an hour each. The others get
the files one by one too, and do no more than read, cut the hour and aggregate: no checks, no counts, no merging.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.measure import measure

MACHINES, SENSORS = 50, ("temp", "humid", "pressure", "vibration", "active_power", "reactive_power")
STEP_SECONDS, HOURS = 5, 24
MEMORY_MIB, SECONDS = 3008, 900
"""Of the function that compacts a day."""
RESULTS = Path(__file__).parent / "results" / "compaction.json"


def write(folder: Path) -> int:
    """Writes the files; the number of their records."""
    chance, seconds = np.random.default_rng(1), range(0, 3600, STEP_SECONDS)
    for hour in range(HOURS):
        times = [f"2025-05-07T{hour:02d}:{second // 60:02d}:{second % 60:02d}.250000" for second in seconds]
        for machine in range(MACHINES):
            values = chance.normal(70, 10, (len(times), len(SENSORS))).round(4).tolist()
            about = f'"zoneId":"zone-{machine % 5}","equipId":"20250507171316-{machine:03d}","sensorId":"UA10T-'
            lines = [
                f'{{{about}{kind}","sensorType":"{kind}","val":{value},"category":"EQUIPMENT","time":"{at}","faulty":0}}'
                for at, row in zip(times, values, strict=True)
                for kind, value in zip(SENSORS, row, strict=True)
            ]
            (folder / f"equip-{hour:02d}-{machine:03d}.json").write_text("\n".join(lines) + "\n\n")
    return MACHINES * len(SENSORS) * HOURS * len(seconds)


def ours(files: list[Path]) -> Any:
    """The number of rows, and the sum of a sensor's means."""
    from ratchet.sensors.hours import Hours
    from ratchet.sensors.layout import Layout
    from ratchet.sensors.samples import read
    from ratchet.sources import Sensor

    layout = Layout({name: Sensor((name,), 41, 101) for name in SENSORS}, "EQUIPMENT", "Asia/Seoul")
    hours = Hours(layout)
    for path in files:
        hours.add(read(path.read_bytes(), layout))
    assert not hours.rejected
    table = hours.table()
    return table.num_rows, table["temp_mean"].to_numpy().sum()


def pandas(files: list[Path]) -> Any:
    """As `ours`."""
    import pandas as pd

    parts = []
    for path in files:
        frame = pd.read_json(path, lines=True, dtype=False)
        frame["hour"] = pd.to_datetime(frame["time"]).dt.floor("h")
        by = frame.groupby(["zoneId", "equipId", "hour", "sensorType"])["val"]
        parts.append(by.agg(["mean", "std", "min", "max", "count"]))
    table = pd.concat(parts)
    return len(table) // len(SENSORS), table.xs("temp", level="sensorType")["mean"].sum()


def polars(files: list[Path]) -> Any:
    """As `ours`."""
    import polars as pl

    value, parts = pl.col("val"), []
    for path in files:
        hour = pl.col("time").str.to_datetime().dt.truncate("1h")
        measures = (value.mean(), value.std().alias("std"), value.min().alias("min"), value.max().alias("max"))
        by = pl.read_ndjson(path).group_by("zoneId", "equipId", hour, "sensorType")
        parts.append(by.agg(*measures, value.len().alias("count")))
    table = pl.concat(parts)
    return len(table) // len(SENSORS), table.filter(pl.col("sensorType") == "temp")["val"].sum()


CONTENDERS: dict[str, Callable[[list[Path]], Any]] = {"ours": ours, "pandas": pandas, "polars": polars}


def main() -> bool:
    """Measures, prints the table and keeps it; whether a tenth of the time and a quarter of the memory are enough."""
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        records = write(Path(folder))
        print(f"{records:,} records{'records/s':>16}{'CPU s':>10}{'peak MiB':>10}")
        for name in CONTENDERS:
            cost = measure([sys.executable, "-m", "bench.compaction", name, folder])
            rate = records / cost.wall_seconds
            found[name] = {"records_per_second": rate, "cpu_seconds": cost.cpu_seconds, "peak_mib": cost.peak_mib}
            print(f"  {name:20}{rate:12,.0f}{cost.cpu_seconds:10.1f}{cost.peak_mib:10.0f}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"records": records, **found}, indent=2) + "\n")
    best = min(found[name]["cpu_seconds"] for name in CONTENDERS if name != "ours")
    seconds, peak = records / found["ours"]["records_per_second"], found["ours"]["peak_mib"]
    print(f"  {seconds:.0f} s of {SECONDS} s and {peak:.0f} MiB of {MEMORY_MIB} MiB that the function has")
    print(f"  CPU {best / found['ours']['cpu_seconds']:.2f} times below the better of the others")
    return seconds <= SECONDS / 10 and peak <= MEMORY_MIB / 4


if __name__ == "__main__":
    if len(sys.argv) == 3:
        CONTENDERS[sys.argv[1]](sorted(Path(sys.argv[2]).iterdir()))
    else:
        sys.exit(0 if main() else 1)
