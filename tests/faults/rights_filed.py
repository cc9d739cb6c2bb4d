"""Scenes of sources that are files: they land, are surveyed, prepared and forecast from; some of it cannot be read."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from ratchet.extraction.sufficiency import check_sufficiency
from ratchet.files import kind as kinds
from ratchet.files import part as parts
from ratchet.files import prepare
from ratchet.meters.forecast import Forecast
from ratchet.serving.champion import Follower
from ratchet.serving.request import Slots
from ratchet.serving.service import serve
from ratchet.store import encode
from ratchet.tables.material import Order
from ratchet.tables.prepare import prepare as prepared

from tests import bundles, filed
from tests.fakes import Clock
from tests.faults.rights_called import Noted
from tests.faults.rights_ports import Ports, handle
from tests.landed import EXECUTION, hold_lease

RUN, NOW = filed.RUN, filed.NOW
DAY, FILE, DATASET = "2026-11-20", "energy/incoming/a.csv", "adclick/datasets/a.csv"
Scene = Callable[[str, Ports, Noted], None]
SENSORS, METERS, RECORDS = filed.sensors(), filed.meters(), filed.clicks()


def _written(ports: Ports) -> None:
    """Ten days of sensors, thirty days of a meter until now, and people; of each something cannot be read."""
    filed.fleet(ports.memory)
    bad = filed.record("m1", NOW - timedelta(days=1), 70.0, time="noon")
    filed.write_day(ports.memory, DAY, [bad], "equip-bad.json")
    begun = NOW - timedelta(days=30)
    ports.memory.put(FILE, filed.csv_hours(begun, [60.0 + hour % 24 for hour in range(720)]) + b"noon,1\n")
    ports.memory.put(DATASET, filed.impressions(*filed.people(200), "7,Ann,old,Female,Mobile,Top,News,Night,1"))


def _landed(ports: Ports) -> None:
    _written(ports)
    for pipeline in (SENSORS, METERS, RECORDS):
        filed.landed(ports.memory, pipeline)


def _lands(step: str, ports: Ports, noted: Noted) -> None:
    """A run names what has not landed; a day and files land, and again do not."""
    _written(ports)
    for pipeline, part in (("rul", f"dt={DAY}"), ("energy", FILE), ("adclick", DATASET)):
        assert handle(step, noted, {"pipeline": pipeline, "run_ts": RUN, "month": None})["parts"]
        assert handle(step, noted, {"pipeline": pipeline, "part": part})["rows_changed"]
        assert not handle(step, noted, {"pipeline": pipeline, "part": part})["rows_changed"]
        assert handle(step, noted, {"pipeline": pipeline, "run_ts": RUN, "month": None})["tables"]


def _suffices(step: str, ports: Ports, noted: Noted) -> None:
    """There is enough of all, and nothing new."""
    _landed(ports)
    for pipeline in (SENSORS, METERS, RECORDS):
        given = (noted.store(), pipeline, RUN, None)
        assert check_sufficiency(*given, scheduled=True).status == "sufficient"
        ours = prepare.of_span(ports.memory, pipeline, kinds.of(pipeline).span(RUN, None))
        (table,) = {key.split("/")[2] for key in ports.memory.objects if key.startswith(f"{pipeline.prefix}landing/")}
        latest = {"run_ts": RUN, "landing": {table: parts.fingerprint(ours)}}
        ports.memory.put(pipeline.keys.train_latest(), encode(latest))
        ports.memory.put(pipeline.keys.evaluation(RUN), encode({}))
        assert check_sufficiency(*given, scheduled=True).status == "no_new_rows"
        event = {"pipeline": pipeline.name, "run_ts": RUN, "scheduled": True, "month": None}
        assert handle(step, noted, event)["status"] in {"not_enough_data", "no_new_rows"}


def _prepares(step: str, ports: Ports, noted: Noted) -> None:
    """All are prepared; what was set aside goes along."""
    _landed(ports)
    hold_lease(ports.memory)
    for pipeline in (SENSORS, METERS, RECORDS):
        ports.memory.put(pipeline.keys.lease(), ports.memory.objects["lease.json"].body)
        with TemporaryDirectory() as folder:
            answer = prepared(noted.store(), pipeline, Order(RUN, EXECUTION, 3), Clock(NOW), Path(folder))
        assert answer["status"] == "prepared", answer["reason"]
    assert METERS.keys.set_aside(RUN) in ports.memory.objects


def _forecasts(step: str, ports: Ports, noted: Noted) -> None:
    """From landed readings."""
    _landed(ports)
    told = {"inputs": Forecast(METERS, 60).inputs(), "step_minutes": 60}
    with TemporaryDirectory() as folder:
        bundles.promote(ports.memory, Path(folder), pipeline="energy", model=bundles.first_columns(32, 3))
    loaded = Follower(METERS).current(noted.reader())
    champion = replace(loaded, model=replace(loaded.model, about=told))
    assert serve(Slots("energy"), METERS, champion, noted, Clock(NOW))["scored"]


SCENES: list[tuple[str, Scene]] = [
    ("extract", _lands),
    ("check_sufficiency", _suffices),
    ("prepare", _prepares),
    ("score", _forecasts),
]
