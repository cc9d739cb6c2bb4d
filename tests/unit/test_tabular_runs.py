"""Records in a run: known at its instant, each as it was told last, and split by people for good."""

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from ratchet.errors import SourceMismatch
from ratchet.extraction.sufficiency import check_sufficiency
from ratchet.instants import run_name
from ratchet.tables.split import PARTS
from ratchet.tabular import examples

from tests.fakes import NOW, MemoryStore
from tests.filed import RUN, clicks, impressions, instants, landed, matrix, people, prepared

ENOUGH = people(600)
FIRST, SECOND = "adclick/datasets/a.csv", "adclick/datasets/b.csv"


@pytest.fixture
def store() -> MemoryStore:
    made = MemoryStore()
    made.put(FIRST, impressions(*ENOUGH))
    return made


def test_what_came_after_a_runs_instant_is_not_in_it(store: MemoryStore, tmp_path: Path) -> None:
    pipeline, later = clicks(), NOW + timedelta(days=2)
    landed(store, pipeline)
    before, _ = prepared(store, pipeline, tmp_path / "before")
    store.now = later
    store.put(SECOND, impressions(*people(300, seed=1)))
    landed(store, pipeline)
    store.delete(pipeline.keys.manifest(RUN))
    again, _ = prepared(store, pipeline, tmp_path / "again")
    assert again["digests"] == before["digests"]
    after, _ = prepared(store, pipeline, tmp_path / "after", run_name(later))
    assert after["counts"]["rows"] > before["counts"]["rows"] + 250
    assert after["intervals"]["holdout"] == {"start": "2026-11-20T00:00:00Z", "end": "2026-11-22T00:00:00Z"}


