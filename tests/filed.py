"""Small sources that are files, in memory, and what becomes of them in a run."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ratchet.catalog import Pipeline, load
from ratchet.files import land
from ratchet.instants import parse_instant, run_name
from ratchet.sources import MeterFiles, SensorFiles, TabularFiles
from ratchet.tables.material import Order
from ratchet.tables.prepare import prepare

from tests.fakes import Clock, MemoryStore
from tests.landed import EXECUTION, hold_lease

RUN = "2026-11-21T04-00-00Z"
NOW = parse_instant(RUN)
COLUMNS = "id,full_name,age,gender,device_type,ad_position,browsing_history,time_of_day,click"
"""Of the files of `adclick`."""


def sensors(window: int = 10, **minimum: int) -> Pipeline:
    """`rul`, looking at a few days and content with little."""
    pipeline = load("rul")
    source = pipeline.source_as(SensorFiles)
    least = {"records": 10, "days": 1, "machines": 1, "sensors": 1, **minimum}
    return replace(
        pipeline, source=replace(source, window_days=window, cap_hours=20, minimum=replace(source.minimum, **least))
    )


def meters(**changed: Any) -> Pipeline:
    """`energy`, content with a few days."""
    pipeline = load("energy")
    source = replace(pipeline.source_as(MeterFiles), minimum_days=2, **changed)
    return replace(pipeline, source=source, data=replace(pipeline.data, min_rows=20))


def clicks(**changed: Any) -> Pipeline:
    """`adclick`, content with a few records, and with other declarations where asked."""
    pipeline = load("adclick")
    source = pipeline.source_as(TabularFiles)
    source = replace(source, **{"minimum": replace(source.minimum, records=3, groups=2), **changed})
    return replace(pipeline, source=source, data=replace(pipeline.data, min_rows=20))


def impressions(*rows: str, header: str = COLUMNS) -> bytes:
    """A file of records, from lines such as `7,Ann,31,Female,Mobile,Top,News,Night,1`."""
    return "".join(f"{row}\n" for row in (header, *rows)).encode()


def people(count: int, seed: int = 0) -> list[str]:
    """Lines of so many impressions, most of them of one person each; who is older clicks more."""
    chance, source = np.random.default_rng(seed), load("adclick").source_as(TabularFiles)
    lines = []
    for number in range(count):
        age, person = int(chance.integers(18, 65)), int(chance.integers(count))
        told = ["" if chance.random() < 0.2 else str(chance.choice(each)) for each in source.categories.values()]
        years = "" if number % 9 == 0 else str(age)
        lines.append(",".join([str(person), f"Ann{person}", years, *told, str(int(chance.random() < age / 80))]))
    return lines


def record(machine: str, at: datetime, value: float, sensor: str = "temp", **changed: Any) -> dict[str, Any]:
    """As a machine writes it: times of Seoul without an offset."""
    local = at.astimezone(ZoneInfo("Asia/Seoul")).replace(tzinfo=None)
    told = {"zoneId": "z1", "equipId": machine, "sensorId": "s", "sensorType": sensor, "val": value}
    return {**told, "category": "EQUIPMENT", "time": local.isoformat(), **changed}


def write_day(store: MemoryStore, day: str, records: list[dict[str, Any]], name: str = "equip-1-0.json") -> str:
    """A file of records; its key."""
    key = f"EQUIPMENT/date={day}/zone_id=z1/equip_id=m1/{name}"
    store.put(key, "".join(json.dumps(each) + "\n" for each in records).encode())
    return key


def fleet(store: MemoryStore, days: int = 10, machines: int = 3, faults: bool = True) -> None:
    """Machines with two samples an hour until the run's day; each is too hot for three hours every 50 hours or so."""
    zone, chance = ZoneInfo("Asia/Seoul"), np.random.default_rng(0)
    end = NOW.astimezone(zone).replace(hour=0, minute=0)
    hours = [end - timedelta(hours=back) for back in range(days * 24, 0, -1)]
    for number in range(machines):
        by_day: dict[str, list[dict[str, Any]]] = {}
        for index, hour in enumerate(hours):
            age = (index + 17 * number) % 50
            hot = faults and age >= 47
            for minute in (10, 40):
                at, value = hour + timedelta(minutes=minute), 120.0 if hot else 70 + age / 5 + chance.normal()
                by_day.setdefault(f"{hour:%Y-%m-%d}", []).append(record(f"m{number}", at, value))
        for day, records in by_day.items():
            write_day(store, day, records, f"equip-{number}-0.json")


def csv_hours(start: datetime, values: list[float | None]) -> bytes:
    """An hourly file of UTC instants told by the clock of Paris; None is a missing value."""
    body = io.StringIO()
    writer = csv.writer(body, lineterminator="\n")
    writer.writerow(["datetime", "Global_active_power"])
    for index, value in enumerate(values):
        at = (start + timedelta(hours=index)).astimezone(ZoneInfo("Europe/Paris"))
        writer.writerow([f"{at:%Y-%m-%d %H:%M:%S}", "" if value is None else value])
    return body.getvalue().encode()


def landed(store: MemoryStore, pipeline: Pipeline, run: str = RUN, month: str | None = None) -> land.Extraction:
    """Everything that a run looks at, landed as the machine does it; what is found then."""
    for part in land.survey(store, store, pipeline, run, month).parts:
        land.land(store, store, pipeline, part)
    return land.survey(store, store, pipeline, run, month)


def prepared(
    store: MemoryStore, pipeline: Pipeline, folder: Path, run: str = RUN, **asked: Any
) -> tuple[dict[str, Any], Callable[[str], pa.Table]]:
    """The manifest of a prepared run, and its files by name; data that does not suffice fails."""
    hold_lease(store)
    store.put(pipeline.keys.lease(), store.objects["lease.json"].body)
    folder.mkdir(exist_ok=True)
    answer = prepare(store, pipeline, Order(run, EXECUTION, 3, **asked), Clock(datetime.now(UTC)), folder)
    assert answer["status"] == "prepared", answer["reason"]
    manifest: dict[str, Any] = json.loads(store.objects[pipeline.keys.manifest(run)].body)
    keys = {"train": pipeline.keys.train(run), "holdout": pipeline.keys.holdout(run)}
    return manifest, lambda name: pq.read_table(io.BytesIO(store.objects[keys[name]].body))


def matrix(table: pa.Table) -> np.ndarray:
    """The features, float32 [rows, inputs]."""
    flat = np.concatenate([chunk.flatten().to_numpy() for chunk in table["features"].chunks])
    return flat.reshape(table.num_rows, -1)


def instants(table: pa.Table, name: str) -> np.ndarray:
    """A column of instants as microseconds since the epoch."""
    return np.asarray(table[name].cast(pa.int64()).to_numpy())


def run_at(at: datetime) -> str:
    """The name of a run of that instant."""
    return run_name(at)
