"""`rul` on NASA's engines and `energy` on a real household: green, and as good as the gate's floors ask."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from ratchet.catalog import Pipeline, load

from tests.laptop_target import LaptopTarget

DATA = Path(__file__).parents[2].parent / "shared/data"
ENGINES, HOURS = DATA / "cmapss", DATA / "power/household_power_consumption_hourly.csv"
RUL, ENERGY = load("rul"), load("energy")


def absent(path: Path) -> Any:
    return pytest.mark.skipif(not path.exists(), reason=f"real data are not part of the repository: no {path}")


def judged(laptop: LaptopTarget, pipeline: Pipeline, option: str, path: Path) -> Any:
    """A run over real data, its evidence and its manifest."""
    seeded = laptop.ratchet("seed", pipeline.name, option, str(path), "--yes")
    assert seeded["synthetic"] is False
    ran = laptop.ratchet("run", pipeline.name)
    evaluation = laptop.document(pipeline.keys.evaluation(ran["run_ts"]))
    manifest = laptop.document(pipeline.keys.manifest(ran["run_ts"]))
    assert (manifest["synthetic"], manifest["source"]) == (False, seeded["source"])
    return {"ran": ran, "seeded": seeded, "evaluation": evaluation, "manifest": manifest}


@pytest.fixture(scope="module")
def engines(laptop: LaptopTarget) -> Any:
    return judged(laptop, RUL, "--from-cmapss", ENGINES)


@pytest.fixture(scope="module")
def household(laptop: LaptopTarget) -> Any:
    return judged(laptop, ENERGY, "--from-csv", HOURS)


@absent(ENGINES)
def test_the_life_left_of_real_engines_is_predicted(engines: Any) -> None:
    assert engines["ran"]["outcome"] == "promoted", engines["ran"]["reason"]
    floor = engines["evaluation"]["floors"]["r2"]
    assert floor["measured"] >= floor["limit"] == 0.2
    assert engines["seeded"]["faults"] == 100
    assert {f"sensor_{number}" for number in range(1, 22)} <= set(engines["manifest"]["about"]["sensors"])


@absent(HOURS)
def test_a_real_household_is_forecast_within_what_its_quantiles_promise(household: Any) -> None:
    assert household["ran"]["outcome"] == "promoted", household["ran"]["reason"]
    coverage = household["evaluation"]["coverage"]
    assert abs(coverage["measured"] - coverage["promised"]) <= ENERGY.gate.coverage_tolerance
    assert household["manifest"]["about"]["step_minutes"] == 60


@absent(HOURS)
def test_its_errors_are_smaller_than_those_of_yesterday_and_of_last_week(laptop: LaptopTarget, household: Any) -> None:
    stored = laptop.store.get(ENERGY.keys.holdout(household["ran"]["run_ts"]))
    assert stored is not None
    holdout = pq.read_table(io.BytesIO(stored.body))
    assert household["evaluation"]["holdout"]["used"] == holdout.num_rows
    error = household["evaluation"]["targets"]["kw_p50"]["mae"]
    for name in ENERGY.gate.baselines:
        naive = np.abs(holdout[f"baseline_{name}"].to_numpy() - holdout["kw_p50"].to_numpy()).mean()
        assert error < naive, name


@absent(HOURS)
def test_a_day_ahead_of_it_has_a_line_for_every_hour(laptop: LaptopTarget, household: Any) -> None:
    (slot,) = laptop.ratchet("score", "energy")["scored"]
    (key,) = [row.key for row in laptop.store.list("energy/predictions/dt=")]
    stored = laptop.store.get(key)
    assert stored is not None
    assert stored.body.count(b"\n") == 24
    assert slot[:10] in key
