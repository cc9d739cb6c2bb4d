"""Files of sensors and meters as a broken device, a cut transfer or a stranger would leave them."""

import json
from random import Random
from typing import Any

from ratchet.errors import SourceMismatch
from ratchet.meters.layout import Layout as MeterLayout
from ratchet.meters.readings import Aside
from ratchet.meters.steps import Steps
from ratchet.sensors.hours import Hours
from ratchet.sensors.layout import Layout
from ratchet.sensors.samples import read
from ratchet.sources import Sensor

from tests.faults.hostile import changes
from tests.faults.hostile.target import Target, name_of
from tests.meter_files import readings_in

LAYOUT = Layout({"temperature": Sensor(("temp", "temperature"), 41, 101)}, "EQUIPMENT", "Asia/Seoul")
RECORD = {"zoneId": "z", "equipId": "e", "sensorType": "temp", "val": 71.5, "category": "EQUIPMENT", "faulty": 0}
METER = MeterLayout(";", ("Date", "Time"), "%d/%m/%Y %H:%M:%S", "Power", ("?",), "Europe/Paris")
PIECES = [
    b"\n",
    b"\r",
    b"\r\n",
    b'"',
    b";",
    b",",
    b"null",
    b"{}",
    b"[]",
    b"{",
    b"}",
    b":",
    b"\xef\xbb\xbf",
    b"?",
    b"e9",
]


def sensor_file(rng: Random) -> bytes:
    """Up to five records, one or two of them changed."""
    count = rng.randrange(6)
    records: Any = [{**RECORD, "time": f"2025-05-07T12:0{minute}:00.25"} for minute in range(count)]
    for _ in range(rng.choice((0, 1, 2)) if records else 0):
        at = rng.randrange(count)
        records[at] = changes.of_json(rng, records[at])
    body = b"\n".join(changes.dumps(record) for record in records) + b"\n\n"
    return _changed(rng, body)


def check_sensors(body: bytes) -> str:
    """Reads it and sums it up."""
    hours = Hours(LAYOUT)
    hours.add(read(body, LAYOUT))
    table = hours.table()
    assert table.num_rows <= hours.samples
    json.dumps([*hours.rejected, *hours.ignored])
    return "samples" if hours.samples else "rejected" if hours.rejected else "nothing"


def meter_file(rng: Random) -> bytes:
    """Up to five readings."""
    lines = [f"16/12/2006;17:2{minute}:00;{rng.choice(('4.216', '?', ''))};9" for minute in range(rng.randrange(6))]
    return _changed(rng, "\n".join(["Date;Time;Power;Voltage", *lines, ""]).encode())


def check_meter(body: bytes) -> str:
    """Reads it and sums it up."""
    aside, steps = Aside(), Steps(1440)
    try:
        for block in readings_in(body, METER, aside):
            steps.add(block)
    except SourceMismatch as error:
        return name_of(error)
    json.dumps(aside.lines).encode()
    return "readings set aside" if aside.counts else "readings" if len(steps.series()[0]) else "nothing"


def _changed(rng: Random, body: bytes) -> bytes:
    for _ in range(rng.choice((0, 0, 1, 1, 2, 4))):
        at = rng.randrange(len(body) + 1)
        piece = rng.choice(PIECES)
        body = (
            changes.of_bytes(rng, body) if rng.random() < 0.5 else body[:at] + piece + body[at + rng.choice((0, 1)) :]
        )
    return body


SENSORS = Target(sensor_file, check_sensors)
METERS = Target(meter_file, check_meter)
