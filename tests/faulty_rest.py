"""Servers on loopback that answer as their script says, fault by fault: the serving, and a PostgREST in memory."""

import json
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qs, urlsplit

DRIP_SECONDS = 0.05


@dataclass(frozen=True)
class Fault:
    """What is wrong with one answer; with a `status` it is not the true one at all.

    `cut` promises the body and sends half of it, `late` waits so many seconds first, `drips` never comes to an end,
    `reset` drops the connection instead, `before` happens before the request is seen to, `cap` is a page limit of the
    server's own, `changed` changes the true body.
    """

    status: int | None = None
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    late: float = 0.0
    drips: bool = False
    reset: bool = False
    before: Callable[[], object] | None = None
    cap: int | None = None
    changed: Callable[[bytes], bytes] | None = None

    def answer(self, status: int, body: bytes) -> tuple[int, bytes]:
        """What is sent for the true answer."""
        if self.status is not None:
            text = self.body if isinstance(self.body, str) else json.dumps(self.body)
            return self.status, text.encode()
        return status, self.changed(body) if self.changed else body


class Server(Protocol):
    """What answers behind the faults; `url` is set once it is served."""

    url: str

    def fault(self, path: str) -> Fault:
        """What is wrong with the next answer, which is to a request of that path."""

    def answer(self, path: str, headers: Mapping[str, str], cap: int | None) -> tuple[int, bytes]:
        """Status and body of the true answer, of at most `cap` rows."""


Served = TypeVar("Served", bound=Server)


@contextmanager
def serve(server: Served) -> Iterator[Served]:
    """Serves until the block ends; `server.url` is where."""
    stopped = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body go separately; otherwise each body waits 40 ms for the head's acknowledgement.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            fault = server.fault(self.path)
            if fault.before:
                fault.before()
            if fault.reset:
                self.reset()
                return
            status, body = fault.answer(*server.answer(self.path, self.headers, fault.cap))
            stopped.wait(fault.late)
            # Whoever asked may have given up.
            with suppress(OSError):
                self.send(status, body, fault)

        def send(self, status: int, body: bytes, fault: Fault) -> None:
            self.send_response(status)
            for name, value in {"content-type": "application/json", **fault.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(10**9 if fault.drips else len(body)))
            self.end_headers()
            while fault.drips and not stopped.wait(DRIP_SECONDS):
                self.wfile.write(b" ")
            self.wfile.write(body[: len(body) // 2] if fault.cut else body)
            self.close_connection = fault.cut or fault.drips

        def reset(self) -> None:
            self.connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            return None

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        stopped.set()
        http.shutdown()
        thread.join()
        http.server_close()


@dataclass
class Rest:
    """A PostgREST in memory: its tables, script and memory of requests; `cap` is its own page limit."""

    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    script: list[Fault] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    cap: int = 1000
    url: str = ""

    def fault(self, path: str) -> Fault:
        return self.script.pop(0) if self.script else Fault()

    def answer(self, path: str, headers: Mapping[str, str], cap: int | None) -> tuple[int, bytes]:
        query = {name: "|".join(values) for name, values in parse_qs(urlsplit(path).query).items()}
        self.requests.append(query)
        self.keys.append(headers.get("apikey", ""))
        return self._rows(table_of(path), query, min(self.cap, cap or self.cap))

    def _rows(self, name: str, query: dict[str, str], cap: int) -> tuple[int, bytes]:
        if name not in self.tables:
            return 404, json.dumps(
                {"code": "PGRST205", "message": f"Could not find the table 'public.{name}'"}
            ).encode()
        columns = query.get("select", "*").split(",")
        for column in columns:
            if self.tables[name] and column not in self.tables[name][0]:
                return 400, json.dumps({"code": "42703", "message": f"column {column} does not exist"}).encode()
        order, _, direction = query.get("order", columns[0]).partition(".")
        rows = sorted(self.tables[name], key=lambda row: str(row[order]), reverse=direction == "desc")
        for condition in query.get(order, "").split("|"):
            operator, _, bound = condition.partition(".")
            instant = bound.replace("Z", "+00:00")
            rows = [row for row in rows if _holds(operator, str(row[order]), instant)]
        rows = rows[: min(int(query.get("limit", 10**9)), cap)]
        return 200, json.dumps([{column: row[column] for column in columns} for row in rows]).encode()


def table_of(path: str) -> str:
    """The table that a request is about."""
    return urlsplit(path).path.rsplit("/", 1)[-1]


def _holds(operator: str, value: str, bound: str) -> bool:
    if operator == "not":
        return value != "None"
    return value > bound if operator == "gt" else value < bound if operator == "lt" else True
