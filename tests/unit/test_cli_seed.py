"""`ratchet seed`: options of the pipeline alone, nothing deleted too early, everything replaced, one document."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ratchet import catalog, lease
from ratchet.instants import utc_now

from cli.app import main
from tests.fakes import Executions, MemoryStore
from tests.unit.test_cli_commands import FakeTarget


class Bucket:
    """An S3 client's deletions on a store whose objects have one version each."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store

    def get_paginator(self, _: str) -> "Bucket":
        return self

    def paginate(self, Bucket: str, Prefix: str) -> list[dict[str, Any]]:
        return [{"Versions": [{"Key": each.key, "VersionId": "1"} for each in self.store.list(Prefix)]}]

    def delete_objects(self, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:
        for each in Delete["Objects"]:
            self.store.delete(each["Key"])
        return {}


class States:
    """Executions of which all run, or none."""

    def __init__(self, running: bool) -> None:
        self.running = running

    def describe_execution(self, **_: Any) -> dict[str, Any]:
        return {"status": "RUNNING" if self.running else "SUCCEEDED"}


def seed(store: MemoryStore, *arguments: str, running: bool = False, answer: str | None = None) -> Result:
    target = FakeTarget(store, s3=Bucket(store), stepfunctions=States(running), sagemaker=object())
    return CliRunner().invoke(main, ["seed", *arguments], obj=target, input=answer)


CLICKS = ("adclick", "--signal", "1", "--records", "200", "--users", "50")
SMALL = ("rul", "--machines", "1", "--days", "1", "--every-minutes", "60")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bars.csv").touch()
    (tmp_path / "train_FD001.txt").write_text("1 1\n")
    (tmp_path / "power.csv").write_text("time,load\n")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["rul", "--rows", "5"], "--rows is an option of returns, not of rul"),
        (["rul", "--from-bars", "{}/bars.csv"], "--from-bars is an option of returns, not of rul"),
        (["rul", "--no-shift"], "--no-shift is an option of returns, energy, not of rul"),
        (["rul", "--from-csv", "{}/power.csv"], "--from-csv is an option of energy, not of rul"),
        (["returns", "--days", "5"], "--days is an option of rul, energy, not of returns"),
        (["energy", "--machines", "5"], "--machines is an option of rul, not of energy"),
        (["energy", "--from-cmapss", "{}"], "--from-cmapss is an option of rul, not of energy"),
        (["energy", "--every-minutes", "5"], "--every-minutes is an option of rul, not of energy"),
        (
            ["rul", "--from-cmapss", "{}", "--days", "5"],
            "--days is for simulated data and does not go with",
        ),
        (["energy", "--from-csv", "{}/power.csv", "--days", "5"], "does not go with --from-csv"),
        (["energy", "--no-shift"], "go with --from-csv"),
        (["adclick"], "adclick takes --signal"),
        (["adclick", "--signal", "-1"], "--signal"),
        (["adclick", "--signal", "1", "--days", "5"], "--days is an option of rul, energy, not of adclick"),
        (["rul", "--signal", "1"], "--signal is an option of adclick, not of rul"),
        (["energy", "--users", "50"], "--users is an option of adclick, not of energy"),
        (["returns", "--records", "500"], "--records is an option of adclick, not of returns"),
        (["rul", "--machines", "0"], "--machines"),
        (["rul", "--every-minutes", "61"], "--every-minutes"),
        (["vision"], "'vision' is not one of"),
        (["rul", "--target", "aws", "--stack", "x"], "about the laptop target"),
    ],
)
def test_what_does_not_belong_together_exits_with_2_and_says_so(arguments: list[str], told: str, folder: Path) -> None:
    result = seed(MemoryStore(), *(each.format(folder) for each in arguments), "--yes")
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())


def occupied(pipeline: str) -> MemoryStore:
    """A store with something below each prefix that a seed replaces, and beside them."""
    store, loaded = MemoryStore(), catalog.load(pipeline)
    roots = [root for root in loaded.keys.roots() if root != loaded.keys.lease()]
    for prefix in (*roots, loaded.source.prefix, f"other-{loaded.source.prefix}"):  # type: ignore[union-attr]
        store.put(f"{prefix}old", b"")
    return store


