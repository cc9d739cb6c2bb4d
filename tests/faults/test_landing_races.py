"""Parts land without a lease: whoever lands the same one at once, dies or writes late, it is found and lands again.

The product's own code over the simulator's bucket, one request at a time in random order, while the file changes.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

import pytest
from ratchet.errors import RatchetError
from ratchet.files import land
from ratchet.files import part as parts
from ratchet.meters.kind import part_name

from tests import filed
from tests.fakes import MemoryStore
from tests.faults import figures
from tests.faults.simulator.bucket import BEFALLS, Bucket, Requests
from tests.faults.simulator.processes import Killed, Process

SEEDS, VERSIONS = 1000, 3
FILE, PIPELINE = "energy/incoming/readings.csv", filed.meters()
NAME = part_name(FILE)
KEYS = (
    PIPELINE.keys.part("readings", NAME),
    PIPELINE.keys.part_rejected("readings", NAME),
    PIPELINE.keys.part_document("readings", NAME),
)


def version(number: int) -> bytes:
    """The file in one of its versions: one reading and one line that is none more than in the one before."""
    sound = filed.csv_hours(filed.NOW, [60.0] * (number + 3))
    return sound + b"".join(b"noon %d,1\n" % line for line in range(number + 1))


@pytest.fixture(scope="module")
def expected() -> dict[str, bytes]:
    """What lies there of the last version when nobody disturbs."""
    store = MemoryStore()
    store.put(FILE, version(VERSIONS - 1))
    land.land(store, store, PIPELINE, FILE)
    return _held(store)


@pytest.fixture(scope="module")
def befell() -> Iterator[Counter[str]]:
    counted: Counter[str] = Counter()
    yield counted
    told = sorted(counted.items(), key=lambda row: -row[1])
    figures.add(f"Parts that land at once, {SEEDS:,} interleavings", ("what befell a request", "how often"), told)


class Race:
    """Who lands, what the file is, and what befalls requests, all from one seed."""

    def __init__(self, seed: int, befell: Counter[str]) -> None:
        self.chance, self.befell = Random(seed), befell
        self.bucket, self.version = Bucket(), 0
        self.processes: list[Process] = []
        self.write()

    def write(self) -> None:
        """Another version of the file."""
        by_hand = Process("by hand", lambda process: None)
        by_hand.ask = lambda operation, what: "go"  # type: ignore[method-assign]
        Requests(self.bucket, by_hand).put(FILE, version(self.version))

    def join(self, name: str) -> None:
        """Somebody lands the part."""

        def program(process: Process) -> None:
            store = Requests(self.bucket, process)
            land.land(store, store, PIPELINE, FILE)

        process = Process(name, program)
        process.resume()
        self.processes.append(process)

    def play(self) -> None:
        """Random turns until all have ended and the file is what it stays."""
        for number in range(3):
            self.join(f"lander {number}")
        rate = self.chance.choice((0.0, 0.05, 0.2))
        while self.processes or self.version < VERSIONS - 1 or self.bucket.late:
            self._turn(rate)

    def _turn(self, rate: float) -> None:
        self.bucket.step += 1
        if self.version < VERSIONS - 1 and self.chance.random() < (0.1 if self.processes else 1):
            self.version += 1
            self.write()
            # As the event about it does.
            self.join(f"for version {self.version}")
        elif self.bucket.late and self.chance.random() < (0.1 if self.processes else 1):
            self.bucket.land_late(self.chance.choice(self.bucket.late))
        elif self.processes:
            process = self.chance.choice(self.processes)
            process.resume(self._mishap(process) if self.chance.random() < rate else "go")
            if process.done:
                self.processes.remove(process)
                assert process.error is None or isinstance(process.error, RatchetError | Killed), process.error

    def _mishap(self, process: Process) -> str:
        operation = process.waiting[0]
        what = self.chance.choice([each for each, able in BEFALLS.items() if operation in able] or ["go"])
        self.befell[what] += 1
        return what


def left(seed: int, befell: Counter[str]) -> MemoryStore:
    """What lies there after the race of that seed."""
    race, store = Race(seed, befell), MemoryStore()
    race.play()
    store.objects = dict(race.bucket.objects)
    return store


def looks_landed(store: MemoryStore) -> bool:
    return land.survey(store, store, PIPELINE, filed.RUN, None).done


def broken(seeds: Iterable[int], expected: dict[str, bytes], befell: Counter[str]) -> Iterator[int]:
    """Seeds after which something looks landed that is not what the file says, at once or once it has landed again."""
    for seed in seeds:
        store = left(seed, befell)
        ends = [looks_landed(store) and _held(store) != expected]
        land.land(store, store, PIPELINE, FILE)
        ends.append(_held(store) != expected or not looks_landed(store))
        if any(ends):
            yield seed


def _held(store: MemoryStore) -> dict[str, bytes]:
    return {key: store.objects[key].body for key in KEYS}


def test_what_has_not_landed_as_it_should_is_named_and_lands(expected: dict[str, bytes], befell: Counter[str]) -> None:
    assert list(broken(range(SEEDS), expected, befell)) == []


def test_races_end_in_every_way(befell: Counter[str]) -> None:
    """What was put to the test: all that may befall a write, and ends that look landed and others."""
    ends = Counter(looks_landed(left(seed, befell)) for seed in range(200))
    assert min(ends[True], ends[False]) > 10
    assert {what for what, able in BEFALLS.items() if "put" in able} <= befell.keys()


def test_a_document_that_is_believed_whatever_lies_beside_it_is_found(
    expected: dict[str, bytes], befell: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def believed(store: Any, keys: Any, table: str, part: parts.Part | None, sources: str) -> bool:
        return part is not None and part.sources == sources

    monkeypatch.setattr(parts, "is_current", believed)
    assert next(broken(range(SEEDS), expected, befell), None) is not None
