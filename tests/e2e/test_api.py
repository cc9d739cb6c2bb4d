"""The HTTP API on a laptop target: `ratchet serve` over the built function, with the rights of its role."""

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode

import pytest
from ratchet.api.service import Service
from ratchet.catalog import load
from ratchet.instants import iso, parse_instant, utc_now

from tests.laptop_target import COMMAND, LaptopTarget, until
from tests.sensor_files import MIDDLE, SEOUL, lines

PIPELINE = load("rul")
MACHINES, DAYS, CLIENTS = 8, 22, 8


@dataclass(frozen=True)
class Api:
    """What `ratchet serve` serves."""

    laptop: LaptopTarget
    address: str

    def ask(self, request: str, body: Any = None, **query: str) -> tuple[int, dict[str, Any]]:
        """Status and document of an answer to a request such as `GET /health`."""
        method, _, path = request.partition(" ")
        connection = HTTPConnection(self.address.removeprefix("http://"), timeout=60)
        with contextlib.closing(connection):
            content = json.dumps(body) if body is not None else None
            headers = {"Content-Type": "application/json"} if content else {}
            connection.request(method, f"{path}?{urlencode(query)}" if query else path, content, headers)
            answer = connection.getresponse()
            document: dict[str, Any] = json.loads(answer.read())
            return answer.status, document

    def predict(self, zone: str, equipment: str) -> tuple[int, dict[str, Any]]:
        """The answer to a request for a prediction."""
        return self.ask("GET /api/v1/predict", zoneId=zone, equipId=equipment)


@pytest.fixture(scope="module")
def seeded(laptop: LaptopTarget) -> LaptopTarget:
    laptop.ratchet("seed", "rul", "--machines", str(MACHINES), "--days", str(DAYS), "--yes")
    return laptop


@pytest.fixture(scope="module")
def unpromoted(seeded: LaptopTarget) -> Iterator[Api]:
    """Before any model is in service."""
    with serving(seeded) as api:
        yield api


@pytest.fixture(scope="module")
def api(unpromoted: Api) -> Api:
    """With a champion; the same processes serve."""
    status, told = unpromoted.ask("GET /health")
    assert (status, told["error"]) == (503, "NoChampion")
    ran = unpromoted.laptop.ratchet("run", "rul")
    assert ran["outcome"] == "promoted", ran
    return unpromoted


@contextlib.contextmanager
def serving(laptop: LaptopTarget) -> Iterator[Api]:
    """`ratchet serve` on a free port, until Ctrl-C."""
    command = [str(COMMAND), "serve", "--port", "0", "--json"]
    with subprocess.Popen(
        command, env=laptop.environment, cwd=laptop.home, stdout=subprocess.PIPE, text=True
    ) as served:
        assert served.stdout is not None
        told = [served.stdout.readline()]
        while told[-1].rstrip() != "}":
            assert told[-1], "it ended"
            told.append(served.stdout.readline())
        try:
            yield Api(laptop, json.loads("".join(told))["address"])
        finally:
            served.send_signal(signal.SIGINT)
        assert served.wait(10) == 0


def machines(laptop: LaptopTarget) -> list[tuple[str, str]]:
    """Zones and machines that have files."""
    found = {tuple(listed.key.split("/")[2:4]) for listed in laptop.store.list("EQUIPMENT/date=")}
    return sorted((zone.removeprefix("zone_id="), machine.removeprefix("equip_id=")) for zone, machine in found)


def write(laptop: LaptopTarget, machine: str, begin: datetime) -> None:
    """An hour of a machine of ours, in which humidity says nothing."""
    records = [
        {
            **{"zoneId": "zone-x", "equipId": machine, "sensorType": name, "val": value, "category": "EQUIPMENT"},
            "time": (begin + timedelta(minutes=minute)).astimezone(SEOUL).replace(tzinfo=None).isoformat(),
        }
        for minute in (5, 35)
        for name, value in MIDDLE.items()
        if name != "humid"
    ]
    day = begin.astimezone(SEOUL).date()
    key = f"EQUIPMENT/date={day}/zone_id=zone-x/equip_id={machine}/equip-{begin:%H}-0.json"
    laptop.store.put(key, lines(records))


def this_hour() -> datetime:
    return utc_now().replace(minute=0, second=0, microsecond=0)


