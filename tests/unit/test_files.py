"""Sources that are files: parts land once, land anew when their files change, and become a run's rows."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ratchet.catalog import Pipeline
from ratchet.errors import BadInput, ContractError, ForeignDocument, TooManyBadRows
from ratchet.extraction.step import Step
from ratchet.extraction.sufficiency import check_sufficiency
from ratchet.files import land, part
from ratchet.files.span import before, of_month
from ratchet.files.split import parts_of
from ratchet.sources import SensorFiles
from ratchet.store import encode
from ratchet.tables.split import PARTS

from tests.fakes import Clock, MemoryStore
from tests.filed import (
    NOW,
    RUN,
    csv_hours,
    fleet,
    instants,
    landed,
    matrix,
    meters,
    prepared,
    record,
    sensors,
    write_day,
)  # fmt: skip

DAY = "2026-11-20"
NOON = NOW.replace(day=20, hour=3)
"""Of Seoul."""


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def test_what_has_not_landed_is_named_and_what_has_is_left_alone(store: MemoryStore) -> None:
    fleet(store, days=3)
    found = land.survey(store, store, sensors(), RUN, None)
    assert (found.done, found.parts) == (False, ["dt=2026-11-18", "dt=2026-11-19", "dt=2026-11-20"])
    assert landed(store, sensors()).done
    writes = list(store.writes)
    assert land.land(store, store, sensors(), "dt=2026-11-19").rows_read == 0
    assert store.writes == writes


@pytest.mark.parametrize("change", ["a file more", "another content", "a file less"])
def test_a_part_lands_anew_when_its_files_are_others(store: MemoryStore, change: str) -> None:
    fleet(store, days=2, machines=2)
    landed(store, sensors())
    keys = [key for key in store.objects if f"date={DAY}" in key]
    if change == "a file less":
        store.delete(keys[0])
    else:
        write_day(
            store, DAY, [record("m9", NOON, 70)], "equip-9-0.json" if change == "a file more" else Path(keys[0]).name
        )
    assert land.survey(store, store, sensors(), RUN, None).parts == [f"dt={DAY}"]
    before_it = store.objects[f"rul/landing/hours/dt={DAY}.parquet"].etag
    assert landed(store, sensors()).done
    assert store.objects[f"rul/landing/hours/dt={DAY}.parquet"].etag != before_it


def test_a_day_whose_files_are_all_gone_lands_with_nothing(store: MemoryStore) -> None:
    fleet(store, days=2)
    landed(store, sensors())
    for key in [key for key in store.objects if f"date={DAY}" in key]:
        store.delete(key)
    assert land.survey(store, store, sensors(), RUN, None).parts == [f"dt={DAY}"]
    assert landed(store, sensors()).done
    assert part.landed(store, sensors().keys, "hours")[f"dt={DAY}"].rows == 0


def test_of_two_that_land_at_once_the_one_that_is_overwritten_is_found(store: MemoryStore) -> None:
    fleet(store, days=1)
    landed(store, sensors())
    store.put(f"rul/landing/hours/dt={DAY}.parquet", b"of another who saw fewer files")
    assert land.survey(store, store, sensors(), RUN, None).parts == [f"dt={DAY}"]


def test_a_part_is_killed_between_its_rows_and_its_document_and_lands_again(store: MemoryStore) -> None:
    fleet(store, days=1)
    landed(store, sensors())
    store.delete(f"rul/landing/hours/dt={DAY}.json")
    assert land.survey(store, store, sensors(), RUN, None).parts == [f"dt={DAY}"]
    assert landed(store, sensors()).done


@pytest.mark.parametrize("name", ["2026-11-20", "dt=2026-02-30", "dt=2026-11-20/../x", ""])
def test_a_part_that_cannot_be_is_refused(store: MemoryStore, name: str) -> None:
    with pytest.raises(BadInput):
        land.land(store, store, sensors(), name)


def test_the_step_lands_a_part_without_a_lease_and_surveys_without_one(store: MemoryStore) -> None:
    store.put("energy/incoming/a.csv", csv_hours(NOW, [1.0] * 50))
    ports = SimpleNamespace(store=lambda: store, files=lambda pipeline: store)
    event = {"pipeline": "energy", "part": "energy/incoming/a.csv"}
    step = Step(meters(), event, lambda: 60.0, Clock(NOW))
    assert step.run(ports)["rows_changed"] == 50  # type: ignore[arg-type]
    again = Step(meters(), {"pipeline": "energy", "run_ts": RUN}, lambda: 60.0, Clock(NOW))
    assert again.run(ports) == {  # type: ignore[arg-type]
        "done": True, "rows_read": 0, "rows_changed": 0, "parts": [],
        "tables": {"readings": {"parts": 1, "rows": 50, "rejected": 0}},
    }  # fmt: skip


def test_a_run_looks_at_the_whole_days_before_its_own_where_the_site_is() -> None:
    midnight = "2026-11-20T15-00-00Z"
    assert [str(day) for day in before(midnight, "Asia/Seoul", 2).days()] == ["2026-11-19", "2026-11-20"]
    assert [str(day) for day in before("2026-11-20T14-59-59Z", "Asia/Seoul", 2).days()] == ["2026-11-18", "2026-11-19"]


@pytest.mark.parametrize(("month", "days"), [("2024-02", 29), ("2025-12", 31), ("2025-06", 30)])
def test_a_month_has_all_its_days(month: str, days: int) -> None:
    assert len(of_month(month).days()) == days


@pytest.mark.parametrize("month", ["2025-13", "2025", "june", "9999-12-01"])
def test_a_month_that_there_is_not_is_refused(month: str) -> None:
    with pytest.raises(BadInput, match="2025-06"):
        of_month(month)


def test_what_is_missing_is_told_with_its_numbers(store: MemoryStore) -> None:
    fleet(store, days=2, machines=2)
    pipeline = sensors(records=1000, days=7)
    landed(store, pipeline)
    answer = check_sufficiency(store, pipeline, RUN, None, scheduled=False)
    assert answer.status == "not_enough_data"
    assert "192 records (1,000 needed), 2 days (7 needed), 2 machines (1 needed), 1 sensors (1 needed)" in answer.reason


def test_a_scheduled_run_needs_something_new_and_a_manual_one_does_not(store: MemoryStore, tmp_path: Path) -> None:
    fleet(store)
    pipeline = sensors()
    landed(store, pipeline)
    prepared(store, pipeline, tmp_path)
    assert check_sufficiency(store, pipeline, RUN, None, scheduled=True).status == "sufficient"
    store.put(pipeline.keys.evaluation(RUN), encode({}))
    assert check_sufficiency(store, pipeline, RUN, None, scheduled=True).status == "no_new_rows"
    assert check_sufficiency(store, pipeline, RUN, None, scheduled=False).status == "sufficient"
    write_day(store, DAY, [record("m7", NOON, 70)], "equip-late.json")
    landed(store, pipeline)
    assert check_sufficiency(store, pipeline, RUN, None, scheduled=True).status == "sufficient"


def test_no_row_of_a_part_is_known_only_after_the_next_begins_and_no_life_is_in_two(
    store: MemoryStore, tmp_path: Path
) -> None:
    fleet(store, days=20)
    pipeline = sensors(20)
    landed(store, pipeline)
    manifest, file = prepared(store, pipeline, tmp_path)
    train, holdout = file("train"), file("holdout")
    part_of = np.array(train["part"].to_pylist())
    edge = instants(holdout, "base_ts").min()
    validation = instants(train, "base_ts")[part_of == "validation"].min()
    embargo = pipeline.data.embargo_minutes * 60_000_000
    assert (instants(train, "ts") <= edge - embargo).all()
    assert (instants(train, "ts")[part_of == "train"] <= validation - embargo).all()
    counts = manifest["counts"]
    assert sum(counts[each] for each in (*PARTS, "embargoed")) == counts["rows"] > 0
    assert (np.diff(instants(holdout, "base_ts")) >= 0).all()
    # Every 50 hours a life ends: the hours left never grow within the holdout but where another begins.
    assert set(holdout["group"].to_pylist()) == {"z1/m0", "z1/m1", "z1/m2"}


def test_a_life_that_reaches_into_the_next_part_is_in_none_before_and_one_that_goes_on_may_be_in_two() -> None:
    hour = 3_600_000_000
    base = np.repeat(np.arange(100), 2) * hour
    lives = np.tile([0, -1], 100)
    lives[::2] = np.arange(100) // 35
    codes = parts_of(base, base + hour, lives, sensors().data)
    for life in range(3):
        assert len({code for code in codes[lives == life].tolist() if code >= 0}) <= 1
    assert set(codes[lives == -1].tolist()) == {0, 1, 2, -1}


@pytest.mark.parametrize("count", [0, 1])
def test_data_without_rows_for_each_part_is_a_result(store: MemoryStore, tmp_path: Path, count: int) -> None:
    fleet(store, days=1 + count, machines=1, faults=bool(count))
    landed(store, sensors())
    with pytest.raises(AssertionError, match="300 are needed"):
        prepared(store, sensors(), tmp_path)


def test_a_sample_is_the_same_rows_for_the_same_run_and_others_for_another(store: MemoryStore, tmp_path: Path) -> None:
    fleet(store, days=12)
    pipeline = sensors(12)
    pipeline = replace(pipeline, data=replace(pipeline.data, min_rows=50))
    landed(store, pipeline)
    seen = []
    for number, run in enumerate([RUN, RUN, "2026-11-21T05-00-00Z"]):
        store.delete(pipeline.keys.manifest(run))
        manifest, file = prepared(store, pipeline, tmp_path / str(number), run, sample=400)
        assert sum(manifest["counts"][part] for part in PARTS) == 400
        assert manifest["sample"] == 400
        seen.append(instants(file("train"), "base_ts").tolist())
    assert seen[0] == seen[1] != seen[2]


def test_rows_are_those_of_the_month_that_was_asked_for(store: MemoryStore, tmp_path: Path) -> None:
    fleet(store, days=32)
    pipeline = sensors(3)
    landed(store, pipeline, month="2026-10")
    manifest, _ = prepared(store, pipeline, tmp_path, month="2026-10")
    assert manifest["intervals"]["train"]["start"] < "2026-10-28"
    assert manifest["intervals"]["holdout"]["end"] <= "2026-11-01"
    assert manifest["month"] == "2026-10"


def test_a_seed_marks_what_it_made(store: MemoryStore, tmp_path: Path) -> None:
    fleet(store)
    store.put("EQUIPMENT/ratchet_seed.json", json.dumps({"synthetic": True, "source": "a test"}).encode())
    landed(store, sensors())
    manifest, _ = prepared(store, sensors(), tmp_path)
    assert (manifest["synthetic"], manifest["source"]) == (True, "a test")


def test_a_mark_that_says_nothing_leaves_it_unknown(store: MemoryStore, tmp_path: Path) -> None:
    fleet(store)
    store.put("EQUIPMENT/ratchet_seed.json", b"{}")
    landed(store, sensors())
    assert prepared(store, sensors(), tmp_path)[0]["synthetic"] is None


@pytest.mark.parametrize("body", [b"no JSON", b"[]", b'{"synthetic": "yes"}', b'{"colour": "blue"}'])
def test_a_mark_that_cannot_be_read_is_not_taken_for_real_data(store: MemoryStore, body: bytes) -> None:
    fleet(store, days=1)
    store.put("EQUIPMENT/ratchet_seed.json", body)
    with pytest.raises(ForeignDocument, match=r"ratchet_seed\.json"):
        landed(store, sensors())


def test_another_range_of_a_sensor_lands_its_days_anew(store: MemoryStore) -> None:
    fleet(store, days=2)
    pipeline = sensors()
    landed(store, pipeline)
    source = pipeline.source_as(SensorFiles)
    wider = {**source.sensors, "temperature": replace(source.sensors["temperature"], high=130)}
    changed = replace(pipeline, source=replace(source, sensors=wider))
    assert len(land.survey(store, store, changed, RUN, None).parts) == 2
    assert land.survey(store, store, pipeline, RUN, None).done
    other = replace(pipeline, source=replace(source, window_days=3))
    assert land.survey(store, store, other, RUN, None).done


def test_the_days_before_the_first_row_are_read_and_make_no_rows(store: MemoryStore, tmp_path: Path) -> None:
    fleet(store, days=30)
    pipeline = sensors(10)
    landed(store, pipeline)
    manifest, file = prepared(store, pipeline, tmp_path)
    assert manifest["intervals"]["train"]["start"] == "2026-11-10T16:00:00Z"
    running = matrix(file("train"))[:, manifest["about"]["inputs"].index("hours_running")]
    # A life that began before the first row is known from its beginning.
    assert running[0] > 0


def test_records_that_broke_the_contract_are_counted_and_too_many_fail_the_run(
    store: MemoryStore, tmp_path: Path
) -> None:
    fleet(store)
    write_day(store, DAY, [record("m1", NOON, 70, time="noon")] * 3, "equip-bad.json")
    landed(store, sensors())
    manifest, _ = prepared(store, sensors(), tmp_path / "few")
    assert manifest["counts"]["rejected"] == {"hours: time is no instant": 3}
    write_day(store, DAY, [record("m1", NOON, 70, time="noon")] * 900, "equip-bad.json")
    landed(store, sensors())
    store.delete(sensors().keys.manifest(RUN))
    with pytest.raises(TooManyBadRows, match="time is no instant 900"):
        prepared(store, sensors(), tmp_path / "many")


def test_a_document_that_is_not_ours_is_named(store: MemoryStore) -> None:
    fleet(store, days=1)
    store.put(f"rul/landing/hours/dt={DAY}.json", b'{"name": 1}')
    with pytest.raises(ForeignDocument, match=f"dt={DAY}.json"):
        part.landed(store, sensors().keys, "hours")


def test_rows_with_another_number_of_inputs_than_declared_are_refused(store: MemoryStore, tmp_path: Path) -> None:
    fleet(store)
    pipeline = sensors()
    narrower: Pipeline = replace(pipeline, data=replace(pipeline.data, features={"features": 271}))
    landed(store, narrower)
    with pytest.raises(ContractError, match=r"272 inputs; data\.features in pipeline\.yaml says 271"):
        prepared(store, narrower, tmp_path)


def test_rows_look_at_their_past_alone(store: MemoryStore, tmp_path: Path) -> None:
    """Whatever comes after a day is taken away: the rows of that day and before do not change."""
    fleet(store, days=12)
    pipeline = sensors(12)
    landed(store, pipeline)
    _, whole = prepared(store, pipeline, tmp_path / "whole")
    for key in [key for key in store.objects if "EQUIPMENT/date=2026-11-20" in key or "landing/" in key]:
        store.delete(key)
    source = pipeline.source_as(SensorFiles)
    cut = replace(pipeline, source=replace(source, window_days=11))
    run = "2026-11-20T04-00-00Z"
    landed(store, cut, run)
    _, shorter = prepared(store, cut, tmp_path / "cut", run)
    rows = {
        (at, group): row
        for name in ("train", "holdout")
        for at, group, row in zip(
            instants(whole(name), "base_ts").tolist(),
            whole(name)["group"].to_pylist(),
            matrix(whole(name)),
            strict=True,
        )
    }
    compared = 0
    for name in ("train", "holdout"):
        table = shorter(name)
        for at, group, row in zip(
            instants(table, "base_ts").tolist(), table["group"].to_pylist(), matrix(table), strict=True
        ):
            if (at, group) in rows:
                compared += 1
                np.testing.assert_array_equal(row, rows[at, group])
    assert compared > 200
