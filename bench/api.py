"""The HTTP API under eight clients: `ratchet serve` over the built function, on a running laptop target.

`cold` are the first requests of new processes, one for each client at once; `warm` those of processes that have read
all machines. Needs a promoted champion of `rul`: `ratchet up`, `ratchet seed rul`, `ratchet run rul`.
`python -m bench.api`.
"""

import json
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlencode

from bench.__main__ import SKIPPED

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "api.json"
COMMAND = Path(sys.executable).with_name("ratchet")
CLIENTS, REQUESTS = 8, 50
"""Clients at once, and requests of each."""
TARGET_MS = 1000
"""Of p99 once the processes are warm: the API itself gives up after 30 seconds."""
Machine = tuple[str, str]


def main() -> bool:
    """Measures, prints the table and keeps it; whether p99 of the warm requests is within the target."""
    machines = _prepare()
    with _serving() as host, ThreadPoolExecutor(CLIENTS) as pool:
        found = {"cold": _together(pool, host, machines, 1)}
        # Every process has read every machine by now.
        _together(pool, host, machines, len(machines))
        started = time.perf_counter()
        found["warm"] = _together(pool, host, machines, REQUESTS)
        seconds = time.perf_counter() - started
    rows = {name: _summary(times) for name, times in found.items()}
    rows["warm"]["per_second"] = len(found["warm"]) / seconds
    RESULTS.parent.mkdir(exist_ok=True)
    told = {**rows, "clients": CLIENTS, "machines": len(machines), "target_ms": TARGET_MS}
    RESULTS.write_text(json.dumps(told, indent=2) + "\n")
    print(f"{'ms':8}{'p50':>8}{'p99':>8}{'most':>8}{'requests':>10}")
    for name, row in rows.items():
        print(f"{name:8}{row['p50_ms']:8.0f}{row['p99_ms']:8.0f}{row['most_ms']:8.0f}{row['requests']:10.0f}")
    print(f"{rows['warm']['per_second']:.0f} requests a second, {CLIENTS} clients, {len(machines)} machines")
    return rows["warm"]["p99_ms"] <= TARGET_MS


def _prepare() -> list[Machine]:
    """Has the function begin with new processes; the machines of the target's files. Skips where there is no model."""
    from ratchet import pointer
    from ratchet.catalog import load
    from ratchet.errors import RatchetError

    from cli.targets import laptop

    try:
        target, keys = laptop(), load("rul").keys
        if pointer.read(target.store, keys) is None:
            _skip("rul has no champion; run `ratchet seed rul` and `ratchet run rul`")
    except RatchetError as error:
        _skip(str(error))
    name, functions = target.output("ApiFunction"), target.client("lambda")
    told = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    renewed = {**told, "RENEWED": str(time.time_ns())}
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": renewed})
    found = {tuple(listed.key.split("/")[2:4]) for listed in target.store.list("EQUIPMENT/date=")}
    return sorted((zone.removeprefix("zone_id="), machine.removeprefix("equip_id=")) for zone, machine in found)


def _skip(reason: str) -> NoReturn:
    print(f"Skipped: {reason}")
    sys.exit(SKIPPED)


@contextmanager
def _serving() -> Iterator[str]:
    """The host and port of a `ratchet serve` of our own."""
    command = [str(COMMAND), "serve", "--port", "0", "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as served:
        assert served.stdout is not None
        told = ""
        while not told.endswith("}\n"):
            line = served.stdout.readline()
            assert line, "`ratchet serve` ended"
            told += line
        try:
            yield json.loads(told)["address"].removeprefix("http://")
        finally:
            served.send_signal(signal.SIGINT)


def _together(pool: ThreadPoolExecutor, host: str, machines: list[Machine], requests: int) -> list[float]:
    """Milliseconds of every request of all clients, who begin at different machines."""
    turns = [[machines[(client + turn) % len(machines)] for turn in range(requests)] for client in range(CLIENTS)]
    return [each for times in pool.map(lambda turn: _ask(host, turn), turns) for each in times]


def _ask(host: str, machines: list[Machine]) -> list[float]:
    """Milliseconds of one request per machine, on one connection."""
    connection, times = HTTPConnection(host, timeout=60), []
    for zone, machine in machines:
        started = time.perf_counter()
        connection.request("GET", f"/api/v1/predict?{urlencode({'zoneId': zone, 'equipId': machine})}")
        answer = connection.getresponse()
        body = answer.read()
        times.append((time.perf_counter() - started) * 1000)
        assert answer.status == 200, body
    connection.close()
    return times


def _summary(times: list[float]) -> dict[str, float]:
    p99 = statistics.quantiles(times, n=100, method="inclusive")[98] if len(times) > 1 else times[0]
    return {"p50_ms": statistics.median(times), "p99_ms": p99, "most_ms": max(times), "requests": len(times)}


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
