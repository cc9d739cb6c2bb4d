"""Engines of C-MAPSS as machines: each life in the days that a run looks at, some still running, bad files refused."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from ratchet import catalog
from ratchet.errors import BadConfiguration, BadInput
from ratchet.sensors import samples
from ratchet.sensors.hours import Hours
from ratchet.sensors.machines import Machine, layout_of, machines
from ratchet.sources import SensorFiles

from local.seeding.turbofan import read, seed_engines
from tests.fakes import MemoryStore

RUL = catalog.load("rul")
SOURCE = RUL.source_as(SensorFiles)
NOW = datetime(2026, 11, 21, 4, 7, 33, tzinfo=UTC)
WINDOW = (datetime(2026, 10, 30, 15, tzinfo=UTC), datetime(2026, 11, 20, 15, tzinfo=UTC))
"""21 days before today in Seoul."""
LIVES = (40, 90, 30, 362, 200, 66)


def nothing() -> None:
    """There was nothing before."""


def written(folder: Path, name: str = "train_FD001.txt", lives: tuple[int, ...] = LIVES) -> Path:
    values = " ".join(f"{20 + number}.5" for number in range(3 + 20))
    rows = [
        f"{unit} {cycle} {values} {1000 * unit + cycle}  "
        for unit, cycles in enumerate(lives, 1)
        for cycle in range(1, cycles + 1)
    ]
    (folder / name).write_text("\n".join(rows) + "\n")
    return folder


def seeded(folder: Path, seed: int = 42) -> list[Machine]:
    store = MemoryStore()
    seed_engines(store, RUL, nothing, read(folder), seed=seed, clock=lambda: NOW)
    found = Hours(layout_of(SOURCE, RUL.time_zone))
    for listed in store.list("EQUIPMENT/date="):
        found.add(samples.read(store.objects[listed.key].body, found.layout))
    assert not found.ignored
    assert not found.rejected
    return machines(found, SOURCE)


def hour(at: datetime) -> int:
    return int(at.timestamp()) // 3600


@pytest.mark.parametrize("seed", range(4))
def test_each_life_lies_within_the_days_and_ends_with_its_failure(tmp_path: Path, seed: int) -> None:
    written(written(tmp_path), "test_FD001.txt", (20, 30))
    failed = [machine for machine in seeded(tmp_path, seed) if "test" not in machine.equipment]
    assert [len(machine.hours) for machine in failed] == list(LIVES)
    for machine in failed:
        assert hour(WINDOW[0]) <= machine.hours[0]
        assert machine.hours[-1] < hour(WINDOW[1])
        assert (np.diff(machine.hours) == 1).all()
        assert np.flatnonzero(machine.faulty).tolist() == [len(machine.hours) - 1]


def test_values_are_those_of_the_file_cycle_by_cycle(tmp_path: Path) -> None:
    first = seeded(written(written(tmp_path), "test_FD001.txt", (20,)))[0]
    at = list(SOURCE.sensors).index("sensor_21")
    assert (first.zone, first.equipment) == ("FD001", "FD001-001")
    assert first.values[:, at].tolist() == [1000.0 + cycle for cycle in range(1, 41)]
    assert first.values[0, list(SOURCE.sensors).index("sensor_1")] == 23.5


def test_failures_are_spread_over_the_days(tmp_path: Path) -> None:
    written(written(tmp_path, lives=(60,) * 40), "test_FD001.txt", (20,))
    ends = sorted(m.hours[-1] - hour(WINDOW[0]) for m in seeded(tmp_path) if "test" not in m.equipment)
    assert (ends[0], ends[-1]) == (59, 503)
    assert max(np.diff(ends)) <= 12


def test_engines_of_the_second_file_run_until_the_current_hour(tmp_path: Path) -> None:
    written(written(tmp_path), "test_FD001.txt", (31,) * 30)
    running = [machine for machine in seeded(tmp_path) if "test" in machine.equipment]
    assert len(running) == 10
    for machine in running:
        assert machine.hours[-1] == hour(NOW)
        assert not machine.faulty.any()
        assert len(machine.hours) == 31


def test_without_a_second_file_some_are_cut_before_they_fail(tmp_path: Path) -> None:
    found = seeded(written(tmp_path, lives=(100,) * 40))
    running = [machine for machine in found if machine.hours[-1] == hour(NOW)]
    assert len(running) == 10
    assert all(40 <= len(machine.hours) <= 80 and not machine.faulty.any() for machine in running)
    assert sum(int(machine.faulty.sum()) for machine in found) == 30


def test_the_place_of_a_life_depends_on_the_seed_alone(tmp_path: Path) -> None:
    written(tmp_path)
    first, again, other = ([m.hours[0] for m in seeded(tmp_path, seed)] for seed in (1, 1, 2))
    assert first == again != other


def test_the_data_is_marked_as_real(tmp_path: Path) -> None:
    store = MemoryStore()
    report = seed_engines(store, RUL, nothing, read(written(tmp_path)), clock=lambda: NOW)
    assert store.writes[-1] == "EQUIPMENT/ratchet_seed.json"
    assert b'"NASA C-MAPSS FD001"' in store.objects[store.writes[-1]].body
    assert (report.synthetic, report.machines, report.faults) == (False, 6, 3)
    assert report.last == NOW.replace(minute=0, second=0)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("1 2 3", "line 2 has 3 numbers, not 26"),
        ("1 2 " + "1 " * 23 + "x", "line 2: could not convert"),
        ("1 3 " + "1 " * 24, "line 2 does not follow"),
        ("3 1 " + "1 " * 24, "line 2 does not follow"),
        ("1 2 " + "nan " * 24, "line 2 does not follow"),
    ],
)
@pytest.mark.parametrize("name", ["train_FD001.txt", "test_FD001.txt"])
def test_a_bad_line_is_named_with_its_fault(tmp_path: Path, line: str, told: str, name: str) -> None:
    written(tmp_path)
    (tmp_path / name).write_text(f"1 1 {'1 ' * 24}\n{line}\n")
    with pytest.raises(BadInput, match=f"{name}, {told}"):
        read(tmp_path)


def test_a_missing_or_empty_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="name the folder"):
        read(tmp_path)
    (tmp_path / "train_FD001.txt").touch()
    with pytest.raises(BadInput, match="is empty; unpack it again"):
        read(tmp_path)


def test_what_cannot_be_placed_deletes_nothing(tmp_path: Path) -> None:
    long = read(written(tmp_path, lives=(21 * 24 + 1, 5)))
    with pytest.raises(BadInput, match="runs for 505 cycles, which 21 days do not hold"):
        seed_engines(MemoryStore(), RUL, lambda: pytest.fail("deleted"), replace(long, unfinished=long.failed[1:]))
    silent = replace(RUL, source=replace(SOURCE, failures=[]))
    with pytest.raises(BadConfiguration, match=r"source\.failures"):
        seed_engines(MemoryStore(), silent, lambda: pytest.fail("deleted"), long)


def test_engines_lie_in_files_by_the_day_of_the_site(tmp_path: Path) -> None:
    store = MemoryStore()
    seed_engines(store, RUL, nothing, read(written(tmp_path, lives=(48,))), clock=lambda: NOW)
    days = {listed.key.split("/")[1] for listed in store.list("EQUIPMENT/date=")}
    first = (WINDOW[0] + timedelta(hours=9)).date()
    assert days == {f"date={first + timedelta(days=number)}" for number in range(2)}
