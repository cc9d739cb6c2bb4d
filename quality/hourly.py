"""Hourly sums of a household's power for the next day, forecast at each midnight of the last year: MAE in Wh.

The features and the training are those of `energy`, with an hour as its step, of all hours before that year. The clock
is the one that the file was written by.
"""

import csv
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pipelines.energy.features import Shape, Wall, names, rows
from ratchet.trees.bag import fit

from quality import data

SHAPE = Shape(60, 24, windows=(3, 24, 168, 672), season=24, seasons=7, around=(0, 12, 84))
TESTED_DAYS, EVERY_HOURS, FIRST_ORIGIN, BAGS, SEED = 365, 6, 672, 3, 42
WH_PER_UNIT = 1000 / 60
"""The file's sums are of 60 minutely averages in kW."""
TREES = {
    "objective": "regression_l1",
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 200,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.5,
    "bagging_freq": 1,
}
ROUNDS = 300
RESULTS = Path(__file__).parent / "results" / "hourly.json"


def read(folder: Path) -> tuple[NDArray[np.float64], datetime]:
    """Wh of each hour from the first midnight on, NaN where the file has none, and that midnight."""
    with (folder / "household_power_consumption_hourly.csv").open(newline="") as file:
        told = {datetime.fromisoformat(row["datetime"]): row["Global_active_power"] for row in csv.DictReader(file)}
    first = min(at for at in told if at.hour == 0)
    hours = [int((at - first).total_seconds()) // 3600 for at in told]
    series = np.full(max(hours) + 1, np.nan)
    for hour, text in zip(hours, told.values(), strict=True):
        if hour >= 0 and text:
            series[hour] = float(text) * WH_PER_UNIT
    return series[: len(series) // 24 * 24], first.replace(tzinfo=UTC)


def main() -> bool:
    """Trains, tests, prints the table and keeps it; whether both seasonal-naive baselines are beaten."""
    started = time.monotonic()
    series, first = read(data.folder("power"))
    wall = Wall.of(first, len(series) + SHAPE.horizon, SHAPE.step_minutes, "UTC", frozenset())
    test = len(series) - 24 * TESTED_DAYS
    learned = np.arange(FIRST_ORIGIN, test - SHAPE.horizon + 1, EVERY_HOURS)
    x, y = rows(series, wall, learned, SHAPE), _following(series, learned)
    known = np.isfinite(y)
    bag = fit(x[known], y[known], names=names(SHAPE), parameters=TREES, rounds=ROUNDS, bags=BAGS, seed=SEED)
    midnights = np.arange(test, len(series), 24)
    wanted, hours = _following(series, midnights), (midnights[:, None] + np.arange(24)).ravel()
    contenders = {
        "same hour yesterday": series[hours - 24],
        "same hour last week": series[hours - 168],
        "ours": bag.predict(rows(series, wall, midnights, SHAPE)),
    }
    counted = np.isfinite([wanted, *contenders.values()]).all(axis=0)
    found = {name: float(np.abs(told - wanted)[counted].mean()) for name, told in contenders.items()}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"mae_wh": found, "hours": int(counted.sum())}, indent=2) + "\n")
    print(f"{len(midnights)} days, {counted.sum():,} hours, {len(x):,} rows learned from\n{'MAE, Wh':>24}")
    print("\n".join(f"{name:>24}{value:8.0f}" for name, value in found.items()))
    print(f"{time.monotonic() - started:.0f} s")
    return found["ours"] < min(value for name, value in found.items() if name != "ours")


def _following(series: NDArray[np.float64], origins: NDArray[np.int64]) -> NDArray[np.float64]:
    """The values of the horizon after each origin, one origin after the other."""
    return series[(origins[:, None] + np.arange(SHAPE.horizon)).ravel()]


if __name__ == "__main__":
    try:
        sys.exit(0 if main() else 1)
    except data.Absent as absent:
        print(f"skipped: {absent}")