@pytest.mark.parametrize("arguments", [SMALL, ("energy", "--days", "1"), CLICKS], ids=["rul", "energy", "adclick"])
def test_a_seed_replaces_what_the_pipeline_has_and_nothing_else(arguments: tuple[str, ...]) -> None:
    store, prefix = occupied(arguments[0]), catalog.load(arguments[0]).source.prefix  # type: ignore[union-attr]
    assert seed(store, *arguments, "--yes").exit_code == 0
    left = [key for key in store.objects if not key.startswith(prefix)]
    assert left == [f"other-{prefix}old"]
    assert f"{prefix}ratchet_seed.json" in store.objects
    assert f"{prefix}old" not in store.objects


@pytest.mark.parametrize("arguments", [SMALL, ("energy", "--days", "1"), CLICKS], ids=["rul", "energy", "adclick"])
def test_without_consent_nothing_changes(arguments: tuple[str, ...]) -> None:
    store = occupied(arguments[0])
    before = dict(store.objects)
    result = seed(store, *arguments, answer="n\n")
    assert result.exit_code == 1
    told = f"Delete {len(before) - 1} objects of {arguments[0]} on the laptop target, its models included?"
    assert told in result.stderr
    assert store.objects == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["rul", "--from-cmapss", "{}"], "line 1 has 2 numbers, not 26"),
        (["energy", "--from-csv", "{}/power.csv"], "must have the columns"),
    ],
)
def test_a_file_that_cannot_be_used_costs_nothing(arguments: list[str], told: str, folder: Path) -> None:
    store = occupied(arguments[0])
    before = dict(store.objects)
    result = seed(store, *(each.format(folder) for each in arguments), "--yes")
    assert (result.exit_code, told in result.stderr) == (2, True)
    assert store.objects == before


@pytest.mark.parametrize(
    "arguments",
    [SMALL, ("energy", "--days", "1"), CLICKS, ("returns",)],
    ids=["rul", "energy", "adclick", "returns"],
)
def test_while_a_run_holds_the_lease_nothing_is_seeded(arguments: tuple[str, ...]) -> None:
    store, keys = MemoryStore(), catalog.load(arguments[0]).keys
    ttl = timedelta(hours=1)
    lease.take(store, keys, Executions(), utc_now, execution="arn:run", run_ts="r", ttl=ttl)
    result = seed(store, *arguments, "--yes", running=True)
    assert result.exit_code == 1
    assert "arn:run is running; wait for it or stop it" in result.stderr
    assert list(store.objects) == [keys.lease()]


def test_a_lease_that_an_ended_run_left_goes_too() -> None:
    store, keys = MemoryStore(), catalog.load("rul").keys
    lease.take(store, keys, Executions(), utc_now, execution="arn:run", run_ts="r", ttl=timedelta(hours=1))
    assert seed(store, *SMALL, "--yes").exit_code == 0
    assert keys.lease() not in store.objects


def test_json_tells_what_was_written() -> None:
    sensors = json.loads(seed(MemoryStore(), *SMALL, "--yes", "--json").stdout)
    assert (sensors["records"], sensors["machines"], sensors["synthetic"]) == (6 * 25, 1, True)
    assert {"files", "others", "first", "last", "source", "lives", "faults"} <= set(sensors)
    meter = json.loads(seed(MemoryStore(), "energy", "--days", "1", "--yes", "--json").stdout)
    assert (meter["readings"], meter["synthetic"], meter["weeks"]) == (96, True, 0)
    assert {"files", "first", "last", "source", "left_out", "passed_on"} <= set(meter)


def test_a_file_is_told_with_how_far_it_moved(tmp_path: Path) -> None:
    path = tmp_path / "power.csv"
    now = datetime.now(UTC).replace(microsecond=0)
    rows = [f"{now - timedelta(weeks=835, days=day):%Y-%m-%d %H:%M:%S},2" for day in range(-1, 20)]
    path.write_text("\n".join(["datetime,Global_active_power", *rows, ""]))
    result = seed(MemoryStore(), "energy", "--from-csv", str(path), "--yes")
    assert result.exit_code == 0
    assert "readings of power.csv" in result.stdout
    assert "835 weeks" in result.stdout


def test_clicks_are_told_with_the_best_that_a_model_can_reach() -> None:
    told = json.loads(seed(MemoryStore(), *CLICKS, "--yes", "--json").stdout)
    assert (told["rows"], told["users"] <= 50, told["synthetic"]) == (200, True, True)
    assert 0.6 < told["best_auc"] < 0.8
    shown = " ".join(seed(MemoryStore(), *CLICKS, "--yes").stdout.split())
    assert f"synthetic: {told['source']}" in shown
    assert f"{told['clicks']} {told['repeated']} {told['best_auc']:.3f}" in shown
