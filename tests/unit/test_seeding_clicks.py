"""`seed adclick`: a file like the real one, whose clicks follow the attributes as much as was asked for."""

import csv
import hashlib
import io
import json
from collections import defaultdict
from typing import Any

import pytest
from ratchet.catalog import load
from ratchet.files.kind import Content
from ratchet.sources import TabularFiles
from ratchet.tabular.kind import Source

from local.seeding.clicks import ClickReport, seed_clicks
from tests.fakes import NOW, MemoryStore
from tests.filed import COLUMNS

PIPELINE = load("adclick")


def seeded(**asked: Any) -> tuple[ClickReport, MemoryStore, list[dict[str, str]]]:
    store = MemoryStore()
    report = seed_clicks(store, PIPELINE, lambda: None, **{"signal": 2.0, "records": 4000, "users": 1500, **asked})
    return report, store, list(csv.DictReader(io.StringIO(file_of(store)[1].decode())))


def file_of(store: MemoryStore) -> tuple[str, bytes]:
    (key,) = (key for key in store.objects if key.endswith(".csv"))
    return key, store.objects[key].body


def landed(store: MemoryStore) -> Content:
    source = Source(PIPELINE)
    return source.read(store, list(store.list(file_of(store)[0])))


def test_the_file_is_one_that_ingest_would_have_put_there() -> None:
    report, store, rows = seeded()
    key, body = file_of(store)
    assert key == Source(PIPELINE).key_of(hashlib.sha256(body).hexdigest())
    assert body.decode().splitlines()[0] == COLUMNS
    content = landed(store)
    assert content.rejected == {}
    assert content.records + content.ignored["duplicate"] == report.rows == len(rows) == 4000
    assert (content.ignored["duplicate"], content.about["groups"]) == (report.repeated, report.users)
    assert report.clicks == sum(row["click"] == "1" for row in rows)


def test_it_has_holes_and_repeats_as_the_real_one_has() -> None:
    report, _, rows = seeded()
    assert 0.05 < report.repeated / report.rows < 0.2
    for name in (*PIPELINE.source_as(TabularFiles).numbers, *PIPELINE.source_as(TabularFiles).categories):
        assert 0.15 < sum(not row[name] for row in rows) / len(rows) < 0.5, name
    assert all(row["full_name"] == f"User{row['id']}" for row in rows)


def test_a_person_keeps_what_is_the_persons() -> None:
    _, _, rows = seeded()
    seen = defaultdict[tuple[str, str], set[str]](set)
    for row in rows:
        for name in COLUMNS.split(",")[:-1]:
            seen[row["id"], name] |= {row[name]} - {""}
    kept = {name: max(len(values) for (_, each), values in seen.items() if each == name) for _, name in seen}
    assert {name for name, most in kept.items() if most == 1} == {
        "id",
        "full_name",
        "age",
        "gender",
        "browsing_history",
    }


@pytest.mark.parametrize(("signal", "least", "most"), [(0, 0.5, 0.5), (0.5, 0.58, 0.64), (2, 0.79, 0.85)])
def test_the_signal_says_how_good_a_model_can_be(signal: float, least: float, most: float) -> None:
    report, _, _ = seeded(signal=signal)
    assert least <= report.best_auc <= most


def test_the_model_is_known_and_the_file_follows_it() -> None:
    _, _, rows = seeded()

    def share(**values: str) -> float:
        ours = [row["click"] == "1" for row in rows if all(row[name] == value for name, value in values.items())]
        return sum(ours) / len(ours)

    assert share(time_of_day="Morning") + 0.2 < share(time_of_day="Night")
    assert share(device_type="Desktop") + 0.2 < share(device_type="Tablet")


def test_it_is_marked_as_synthetic_before_its_file_lands() -> None:
    report, store, _ = seeded(seed=7)
    assert store.writes[0].rpartition("/")[2] == "ratchet_seed.json"
    marker = json.loads(store.objects["adclick/datasets/ratchet_seed.json"].body)
    assert marker == {"synthetic": True, "source": report.source}
    assert report.source == "simulated clicks (signal 2, seed 7)"


def test_the_same_seed_makes_the_same_file() -> None:
    first, again, other = (file_of(seeded(seed=seed)[1]) for seed in (1, 1, 2))
    assert first == again != other


def test_what_was_there_goes_once_the_file_is_made() -> None:
    store, cleared = MemoryStore(), list[int]()
    seed_clicks(store, PIPELINE, lambda: cleared.append(len(store.writes)), signal=1, records=100, users=10)
    assert cleared == [0]


def test_it_lands_as_of_when_it_was_put_there() -> None:
    _, store, _ = seeded(records=200)
    instants = set(landed(store).rows["event_time"].to_pylist())
    assert instants == {NOW}
