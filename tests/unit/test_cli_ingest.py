"""`ratchet ingest`: what cannot be used costs nothing, what can lands once, and the summary counts all of it."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ratchet import catalog, lease
from ratchet.files import land
from ratchet.instants import utc_now
from ratchet.store import encode

from cli.app import main
from tests.emulated import CHECKOUT
from tests.fakes import Executions, MemoryStore
from tests.filed import COLUMNS, impressions, people
from tests.unit.test_cli_commands import OUTPUTS, FakeTarget
from tests.unit.test_cli_seed import Bucket

ADCLICK = catalog.load("adclick")
PREFIX = "adclick/datasets/"
REAL = CHECKOUT.parent / "shared/data/adclick/ad_click_dataset.csv"
SOUND = [*people(60), "900,Ann,31,Male,,,,,1", "900,Ann,31,Male,,,,,1"]


class Machine:
    """The machine that lands a file, and writes it to a feature group that may be there; `ended` changes its end."""

    def __init__(self, store: MemoryStore, group: bool = False, **ended: Any) -> None:
        self.store, self.group, self.ended = store, group, ended
        self.started: list[dict[str, Any]] = []
        self.output: dict[str, Any] = {}

    def start_execution(self, **arguments: Any) -> dict[str, str]:
        self.started.append(arguments)
        if self.ended:
            return {"executionArn": "arn:execution"}
        asked = json.loads(arguments["input"])
        landed = land.land(self.store, self.store, ADCLICK, asked["key"]).tables["records"]
        written = landed["rows"] if self.group else 0
        if self.group:
            self.store.put(ADCLICK.keys.features(landed["part"]), encode({"written": written}))
        counts = {"rows": landed["rows"], "rejected": landed["rejected"], "written": written}
        self.output = {"pipeline": "adclick", "outcome": "ingested", "feature_group": "clicks", **counts}
        return {"executionArn": "arn:execution"}

    def describe_execution(self, **_: Any) -> dict[str, Any]:
        if "raises" in self.ended:
            raise self.ended["raises"]
        now = datetime(2026, 11, 21, tzinfo=UTC)
        told = {"startDate": now, "stopDate": now + timedelta(seconds=2), "status": "SUCCEEDED"}
        return {**told, "output": json.dumps(self.output), **self.ended}

    def get_paginator(self, _: str) -> "Machine":
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return []


Ingest = Callable[..., Result]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def ingest(store: MemoryStore, path: Path, *arguments: str, machine: Machine | None = None) -> Result:
    states = machine or Machine(store)
    target = FakeTarget(store, s3=Bucket(store), stepfunctions=states, sagemaker=object())
    target.__dict__["outputs"] = {**OUTPUTS, "IngestMachineArn": "arn:ingest"}
    return CliRunner().invoke(main, ["ingest", "adclick", "--csv", str(path), *arguments], obj=target)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "clicks.csv").write_bytes(impressions(*SOUND))
    return tmp_path / "clicks.csv"


def told(result: Result) -> str:
    return " ".join(result.stderr.split())


def test_a_file_is_put_where_its_content_says_and_lands(store: MemoryStore, file: Path) -> None:
    machine = Machine(store)
    result = ingest(store, file, "--json", machine=machine)
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert store.objects[document["key"]].body == file.read_bytes()
    (started,) = machine.started
    assert started["stateMachineArn"] == "arn:ingest"
    assert json.loads(started["input"]) == {"pipeline": "adclick", "key": document["key"]}
    assert (document["outcome"], document["changed"], document["duplicates"]) == ("ingested", True, 1)
    assert document["records"] == document["rows"] == 61
    assert "clicks.csv: 61 records of" in told(result)
    assert "1 exact duplicates left out" in told(result)


@pytest.mark.parametrize("group", [False, True], ids=["without a feature group", "with one"])
def test_the_same_file_again_changes_nothing(store: MemoryStore, file: Path, tmp_path: Path, group: bool) -> None:
    first = ingest(store, file, machine=Machine(store, group))
    assert "61 records ingested" in first.stdout
    assert ("61 in the feature group clicks" in " ".join(first.stdout.split())) is group
    objects = dict(store.objects)
    again = ingest(store, file.rename(tmp_path / "another name.csv"), machine=Machine(store, group))
    assert again.exit_code == 0
    assert "nothing changed" in again.stdout
    assert store.objects == objects


def test_what_an_earlier_attempt_left_undone_is_done(store: MemoryStore, file: Path) -> None:
    failed = ingest(store, file, machine=Machine(store, status="FAILED", error="Unavailable", cause="Later."))
    assert (failed.exit_code, "Unavailable: Later." in told(failed)) == (1, True)
    assert len([key for key in store.objects if key.startswith(PREFIX)]) == 1
    assert "61 records ingested" in ingest(store, file).stdout
    assert "61 records ingested" in ingest(store, file, machine=Machine(store, group=True)).stdout


def written(tmp_path: Path, body: bytes) -> Path:
    (tmp_path / "bad.csv").write_bytes(body)
    return tmp_path / "bad.csv"


OLD, STRANGE = [f"{n},Ann,old,,,,,,1" for n in range(9)], [f"{n},Ann,,Other,,,,,1" for n in range(9)]


@pytest.mark.parametrize(
    ("body", "remedy"),
    [
        (impressions(*SOUND, header=COLUMNS.replace("age", "years")), "does not name the column age"),
        (impressions(*SOUND, header=COLUMNS.replace("click", "label")), "does not name the column click"),
        (impressions(*(line.rpartition(",")[0] for line in SOUND), header=COLUMNS[:-6]), "column click"),
        (impressions(*SOUND, *OLD), "12.9% of the rows are no records of adclick, 5.0% may be"),
        (impressions(*SOUND, *STRANGE), "12.9% of the rows are no records of adclick"),
        (b"", "is empty"),
        (impressions(), "has no records"),
        (impressions(*SOUND).decode().encode("utf-16"), "save the file as CSV in UTF-8"),
        (impressions(*SOUND, "7,Zoë,,,,,,,1").decode().encode("latin-1"), "save it as CSV in UTF-8"),
        (b"\x00\x01\xfe" * 100, "UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_exits_with_2_says_why_and_costs_nothing(
    body: bytes, remedy: str, store: MemoryStore, tmp_path: Path
) -> None:
    machine = Machine(store)
    result = ingest(store, written(tmp_path, body), machine=machine)
    assert result.exit_code == 2, result.output
    assert remedy in told(result)
    assert (store.objects, machine.started) == ({}, [])


def test_reasons_are_counted_before_the_file_is_refused(store: MemoryStore, tmp_path: Path) -> None:
    result = ingest(store, written(tmp_path, impressions(*SOUND, *OLD, *STRANGE[:3])))
    assert "set aside: 9 rows, age is no number set aside: 3 rows, gender is none of its categories" in told(result)


def test_a_few_bad_rows_are_set_aside_and_told(store: MemoryStore, tmp_path: Path) -> None:
    result = ingest(store, written(tmp_path, impressions(*SOUND, OLD[0])), "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert (document["set_aside"], document["rejected"]) == ({"age is no number": 1}, 1)


def test_a_file_of_two_gigabytes_is_refused_before_it_is_read(store: MemoryStore, tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 2 << 30)
    result = ingest(store, path)
    assert result.exit_code == 2
    assert "large.csv has 2,147,483,648 bytes; source.max_bytes is 134,217,728: make several files" in told(result)
    # A hole in a file is zeros, which would have been found first.
    assert "Checking" not in told(result)


def seed_marks(store: MemoryStore, synthetic: bool = True) -> None:
    store.put(f"{PREFIX}ratchet_seed.json", encode({"synthetic": synthetic, "source": "a seed"}))
    store.put(f"{PREFIX}00.csv", impressions("1,Ann,,,,,,,1"))


def test_real_records_do_not_join_synthetic_ones(store: MemoryStore, file: Path) -> None:
    seed_marks(store)
    objects = dict(store.objects)
    result = ingest(store, file)
    assert result.exit_code == 1
    assert "is synthetic (a seed), and what is beside it counts as synthetic too: remove it with --replace" in told(
        result
    )
    assert store.objects == objects


def test_what_is_marked_as_real_is_joined(store: MemoryStore, file: Path) -> None:
    seed_marks(store, synthetic=False)
    assert ingest(store, file).exit_code == 0
    assert f"{PREFIX}00.csv" in store.objects


def test_replace_removes_the_datasets_and_their_marker_and_nothing_else(store: MemoryStore, file: Path) -> None:
    seed_marks(store)
    store.put("adclick/model/latest.json", b"{}")
    store.put("adclick/datasets-old/a.csv", b"")
    result = ingest(store, file, "--replace", "--json")
    assert result.exit_code == 0, result.stderr
    left = [key for key in store.objects if not key.startswith("adclick/landing/")]
    assert sorted(left) == sorted(
        ["adclick/datasets-old/a.csv", "adclick/model/latest.json", json.loads(result.stdout)["key"]]
    )


def test_the_marker_of_a_seed_is_the_last_to_go(store: MemoryStore, file: Path) -> None:
    """Whoever is interrupted leaves no synthetic rows that seem real."""
    seed_marks(store)
    store.put(f"{PREFIX}zz.csv", b"")
    order: list[str] = []
    delete, store.delete = store.delete, lambda key: (order.append(key), delete(key))[1]  # type: ignore[func-returns-value,method-assign]
    ingest(store, file, "--replace")
    assert order == [f"{PREFIX}00.csv", f"{PREFIX}zz.csv", f"{PREFIX}ratchet_seed.json"]


def test_a_bad_file_replaces_nothing(store: MemoryStore, tmp_path: Path) -> None:
    seed_marks(store)
    objects = dict(store.objects)
    assert ingest(store, written(tmp_path, impressions(*OLD)), "--replace").exit_code == 2
    assert store.objects == objects


def test_nothing_is_replaced_while_a_run_reads_it(store: MemoryStore, file: Path) -> None:
    ttl = timedelta(hours=1)
    lease.take(store, ADCLICK.keys, Executions(), utc_now, execution="arn:run", run_ts="r", ttl=ttl)
    result = ingest(store, file, "--replace", machine=Machine(store, status="RUNNING"))
    assert (result.exit_code, "arn:run is running" in told(result)) == (1, True)


def test_whoever_put_the_file_there_first_put_the_same(store: MemoryStore, file: Path) -> None:
    store.lose_answers = 1
    assert ingest(store, file).exit_code == 0
    other = MemoryStore()
    other.lose_requests = 1
    result = ingest(other, file)
    assert (result.exit_code, other.objects) == (1, {})


def test_ctrl_c_stops_following_and_says_how_to_stop_the_rest(store: MemoryStore, file: Path) -> None:
    result = ingest(store, file, machine=Machine(store, raises=KeyboardInterrupt()))
    assert result.exit_code == 130
    assert "it goes on landing. To stop it: aws stepfunctions stop-execution --execution-arn arn:execution" in told(
        result
    )


def test_other_sources_are_not_ingested(file: Path) -> None:
    result = CliRunner().invoke(main, ["ingest", "energy", "--csv", str(file)])
    assert result.exit_code == 2
    assert "The source of energy is of the kind meters" in result.stderr


def test_nobody_is_named_in_what_is_told_or_stored_elsewhere(store: MemoryStore, tmp_path: Path) -> None:
    lines = [*SOUND, "5,Planted Person,x,,,,,,1", "5,Planted Person", "6,Planted Person,,,,,,,1"]
    result = ingest(store, written(tmp_path, impressions(*lines)), "--json")
    assert result.exit_code == 0
    elsewhere = b"".join(each.body for key, each in store.objects.items() if not key.startswith(PREFIX))
    assert b"Planted" not in elsewhere
    assert "Planted" not in result.output


@pytest.mark.skipif(not REAL.exists(), reason="the real file of clicks is not here")
def test_the_real_file_is_ingested_whole(store: MemoryStore) -> None:
    result = ingest(store, REAL)
    assert result.exit_code == 0
    assert "7,147 records of 4,000 groups, 3,647 of them positive; 2,853 exact duplicates left out" in told(result)
    assert "7,147 records ingested" in result.stdout
