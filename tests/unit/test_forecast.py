"""Rows of a forecast: what they look at, what they are compared with, and which forecasts are due."""

import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ratchet.catalog import Pipeline
from ratchet.errors import BadBundle, BadConfiguration, BadInput, SourceMismatch, StaleInput
from ratchet.files import land
from ratchet.files.span import Span
from ratchet.instants import iso
from ratchet.meters import online
from ratchet.meters.calendar import holidays_of
from ratchet.meters.forecast import Forecast
from ratchet.meters.kind import Source, own_step
from ratchet.meters.series import Series
from ratchet.serving.champion import Champion
from ratchet.serving.slots import score_slots

from tests import bundles
from tests.fakes import Clock, MemoryStore
from tests.filed import RUN, csv_hours, instants, landed, matrix, meters, prepared

HOUR = timedelta(hours=1)
START = datetime(2026, 10, 20, tzinfo=UTC)
"""The clock goes back on the 25th."""
KEY = "energy/incoming/a.csv"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def series(days: int) -> list[float | None]:
    """Sums of 60 minutes: kilowatts that tell the day and the hour."""
    return [60.0 * (1 + day + hour / 100) for day in range(days) for hour in range(24)]


def test_an_outcome_is_the_value_at_its_end_and_naive_answers_are_those_before(
    store: MemoryStore, tmp_path: Path
) -> None:
    values = series(30)
    store.put(KEY, csv_hours(START, values))
    pipeline = meters()
    landed(store, pipeline)
    manifest, file = prepared(store, pipeline, tmp_path)
    assert manifest["about"]["step_minutes"] == 60
    table = file("holdout")
    ends, outcome = instants(table, "ts"), table["kw_p50"].to_numpy()
    hours = (ends - int(START.timestamp()) * 1_000_000) // 3_600_000_000 - 1
    kilowatts = np.array(values, float) / 60
    np.testing.assert_allclose(outcome, kilowatts[hours])
    np.testing.assert_allclose(table["baseline_yesterday"].to_numpy(), kilowatts[hours - 24])
    np.testing.assert_allclose(table["baseline_last_week"].to_numpy(), kilowatts[hours - 168])
    ahead = (ends - instants(table, "base_ts")) // 60_000_000
    assert table["group"].to_pylist() == [f"{minutes:04}" for minutes in ahead.tolist()]
    assert set(ahead.tolist()) == {60 * step for step in range(1, 25)}


@pytest.mark.parametrize("cut", [400, 501, 650])
def test_rows_look_at_their_past_alone(store: MemoryStore, tmp_path: Path, cut: int) -> None:
    """What comes after an instant is taken away: rows whose outcome was known then do not change."""
    chance = np.random.default_rng(cut)
    values: list[float | None] = chance.normal(60, 5, 30 * 24).tolist()
    found = {}
    for name, known in (("whole", values), ("cut", values[:cut])):
        other = MemoryStore()
        other.put(KEY, csv_hours(START, known))
        landed(other, meters())
        source = Source(meters())
        tables = online._rows(
            other, source, f"energy/landing/readings/{source.name_of(KEY)}.parquet", _etag(other, source)
        )
        examples = source.examples(iter([tables]), Span(), START + timedelta(days=40))
        found[name] = {
            (base, end): row
            for base, end, row in zip(examples.base_ts.tolist(), examples.ends.tolist(), examples.features, strict=True)
        }
    assert len(found["cut"]) > 100
    for at, row in found["cut"].items():
        np.testing.assert_array_equal(row, found["whole"][at])


def _etag(store: MemoryStore, source: Source) -> str:
    return store.objects[f"energy/landing/readings/{source.name_of(KEY)}.parquet"].etag


@pytest.mark.parametrize(("hours", "until"), [(24 * 9, START), (24 * 6, START + timedelta(days=9)), (1, START + HOUR)])
def test_where_nothing_can_be_known_there_are_no_rows(hours: int, until: datetime) -> None:
    values = Series(int(START.timestamp()) * 1_000_000, 60, np.ones(hours))
    found = Forecast(meters(), 60).examples(values, until)
    assert (len(found.base_ts), found.features.shape, len(found.groups)) == (0, (0, 32), 0)


