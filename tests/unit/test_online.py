"""A machine's row: training's to the last bit, whether its days have landed or not; and what is refused."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ratchet.catalog import load
from ratchet.errors import ForeignDocument, StaleInput, Unavailable
from ratchet.files.kind import Examples
from ratchet.files.recent import Recent
from ratchet.files.span import Span
from ratchet.sensors.history import History
from ratchet.sensors.kind import Source
from ratchet.sensors.online import Row, row
from ratchet.store import Listed, Stored

from tests.fakes import MemoryStore
from tests.sensor_files import HOT, SEOUL, START, Machine, land_days, lines

DAYS = 5
WORN = Machine("zone-1", "press", hot=[40, 41, 42, 90, 91], failed=[70, 119], away=[20, 21, 55], seed=1)
QUIET = Machine("zone-1", "fan", failed=[118], away=range(30, 36), seed=2, silent={"humid": range(24, 120)})
BARE = Machine("zone-2", "press", failed=[119], sensors=("temp", "vibration"), seed=3)
FLEET = (WORN, QUIET, BARE)
SOURCE = Source(load("rul"))
KEYS = SOURCE.pipeline.keys
HISTORY = 30
"""Hours that FORGETFUL looks back at most: lives are longer."""
FORGETFUL = Source(
    replace(
        SOURCE.pipeline,
        source=replace(SOURCE.declared, windows=replace(SOURCE.declared.windows, history=HISTORY)),
    )
)


class CountingStore(MemoryStore):
    """Notes what is read, and can lose an object between the listing and the reading."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []
        self.listed: list[str] = []
        self.lost = ""

    def list(self, prefix: str) -> Iterator[Listed]:
        self.listed.append(prefix)
        return super().list(prefix)

    def get(self, key: str) -> Stored | None:
        self.read.append(key)
        return None if key == self.lost else super().get(key)


@pytest.fixture(scope="module")
def written() -> dict[str, Stored]:
    """Five days of files, all of which have landed."""
    made = MemoryStore()
    for machine in FLEET:
        machine.write(made, range(24 * DAYS))
    land_days(made, SOURCE, 0, DAYS)
    return made.objects


@pytest.fixture
def store(written: dict[str, Stored]) -> CountingStore:
    """The same before the last day landed."""
    made = CountingStore()
    made.objects = dict(written)
    made.delete(document(DAYS - 1))
    return made


def document(number: int) -> str:
    """What says that a day, counted from START, has landed."""
    return KEYS.part_document("hours", f"dt={(START + timedelta(days=number)).astimezone(SEOUL).date()}")


def at(hour: int, minute: int = 5) -> datetime:
    return START + timedelta(hours=hour, minutes=minute)


def ask(
    store: MemoryStore, machine: Machine, now: datetime, history: History | None = None, source: Source = SOURCE
) -> Row:
    rows = (history or History(source)).read(store, store, machine.name, now, lambda: False)
    assert rows is not None
    return row(source, rows, "/".join(machine.name), now)


def learned(written: dict[str, Stored], source: Source) -> Examples:
    """Training's rows of these days."""
    parts = (pa.BufferReader(each.body) for key, each in sorted(written.items()) if key.endswith(".parquet"))
    return source.examples(map(pq.read_table, parts), Span(), START + timedelta(days=DAYS))


@pytest.fixture(scope="module")
def trained(written: dict[str, Stored]) -> Examples:
    return learned(written, SOURCE)


