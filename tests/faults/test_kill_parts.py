"""Landing a part of files, and preparing files, may die before and after each of their writes: nothing differs.

The product's own handlers in AWS's runtime with `rul` and `energy`, content with little, and the emulator's S3. No
lease keeps two apart who land the same part, so what a dead one left must look like what has not landed.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import filed
from tests.emulated import Environments
from tests.fakes import MemoryStore
from tests.faults import figures
from tests.faults.bed import Bed, contents, made_up
from tests.faults.mortal import Death
from tests.faults.test_kill_anywhere import differences, total
from tests.landed import EXECUTION, hold_lease

RUN, DAY, FILE = filed.RUN, "2026-11-20", "energy/incoming/readings.csv"
PIPELINES = {"rul": filed.sensors(), "energy": filed.meters()}
PARTS = {"rul": f"dt={DAY}", "energy": FILE}
LANDING, PREPARING = {"rul": 2, "energy": 3}, {"rul": 5, "energy": 6}
"""How often the steps write to S3: a part, of meters the lines set aside, and its document; a run's data as of tables,
of meters besides what was set aside."""
Objects = dict[str, tuple[bytes, dict[str, str]]]


@dataclass(frozen=True)
class Step:
    """A step on a file source: what it is called with, what it begins with, how often it writes."""

    name: str
    event: dict[str, Any]
    before: Objects
    writes: int


@pytest.fixture(scope="module")
def bed(environments: Environments, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    folder = tmp_path_factory.mktemp("bed")
    with made_up(environments, folder) as bed:
        small = pipelines(bed.product / "layers/common/pipelines", folder / "filed")
        for step, name in (("extract", "land"), ("prepare", "prepare_files")):
            bed.function(step, name, small)
        yield bed


def pipelines(ours: Path, folder: Path) -> Path:
    """The product's pipelines in a folder, content with as little as those in this process."""
    shutil.copytree(ours, folder / "pipelines")
    for name, pipeline in PIPELINES.items():
        path = folder / "pipelines" / name / "pipeline.yaml"
        told = yaml.safe_load(path.read_text())
        changed = {"window_days", "cap_hours", "minimum", "minimum_days"} & told["source"].keys()
        told["source"] |= {field: _plain(getattr(pipeline.source, field)) for field in changed}
        told["data"]["min_rows"] = pipeline.data.min_rows
        path.write_text(yaml.safe_dump(told))
    return folder


def _plain(value: Any) -> Any:
    return value if isinstance(value, int) else vars(value)


@pytest.fixture(scope="module")
def deaths() -> Iterator[Counter[str]]:
    counted: Counter[str] = Counter()
    yield counted
    title = "File sources: killed, called again, compared object by object"
    figures.add(title, ("what", "deaths"), [*counted.items(), total(counted)])


def written() -> MemoryStore:
    """Files of ten days of machines, and of a month of a meter; of each something cannot be read."""
    store = MemoryStore()
    filed.fleet(store)
    bad = filed.record("m1", filed.NOW - timedelta(days=1), 70.0, time="noon")
    filed.write_day(store, DAY, [bad], "equip-bad.json")
    begun = filed.NOW - timedelta(days=30)
    store.put(FILE, filed.csv_hours(begun, [60.0 + hour % 24 for hour in range(720)]) + b"noon,1\n")
    return store


def objects(store: MemoryStore) -> Objects:
    return {key: (stored.body, store.tags.get(key, {})) for key, stored in store.objects.items()}


def first_time(pipeline: str) -> Step:
    """Nothing has landed."""
    return Step("land", {"pipeline": pipeline, "part": PARTS[pipeline]}, objects(written()), LANDING[pipeline])


def anew(pipeline: str) -> Step:
    """All has landed, and then a file came, or changed."""
    store = written()
    filed.landed(store, PIPELINES[pipeline])
    filed.write_day(store, DAY, [filed.record("m9", filed.NOW - timedelta(days=1), 70.0)], "equip-late.json")
    store.put(FILE, store.objects[FILE].body + b"later,2\n")
    return Step("land", {"pipeline": pipeline, "part": PARTS[pipeline]}, objects(store), LANDING[pipeline])


def prepared(pipeline: str) -> Step:
    """All has landed, and a run holds the lease."""
    store = written()
    filed.landed(store, PIPELINES[pipeline])
    hold_lease(store)
    store.put(f"{pipeline}/lease.json", store.objects["lease.json"].body)
    event = {"pipeline": pipeline, "run_ts": RUN, "execution": EXECUTION, "token": 3, "limit": 0}
    event |= {"skip_data_prep": False, "month": None, "sample": 0}
    return Step("prepare_files", event, objects(store), PREPARING[pipeline])


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize("make", [first_time, anew, prepared])
def test_a_step_that_dies_at_any_write_is_called_again_and_nothing_differs(
    make: Callable[[str], Step], pipeline: str, bed: Bed, deaths: Counter[str]
) -> None:
    step = make(pipeline)
    story = bed.story(step.before)
    answer = invoked(bed, step.name, step.event)
    undisturbed = contents(story)
    assert bed.commander.writes[step.name] == step.writes
    for number in range(1, step.writes + 1):
        for when in ("before", "after"):
            story = bed.story(step.before)
            bed.commander.deaths[step.name] = Death(number, when)
            assert bed.invoke(step.name, step.event)[0] == "Runtime.ExitError"
            if step.name == "land":
                whole = (number, when) == (step.writes, "after")
                assert pending(bed, pipeline) != whole, f"died {when} write {number}"
            again = invoked(bed, step.name, step.event)
            assert again["status"] == answer["status"] if "status" in answer else again["done"]
            assert differences(contents(story), undisturbed) == [], f"died {when} write {number}"
    deaths[f"{make.__name__.replace('_', ' ')}: {pipeline}"] += 2 * step.writes


def invoked(bed: Bed, step: str, event: dict[str, Any]) -> dict[str, Any]:
    error, told = bed.invoke(step, event)
    assert error is None, told
    found: dict[str, Any] = told
    return found


def pending(bed: Bed, pipeline: str) -> bool:
    """Whether a run would land the part."""
    found = invoked(bed, "land", {"pipeline": pipeline, "run_ts": RUN, "month": None})
    names = {PARTS["rul"], *(part for part in found["parts"] if part.startswith("file="))}
    return bool(names & set(found["parts"]))