def test_a_reading_of_a_lost_clock_costs_no_rows_of_the_decades_between() -> None:
    hours, step = 10 * 365 * 24, 3_600_000_000
    values = np.full(hours, np.nan)
    values[0], values[-24 * 20 :] = 1.0, np.arange(24 * 20)
    series = Series(int(START.timestamp()) * 1_000_000 - hours * step, 60, values)
    tracemalloc.start()
    found = Forecast(meters(), 60).examples(series, START)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.base_ts) > 500
    assert peak < 64 << 20, f"{peak >> 20} MiB"


def test_missing_values_stay_missing_and_are_no_outcome(store: MemoryStore, tmp_path: Path) -> None:
    values = series(30)
    values[300:310] = [None] * 10
    store.put(KEY, csv_hours(START, values))
    landed(store, meters())
    manifest, file = prepared(store, meters(), tmp_path)
    assert manifest["counts"]["left_out"]["no outcome"] >= 10
    assert manifest["counts"]["left_out"]["no naive answer"] >= 10
    assert np.isnan(matrix(file("train"))).any()
    assert all(np.isfinite(file("holdout")[name].to_numpy()).all() for name in ("kw_p50", "baseline_yesterday"))


def test_a_file_of_another_form_names_the_layouts(store: MemoryStore) -> None:
    store.put(KEY, b"a,b\n1,2\n")
    with pytest.raises(SourceMismatch, match="uci: Date;Time;Global_active_power"):
        landed(store, meters())


@pytest.mark.parametrize("body", [b"", b"\n", b"datetime,Global_active_power\n", b"\xff\xfe\x00"])
def test_a_file_without_readings_lands_with_none_or_is_refused(store: MemoryStore, body: bytes) -> None:
    store.put(KEY, body)
    if body.startswith(b"datetime"):
        assert landed(store, meters()).tables["readings"]["rows"] == 0
    else:
        with pytest.raises(SourceMismatch, match="no layout"):
            landed(store, meters())


@pytest.mark.parametrize("name", ["energy/incoming/none.csv", "file=0123", "../x", "returns/incoming/a.csv"])
def test_a_file_that_is_not_there_is_refused(store: MemoryStore, name: str) -> None:
    with pytest.raises(BadInput, match=r"no files of .* below energy/incoming/"):
        land.land(store, store, meters(), name)


def test_lines_that_are_no_readings_are_kept_with_their_reason(store: MemoryStore, tmp_path: Path) -> None:
    body = csv_hours(START, series(20)) + b"2026-13-01 00:00:00,5\n2026-12-01 00:00:00,much\n2026-12-0"
    store.put(KEY, body)
    landed(store, meters())
    manifest, _ = prepared(store, meters(), tmp_path)
    reasons = {"time is no instant", "value is no number", "another number of columns", "cut off"}
    assert {reason.removeprefix("readings: ") for reason in manifest["counts"]["rejected"]} <= reasons
    assert sum(manifest["counts"]["rejected"].values()) == 3
    assert meters().keys.set_aside(RUN) in store.objects


@pytest.mark.parametrize(
    ("gap_minutes", "step"), [(1, 15), (5, 15), (15, 15), (17, 20), (30, 30), (60, 60), (61, 120), (5000, 1440)]
)
def test_the_step_is_that_of_the_file_where_it_is_coarser(gap_minutes: int, step: int) -> None:
    at = np.arange(50) * gap_minutes * 60_000_000
    assert max(15, own_step(at)) == step


@pytest.mark.parametrize("at", [[], [5]])
def test_a_file_of_a_reading_or_none_has_no_step_of_its_own(at: list[int]) -> None:
    assert own_step(np.array(at, np.int64)) == 15


def test_files_overlap_and_the_one_of_the_later_name_stands(store: MemoryStore) -> None:
    store.put(KEY, csv_hours(START, [60.0] * 48))
    store.put("energy/incoming/b.csv", csv_hours(START + 24 * HOUR, [120.0] * 48))
    landed(store, meters())
    found = online.read(store, meters())
    first, second = (store.objects[key] for key in sorted(k for k in store.objects if k.endswith(".parquet")))
    assert first != second
    np.testing.assert_allclose(found.values, [1.0] * 24 + [2.0] * 24 + [2.0] * 24)


def test_minutes_that_are_no_whole_steps_are_named() -> None:
    with pytest.raises(BadConfiguration, match="multiples of the step, 240"):
        _ = Forecast(meters(), 240).shape


def test_an_unknown_country_is_named() -> None:
    with pytest.raises(BadConfiguration, match="no country 'XX'"):
        holidays_of("XX", 2026, 2026)


