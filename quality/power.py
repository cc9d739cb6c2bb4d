"""Daily totals of a household's power for the next 7 days, walk-forward over 46 weeks: RMSE over all their days.

The features and the training are those of `energy`, with a day as its step. Each week is forecast by models of all days
before it. The number of trees and leaves is chosen on the 46 weeks before the test weeks; those are looked at once.
"""

import csv
import json
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from pipelines.energy.features import Shape, Wall, names, rows
from ratchet.trees.bag import fit

from quality import data

TARGET = 360.0
ZONE = "Europe/Paris"
SHAPE = Shape(1440, 7, windows=(1, 7, 14, 28, 56), season=7, seasons=4, around=(0, 3, 10))
TEST_WEEKS, FIRST_ORIGIN, BAGS, SEED = 46, 60, 5, 42
CHOICES = ((100, 8), (200, 8), (100, 15))
"""Trees and leaves."""
TREES = {
    "objective": "regression",
    "learning_rate": 0.03,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.3,
    "bagging_fraction": 0.5,
    "bagging_freq": 1,
    "lambda_l2": 10.0,
}
RIDGE = 1000.0
RESULTS = Path(__file__).parent / "results" / "power.json"
Floats = NDArray[np.float64]
Forecast = Callable[[int], Floats]
"""The 7 days from an origin on, float64 [7]."""


def read(folder: Path) -> tuple[Floats, datetime]:
    """Daily totals from the first whole week on to the end of the last (Sunday to Saturday), and their first day."""
    with (folder / "household_power_consumption_days.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    totals = np.array([float(row["Global_active_power"]) for row in table])
    first = datetime.fromisoformat(table[1]["datetime"]).replace(tzinfo=ZoneInfo(ZONE))
    return totals[1:-6], first


def baselines(series: Floats) -> dict[str, Forecast]:
    """What needs no model."""
    return {
        "yesterday": lambda origin: np.repeat(series[origin - 1], 7),
        "last week": lambda origin: series[origin - 7 : origin],
        "same week a year ago": lambda origin: series[origin - 364 : origin - 357],
    }


class Models:
    """Models of all days before an origin, by the features of `energy`."""

    def __init__(self, series: Floats, wall: Wall) -> None:
        """Makes the rows of all origins once."""
        origins = np.arange(FIRST_ORIGIN, len(series) - SHAPE.horizon + 1)
        self.rows = rows(series, wall, origins, SHAPE).reshape(len(origins), SHAPE.horizon, -1)
        self.wanted = np.stack([series[origin : origin + SHAPE.horizon] for origin in origins])

    def known(self, origin: int) -> tuple[NDArray[np.float32], Floats, NDArray[np.float32]]:
        """Rows and labels that had ended by an origin, and the rows to forecast."""
        ended = origin - FIRST_ORIGIN - SHAPE.horizon + 1
        width = self.rows.shape[2]
        return self.rows[:ended].reshape(-1, width), self.wanted[:ended].ravel(), self.rows[origin - FIRST_ORIGIN]

    def trees(self, origin: int, rounds: int, leaves: int, bags: int) -> Floats:
        """By bagged LightGBM."""
        x, y, asked = self.known(origin)
        given = {**TREES, "num_leaves": leaves}
        return fit(x, y, names=names(SHAPE), parameters=given, rounds=rounds, bags=bags, seed=SEED).predict(asked)

    def ridge(self, origin: int) -> Floats:
        """By a ridge regression on the same inputs, weekdays one by one, what is missing at its mean."""
        x, y, asked = self.known(origin)
        weekday = names(SHAPE).index("weekday")
        both = np.concatenate([x, asked]).astype(np.float64)
        both = np.concatenate([both, np.eye(7)[both[:, weekday].astype(int)]], axis=1)
        mean, scale = np.nanmean(both[: len(x)], axis=0), np.nanstd(both[: len(x)], axis=0)
        scaled = np.where(np.isfinite(both), (both - mean) / np.where(scale > 0, scale, 1), 0)
        fitted, new = scaled[: len(x)], scaled[len(x) :]
        weights = np.linalg.solve(fitted.T @ fitted + RIDGE * np.eye(fitted.shape[1]), fitted.T @ (y - y.mean()))
        return new @ weights + y.mean()


def walk(series: Floats, first: int, forecast: Forecast) -> float:
    """RMSE over the weeks from an origin on."""
    origins = [first + 7 * week for week in range(TEST_WEEKS)]
    errors = [forecast(origin) - series[origin : origin + 7] for origin in origins]
    return float(np.sqrt(np.square(errors).mean()))


def main() -> bool:
    """Chooses, tests once, prints the table and keeps it; whether the target is reached."""
    started = time.monotonic()
    series, first = read(data.folder("power"))
    test = len(series) - 7 * TEST_WEEKS
    models = Models(series, Wall.of(first, len(series) + SHAPE.horizon, SHAPE.step_minutes, ZONE, frozenset()))
    print(f"{TEST_WEEKS} weeks before the test weeks\n{'trees':>16}{'leaves':>8}{'RMSE':>8}")
    chosen: dict[tuple[int, int], float] = {}
    for rounds, leaves in CHOICES:
        chosen[rounds, leaves] = walk(
            series,
            test - 7 * TEST_WEEKS,
            lambda origin, rounds=rounds, leaves=leaves: models.trees(origin, rounds, leaves, 1),  # type: ignore[misc]
        )
        print(f"{rounds:>16}{leaves:>8}{chosen[rounds, leaves]:8.1f}", flush=True)
    rounds, leaves = min(chosen, key=lambda choice: chosen[choice])
    contenders = {**baselines(series), "ridge": models.ridge}
    found = {name: walk(series, test, forecast) for name, forecast in contenders.items()}
    found["ours"] = walk(series, test, lambda origin: models.trees(origin, rounds, leaves, BAGS))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"rmse": found, "trees": rounds, "leaves": leaves}, indent=2) + "\n")
    print(f"\n{TEST_WEEKS} test weeks" + "".join(f"\n{name:>24}{value:8.1f}" for name, value in found.items()))
    print(f"ours at most {TARGET:.0f}; {time.monotonic() - started:.0f} s")
    return found["ours"] <= TARGET


if __name__ == "__main__":
    try:
        sys.exit(0 if main() else 1)
    except data.Absent as absent:
        print(f"skipped: {absent}")