@pytest.mark.parametrize("landed", [0, DAYS - 1, DAYS])
def test_a_row_is_that_of_training_to_the_last_bit(
    written: dict[str, Stored], store: CountingStore, trained: Examples, landed: int
) -> None:
    store.objects = dict(written)
    for number in range(landed, DAYS):
        store.delete(document(number))
    history, compared = History(SOURCE), 0
    for index in range(0, len(trained.base_ts), 4):
        hour = int((trained.base_ts[index] // 1_000_000 - START.timestamp()) // 3600)
        machine = next(each for each in FLEET if "/".join(each.name) == trained.groups[index])
        ours = ask(store, machine, at(hour), history)
        assert ours.features.dtype == np.float32
        assert ours.features.tobytes() == trained.features[index : index + 1].tobytes(), (machine, hour)
        compared += 1
    assert compared > 50


def test_a_row_looks_back_as_far_as_training_did_however_much_more_there_is(written: dict[str, Stored]) -> None:
    store, history = CountingStore(), History(FORGETFUL)
    store.objects = dict(written)
    trained = learned(written, FORGETFUL)
    running = trained.features[:, SOURCE.inputs().index("hours_running")]
    assert running.max() == HISTORY - 1
    for index in range(0, len(trained.base_ts), 3):
        hour = int((trained.base_ts[index] // 1_000_000 - START.timestamp()) // 3600)
        machine = next(each for each in FLEET if "/".join(each.name) == trained.groups[index])
        ours = ask(store, machine, at(hour), history, FORGETFUL)
        assert ours.features.tobytes() == trained.features[index : index + 1].tobytes(), (machine, hour)


def test_the_rows_that_are_compared_are_of_all_kinds(trained: Examples) -> None:
    """Within a fault, early in a life, late in one, with sensors that say nothing."""
    running = trained.features[:, SOURCE.inputs().index("hours_running")]
    assert (trained.targets == 0).any()
    assert ((running == 0).any(), (running > 40).any()) == (True, True)
    assert set(trained.groups) == {"/".join(machine.name) for machine in FLEET}
    assert (np.isnan(trained.features).any(axis=0) & np.isfinite(trained.features).any(axis=0)).any()


def test_an_hour_counts_once_it_has_ended(store: CountingStore) -> None:
    before, within, after = (ask(store, BARE, at(100, minute)) for minute in (0, 59, 60))
    assert (before.end, within.end, after.end) == (at(100, 0), at(100, 0), at(101, 0))
    assert before.features.tobytes() == within.features.tobytes() != after.features.tobytes()


def test_the_window_is_that_of_the_present_life(store: CountingStore) -> None:
    found = ask(store, WORN, at(24 * DAYS))
    assert (found.start, found.end, found.hours) == (at(92, 0), at(24 * DAYS, 0), 24 * DAYS - 92)
    gap = ask(store, QUIET, at(40))
    assert (gap.start, gap.hours) == (START, 34)


def test_sensors_that_said_nothing_in_the_longest_window_are_told_apart(store: CountingStore) -> None:
    assert ask(store, BARE, at(100)).told == ["temperature", "vibration"]
    # Humidity fell silent at hour 24, and the window is of 20 hours.
    assert "humidity" in ask(store, QUIET, at(43)).told
    assert "humidity" not in ask(store, QUIET, at(44)).told
    assert np.isnan(ask(store, QUIET, at(44)).features[0, SOURCE.inputs().index("humidity_rollmean_20")])


def test_a_file_may_hold_other_machines_and_other_things(store: CountingStore) -> None:
    plain = ask(store, BARE, at(24 * DAYS)).features
    mixed = lines([*BARE.records(119), *WORN.records(119)]) + b"no JSON\n" + b'{"zoneId": "zone-2"}\n'
    store.put(BARE.key(119), mixed)
    store.put(BARE.key(118, 9), b"\xff\xfe")
    store.put(BARE.key(118, 9).removesuffix(".json") + ".txt", lines([BARE.record("temp", at(118), HOT)]))
    assert ask(store, BARE, at(24 * DAYS)).features.tobytes() == plain.tobytes()


def test_an_unknown_machine_is_no_history(store: CountingStore) -> None:
    def known(zone: str, equipment: str, now: datetime) -> bool:
        return History(SOURCE).read(store, store, (zone, equipment), now, lambda: False) is not None

    assert known("zone-2", "press", at(24 * DAYS))
    assert not known("zone-2", "fan", at(24 * DAYS))
    assert not known("zone-2", "pres", at(24 * DAYS))
    # What the span no longer reaches is forgotten.
    assert known("zone-2", "press", at(24 * (DAYS + 20)))
    assert not known("zone-2", "press", at(24 * (DAYS + 21)))


def test_a_machine_that_fell_silent_is_stale_with_its_age(store: CountingStore) -> None:
    bound = SOURCE.pipeline.serving.staleness_minutes
    newest = at(24 * DAYS, 0)
    assert ask(store, BARE, newest + timedelta(minutes=bound)).end == newest
    with pytest.raises(StaleInput, match=r"newest hour of zone-2/press ended at 2026-11-14T15:00:00Z, 7\.5 hours ago"):
        ask(store, BARE, newest + timedelta(hours=7.5))


@pytest.mark.parametrize("body", [lines(BARE.records(200)), b"{}", b""], ids=["this hour alone", "no record", "empty"])
def test_without_an_hour_that_has_ended_nothing_can_be_said(body: bytes) -> None:
    store = MemoryStore()
    store.put(BARE.key(200), body)
    with pytest.raises(StaleInput, match="No hour of zone-2/press has ended yet"):
        ask(store, BARE, at(200, 59))


def test_what_was_read_is_read_once(store: CountingStore) -> None:
    history = History(SOURCE)
    ask(store, BARE, at(110), history)
    first = list(store.read)
    assert len([key for key in first if key.endswith(".parquet")]) == 3
    assert len(first) == len(set(first))
    store.read.clear()
    ask(store, BARE, at(110), history)
    assert store.read == []
    Machine(*BARE.name, seed=9).write(store, [117])
    ask(store, BARE, at(110), history)
    assert store.read == [BARE.key(117)]
    ask(store, WORN, at(110), history)
    assert not [key for key in store.read if key.endswith(".parquet")], "the machines of a part share it"


def test_a_day_without_anything_is_looked_at_every_ten_minutes_and_the_newest_two_always(store: CountingStore) -> None:
    history, looked = History(SOURCE), list[int]()
    for minute in (0, 9, 10):
        store.listed.clear()
        ask(store, BARE, at(110, minute), history)
        looked.append(len([prefix for prefix in store.listed if prefix.startswith("EQUIPMENT/")]))
    # Of 21 days before this one three have landed and are older than the day before.
    assert looked == [22 - 3, 2, 22 - 3]
    Machine(*BARE.name, seed=9).write(store, [-48])
    assert ask(store, BARE, at(110, 11), history).start == START
    assert ask(store, BARE, at(110, 20), history).start == START - timedelta(hours=48)


def test_which_days_have_landed_is_asked_once_a_minute(written: dict[str, Stored], store: CountingStore) -> None:
    bare = CountingStore()
    bare.objects = {key: each for key, each in store.objects.items() if not key.startswith("EQUIPMENT")}
    history, now = History(SOURCE), at(24 * DAYS + 1, 0)
    for seconds in (0, 59):
        with pytest.raises(StaleInput, match=r"25\.0 hours ago"):
            ask(bare, BARE, now + timedelta(seconds=seconds), history)
        bare.objects |= {document(DAYS - 1): written[document(DAYS - 1)]}
    assert ask(bare, BARE, now + timedelta(seconds=60), history).end == at(24 * DAYS, 0)
    assert len([prefix for prefix in bare.listed if "landing" in prefix]) == 2


def test_the_day_before_is_read_from_its_files_although_it_has_landed(
    written: dict[str, Stored], store: CountingStore
) -> None:
    """Its last file comes after the run that lands it."""
    store.objects |= {document(DAYS - 1): written[document(DAYS - 1)]}
    before = ask(store, BARE, at(24 * DAYS + 1))
    late = Machine(*BARE.name, sensors=("pressure",))
    store.put(BARE.key(119, 7), lines(late.records(119)))
    assert "pressure" not in before.told
    assert "pressure" in ask(store, BARE, at(24 * DAYS + 1)).told
    for key in [key for key in store.objects if key.startswith("EQUIPMENT")]:
        store.delete(key)
    assert ask(store, BARE, at(24 * DAYS + 1)).features.tobytes() == before.features.tobytes()


def test_a_history_that_takes_too_long_goes_on_when_asked_again() -> None:
    store = CountingStore()
    BARE.write(store, range(24 * DAYS))
    history, patience = History(SOURCE), iter([False, False, True])
    with pytest.raises(Unavailable, match="ask again"):
        history.read(store, store, BARE.name, at(24 * DAYS), lambda: next(patience))
    assert len(store.read) == 32
    whole = ask(store, BARE, at(24 * DAYS), history)
    assert len(store.read) == len(set(store.read))
    assert whole.features.tobytes() == ask(store, BARE, at(24 * DAYS)).features.tobytes()


def test_a_process_that_can_keep_nothing_answers_the_same(store: CountingStore) -> None:
    kept = ask(store, WORN, at(110)).features
    poor = History(SOURCE, kept_bytes=0)
    assert [ask(store, WORN, at(110), poor).features.tobytes() for _ in range(2)] == [kept.tobytes()] * 2


@pytest.mark.parametrize("harm", ["bytes", "columns", "types"])
def test_a_part_that_is_none_of_ours_is_named(store: CountingStore, harm: str) -> None:
    key = next(key for key in store.objects if key.endswith(".parquet"))
    table, sink = pq.read_table(pa.BufferReader(store.objects[key].body)), pa.BufferOutputStream()
    changed = {
        "columns": table.drop_columns(["sensor_21_mean"]),
        "types": table.set_column(0, "zone_id", table["zone_id"].cast(pa.large_string())),
    }
    pq.write_table(changed.get(harm, table), sink)
    store.put(key, b"PAR1" if harm == "bytes" else sink.getvalue().to_pybytes())
    with pytest.raises(ForeignDocument, match=r"dt=2026-11-10\.parquet holds"):
        ask(store, BARE, at(110))


def test_a_part_that_goes_away_meanwhile_is_asked_for_again(store: CountingStore) -> None:
    store.lost = KEYS.part("hours", "dt=2026-11-10")
    with pytest.raises(Unavailable, match="went away"):
        ask(store, BARE, at(110))


def test_a_file_that_goes_away_meanwhile_is_none(store: CountingStore) -> None:
    store.lost = BARE.key(109)
    assert ask(store, BARE, at(110)).end == at(109, 0)


def test_what_was_asked_for_longest_ago_goes_first() -> None:
    recent = Recent(10)
    for key in "abc":
        recent.put(key, key.upper(), 4)
    assert [recent.get(key) for key in "abc"] == [None, "B", "C"]
    recent.get("b")
    recent.put("d", "D", 4)
    assert [recent.get(key) for key in "bcd"] == ["B", None, "D"]
    recent.put("b", "again", 6)
    assert [recent.get(key) for key in "bd"] == ["again", "D"]
    recent.put("e", "too heavy", 11)
    assert recent.get("e") is None