def test_more_records_than_a_run_holds_are_refused_with_the_remedy(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(SECOND, impressions(*people(600, seed=1)))
    pipeline = clicks()
    landed(store, pipeline)
    # One file's records fit, those of two do not.
    monkeypatch.setattr(examples, "MOST_BYTES", 100_000)
    with pytest.raises(SourceMismatch, match=r"100,000 bytes of rows.*remove old files from adclick/datasets/"):
        prepared(store, pipeline, tmp_path)
    store.delete(SECOND)
    landed(store, pipeline)
    prepared(store, pipeline, tmp_path)


def test_a_record_that_is_told_again_counts_once_with_the_label_of_the_latest(
    store: MemoryStore, tmp_path: Path
) -> None:
    pipeline = clicks()
    landed(store, pipeline)
    first, _ = prepared(store, pipeline, tmp_path / "first")
    store.now = NOW + timedelta(hours=1)
    # In a file whose name comes first: what counts is when it came.
    store.put("adclick/datasets/0.csv", impressions(*(f"{line[:-1]}1" for line in ENOUGH)))
    landed(store, pipeline)
    store.delete(pipeline.keys.manifest(RUN))
    again, file = prepared(store, pipeline, tmp_path / "again")
    assert again["counts"]["rows"] == first["counts"]["rows"]
    assert again["counts"]["left_out"]["told again later"] == first["counts"]["rows"]
    assert first["targets"]["click"]["mean"] < again["targets"]["click"]["mean"] == 1
    assert set(instants(file("holdout"), "base_ts").tolist()) == {int(store.now.timestamp()) * 1_000_000}


def test_a_person_stays_in_its_part_however_much_data_comes(store: MemoryStore, tmp_path: Path) -> None:
    pipeline, parts = clicks(), list[dict[str, str]]()
    for number, body in enumerate([b"", impressions(*people(900, seed=2))]):
        if body:
            store.put(SECOND, body)
        landed(store, pipeline)
        store.delete(pipeline.keys.manifest(RUN))
        _, file = prepared(store, pipeline, tmp_path / str(number))
        train, holdout = file("train"), file("holdout")
        found = dict.fromkeys(holdout["group"].to_pylist(), "holdout")
        told = set(zip(train["group"].to_pylist(), train["part"].to_pylist(), strict=True))
        assert len(told) == len({name for name, _ in told} - set(found))
        parts.append({**dict(told), **found})
    assert parts[0].items() <= parts[1].items()
    assert len(parts[1]) > len(parts[0])


def test_the_manifest_says_what_serving_and_judging_must_know(store: MemoryStore, tmp_path: Path) -> None:
    pipeline = clicks()
    landed(store, pipeline)
    manifest, file = prepared(store, pipeline, tmp_path)
    about = manifest["about"]
    assert about["split"] == {"salt": pipeline.data.salt, "shares": pipeline.data.split}
    order = ["age", "gender", "device_type", "ad_position", "browsing_history", "time_of_day"]
    assert about["fields"] == order
    # Stored with its keys in order, it must still make the same inputs.
    features = pipeline.module("features")
    assert features.inputs(about["numbers"], about["categories"]) == about["inputs"]
    assert matrix(file("train")).shape[1] == len(about["inputs"]) == manifest["feature_dim"]
    assert not any(name.startswith(("id", "full_name", "group")) for name in about["inputs"])
    assert manifest["counts"]["embargoed"] == 0
    assert sum(manifest["counts"][part] for part in PARTS) == manifest["counts"]["rows"]


def test_a_sample_is_taken_after_the_split(store: MemoryStore, tmp_path: Path) -> None:
    pipeline = clicks()
    landed(store, pipeline)
    _, whole = prepared(store, pipeline, tmp_path / "whole")
    store.delete(pipeline.keys.manifest(RUN))
    manifest, some = prepared(store, pipeline, tmp_path / "some", sample=100)
    assert sum(manifest["counts"][part] for part in PARTS) == 100
    assert set(some("holdout")["group"].to_pylist()) <= set(whole("holdout")["group"].to_pylist())


def test_groups_are_counted_over_all_files_and_each_once(store: MemoryStore) -> None:
    pipeline = clicks()
    few = replace(pipeline.source, minimum=replace(pipeline.source.minimum, records=10, groups=5))  # type: ignore[union-attr]
    pipeline = replace(pipeline, source=few)
    store.delete(FIRST)
    for key, age in ((FIRST, 30), (SECOND, 40)):
        store.put(key, impressions(*(f"{person},Ann,{age},,,,,,1" for person in range(3)), "9,Ann,,,,,,,old"))
    landed(store, pipeline)
    answer = check_sufficiency(store, pipeline, RUN, None, scheduled=False)
    assert (answer.status, answer.reason) == (
        "not_enough_data",
        "There are 6 records (10 needed) of 3 groups (5 needed) in 2 files below adclick/datasets/; 2 rows were "
        "rejected.",
    )
    store.put("adclick/datasets/c.csv", impressions(*(f"{person},Ann,,,,,,,1" for person in range(10, 13))))
    landed(store, pipeline)
    answer = check_sufficiency(store, pipeline, RUN, None, scheduled=False)
    assert "9 records (10 needed) of 6 or more groups (5 needed)" in answer.reason
    store.put("adclick/datasets/d.csv", impressions("10,Ann,50,,,,,,1"))
    landed(store, pipeline)
    assert check_sufficiency(store, pipeline, RUN, None, scheduled=False).status == "sufficient"


def test_a_file_that_is_gone_lands_with_nothing(store: MemoryStore) -> None:
    landed(store, clicks())
    store.delete(FIRST)
    assert landed(store, clicks()).tables["records"] == {"parts": 1, "rows": 0, "rejected": 0}
    answer = check_sufficiency(store, clicks(), RUN, None, scheduled=False)
    assert "0 records (3 needed) of 0 groups (2 needed) in 0 files" in answer.reason


def test_no_name_of_a_person_is_in_anything_that_a_run_leaves(store: MemoryStore, tmp_path: Path) -> None:
    store.put(SECOND, impressions(*(f"{n},Planted Person,{n},,,,,,{n % 2}" for n in range(60)), "1,Planted Person,x"))
    landed(store, clicks())
    prepared(store, clicks(), tmp_path)
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    objects = [each.body for key, each in store.objects.items() if not key.startswith("adclick/datasets/")]
    assert len(files) >= 2
    assert len(objects) > 6
    assert not [each for each in (*files, *objects) if b"Planted" in each or b"full_name" in each]


def test_the_part_of_a_person_is_that_of_a_salted_hash(store: MemoryStore, tmp_path: Path) -> None:
    """By its definition: with another one, new models could not be compared with old ones."""
    pipeline = clicks()
    landed(store, pipeline)
    _, file = prepared(store, pipeline, tmp_path)
    for name in file("holdout")["group"].to_pylist():
        digest = hashlib.sha256(f"{pipeline.data.salt}{name}".encode()).hexdigest()
        assert int(digest, 16) / 16**64 >= 0.8
    assert len(set(file("holdout")["group"].to_pylist())) == pytest.approx(0.2 * len(named(ENOUGH)), rel=0.3)


def named(lines: list[str]) -> set[str]:
    return {line.partition(",")[0] for line in lines}


def test_a_seeds_mark_goes_along(store: MemoryStore, tmp_path: Path) -> None:
    store.put("adclick/datasets/ratchet_seed.json", json.dumps({"synthetic": True, "source": "a test"}).encode())
    landed(store, clicks())
    manifest, file = prepared(store, clicks(), tmp_path)
    assert (manifest["synthetic"], manifest["source"]) == (True, "a test")
    assert np.isin(file("holdout")["click"].to_numpy(), [0, 1]).all()