def test_holidays_reach_some_years_ahead_and_are_those_of_the_country() -> None:
    assert {"2026-07-14", "2029-07-14"} <= holidays_of("FR", 2026, 2026)
    assert "2026-11-26" not in holidays_of("FR", 2026, 2026)
    assert holidays_of(None, 2026, 2026) == frozenset()


def test_a_forecast_goes_by_the_holidays_of_the_model(store: MemoryStore, tmp_path: Path) -> None:
    store.put(KEY, csv_hours(START, series(10)))
    landed(store, meters())
    found, now = {}, START + timedelta(days=10)
    for days in ((), ("2026-10-30",)):
        loaded = champion(store, tmp_path / str(len(days)), holidays=list(days))
        inputs = online.inputs(meters(), loaded, store, None, now)
        found[days] = inputs.features[:, Forecast(meters(), 60).inputs().index("holiday")]
    assert found[()].sum() == 0 < found["2026-10-30",].sum()


def test_a_file_that_is_gone_no_longer_counts(store: MemoryStore) -> None:
    store.put(KEY, csv_hours(START, [60.0] * 48))
    landed(store, meters())
    store.delete(KEY)
    assert land.survey(store, store, meters(), RUN, None).parts == [Source(meters()).name_of(KEY)]
    assert landed(store, meters()).tables["readings"]["rows"] == 0
    assert not len(online.read(store, meters()).values)


def champion(store: MemoryStore, folder: Path, **about: Any) -> Champion:
    loaded = bundles.champion(store, folder, pipeline="energy", model=bundles.first_columns(32, 3))
    told = {"inputs": Forecast(meters(), 60).inputs(), "step_minutes": 60, **about}
    return replace(loaded, model=replace(loaded.model, about=told))


def score(store: MemoryStore, loaded: Champion, now: datetime, pipeline: Pipeline | None = None) -> dict[str, Any]:
    pipeline = pipeline or meters()
    return score_slots(pipeline, loaded, store, partial(online.inputs, pipeline, loaded, store), Clock(now))


def test_the_newest_origin_is_forecast_once_and_later_ones_as_they_come(store: MemoryStore, tmp_path: Path) -> None:
    store.put(KEY, csv_hours(START, series(10)))
    landed(store, meters())
    loaded, end = champion(store, tmp_path), START + timedelta(days=10)
    assert score(store, loaded, end + HOUR / 4)["scored"] == [iso(end)]
    assert score(store, loaded, end + HOUR / 2) == {"scored": [], "skipped": [], "model_run_ts": bundles.RUN}
    lines = store.objects[f"energy/predictions/dt=2026-10-30/base_ts={end:%Y-%m-%dT%H-%M-%SZ}.jsonl"].body.splitlines()
    assert len(lines) == 24
    store.put("energy/incoming/b.csv", csv_hours(end, [60.0] * 3))
    landed(store, meters())
    assert score(store, loaded, end + 3 * HOUR)["scored"] == [iso(end + step * HOUR) for step in (1, 2, 3)]


def test_a_step_that_has_not_ended_is_not_known(store: MemoryStore, tmp_path: Path) -> None:
    store.put(KEY, csv_hours(START, series(10)))
    landed(store, meters())
    end = START + timedelta(days=10)
    assert score(store, champion(store, tmp_path), end - HOUR / 2)["scored"] == [iso(end - HOUR)]


def test_readings_that_are_too_old_are_refused(store: MemoryStore, tmp_path: Path) -> None:
    store.put(KEY, csv_hours(START, series(10)))
    landed(store, meters())
    with pytest.raises(StaleInput):
        score(store, champion(store, tmp_path), START + timedelta(days=10, hours=4))
    with pytest.raises(StaleInput):
        score(MemoryStore(), champion(store, tmp_path / "again"), START)


@pytest.mark.parametrize("about", [{"step_minutes": 15}, {"inputs": ["other"]}])
def test_a_model_of_another_step_or_of_other_inputs_does_not_answer(
    store: MemoryStore, tmp_path: Path, about: dict[str, Any]
) -> None:
    store.put(KEY, csv_hours(START, series(10)))
    landed(store, meters())
    with pytest.raises(BadBundle, match="run the pipeline, or roll back"):
        score(store, champion(store, tmp_path, **about), START + timedelta(days=10))