def test_every_machine_is_predicted_as_the_champion_does_on_training_rows(api: Api) -> None:
    """The function's number is that of the same code here, over the same objects."""
    store = api.laptop.store
    here = Service(PIPELINE)
    champion = here.follower.current(store)
    for zone, equipment in machines(api.laptop):
        status, told = api.predict(zone, equipment)
        assert (status, told["status"], told["unit"]) == (200, "ok", "hours"), told
        assert told["model_run_ts"] == champion.pointer.run_ts
        until_ = parse_instant(told["data_window"]["end"])
        ours = here.predict(champion, store, store, (zone, equipment), until_, lambda: False)
        assert told["predictions"] == [ours.value]
        assert told["data_window"]["hours"] == ours.row.hours
        assert told["missing_sensors"] == []


def test_a_machines_first_files_are_enough_and_count_at_once(api: Api) -> None:
    begin = this_hour() - timedelta(hours=3)
    assert api.predict("zone-x", "new")[1]["error"] == "UnknownMachine"
    for number in (1, 2):
        write(api.laptop, "new", begin + timedelta(hours=number - 1))
        status, told = api.predict("zone-x", "new")
        assert (status, told["data_window"]["hours"]) == (200, number)
        assert told["data_window"]["start"] == iso(begin)
        assert told["missing_sensors"] == ["humidity"]


def test_errors_have_one_shape_and_a_status_each(api: Api) -> None:
    write(api.laptop, "silent", this_hour() - timedelta(hours=9))
    write(api.laptop, "young", this_hour())
    asked = {
        ("GET /api/v1/predict?zoneId=zone-x", 422, "InvalidRequest"),
        ("GET /api/v1/predict?zoneId=zone-x&equipId=..%2Fx", 400, "MalformedIdentifier"),
        ("GET /api/v1/predict?zoneId=zone-x&equipId=nobody", 404, "UnknownMachine"),
        ("GET /api/v1/predict?zoneId=zone-x&equipId=silent", 424, "StaleInput"),
        ("GET /api/v1/predict?zoneId=zone-x&equipId=young", 424, "StaleInput"),
        ("GET /api/v1/runs/nobody", 404, "UnknownRun"),
        ("GET /api/v2/predict", 404, "UnknownRoute"),
        ("DELETE /api/v1/retrain", 405, "MethodNotAllowed"),
    }
    for request, status, error in asked:
        found, told = api.ask(request)
        assert (found, told["status"], told["error"]) == (status, "error", error), request
        assert set(told) == {"status", "error", "message"}
    assert api.ask("POST /api/v1/retrain", {"month": "June"})[0] == 422


def test_many_clients_are_answered_side_by_side(api: Api) -> None:
    zone, equipment = machines(api.laptop)[0]
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda _: api.predict(zone, equipment), range(5 * CLIENTS)))
    assert {status for status, _ in answers} == {200}
    assert len({json.dumps(told) for _, told in answers}) <= 2, "one or, at the turn of an hour, two answers"


def test_health_and_the_description_are_served(api: Api) -> None:
    status, told = api.ask("GET /health")
    assert (status, told["status"], told["pipeline"], told["fault"]) == (200, "ok", "rul", None)
    status, document = api.ask("GET /api/v1/openapi.json")
    assert (status, document["info"]["title"]) == (200, "Ratchet: rul")


def test_a_run_is_started_refused_a_second_time_and_followed_to_its_end(api: Api) -> None:
    status, started = api.ask("POST /api/v1/retrain", {"sample": 4000})
    assert (status, started["status"]) == (202, "accepted")
    name = started["name"]
    assert api.ask(f"GET /api/v1/runs/{name}")[1]["state"] == "running"

    def holds_the_lease() -> bool:
        held = api.laptop.document(PIPELINE.keys.lease())
        return held["state"] == "held" and held["execution"].endswith(f":{name}")

    until(holds_the_lease)
    status, told = api.ask("POST /api/v1/retrain")
    assert (status, told["error"]) == (409, "AlreadyRunning")
    assert name in told["message"]

    def ended() -> dict[str, Any] | None:
        told = api.ask(f"GET /api/v1/runs/{name}")[1]
        return told if told["state"] != "running" else None

    told = until(ended, seconds=600)
    assert (told["state"], told["run"]) == ("succeeded", started["run"])
    assert told["outcome"] in {"promoted", "kept_champion"}
    assert told["reason"]
    assert told["card_uri"].endswith("card.html")
