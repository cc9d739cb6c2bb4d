"""A PostgREST of one process on loopback that answers as its script says, fault by fault, then serves rows."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Fault:
    """One scripted answer. `reset` drops the connection; `cut` promises the body and sends half of it."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    reset: bool = False
    cut: bool = False


@dataclass
class Rest:
    """The server's tables, script and memory of requests; `cap` is its own page limit."""

    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    script: list[Fault] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    cap: int = 1000
    url: str = ""

    def rows(self, name: str, query: dict[str, str]) -> tuple[int, bytes]:
        if name not in self.tables:
            return 404, json.dumps(
                {"code": "PGRST205", "message": f"Could not find the table 'public.{name}'"}
            ).encode()
        columns = query.get("select", "*").split(",")
        for column in columns:
            if self.tables[name] and column not in self.tables[name][0]:
                return 400, json.dumps({"code": "42703", "message": f"column {column} does not exist"}).encode()
        order = query.get("order", columns[0]).split(".")[0]
        rows = sorted(self.tables[name], key=lambda row: str(row[order]))
        for condition in query.get(order, "").split("|"):
            operator, _, bound = condition.partition(".")
            instant = bound.replace("Z", "+00:00")
            rows = [row for row in rows if _holds(operator, str(row[order]), instant)]
        rows = rows[: min(int(query.get("limit", 10**9)), self.cap)]
        return 200, json.dumps([{column: row[column] for column in columns} for row in rows]).encode()


def _holds(operator: str, value: str, bound: str) -> bool:
    return value > bound if operator == "gt" else value < bound if operator == "lt" else True


@contextmanager
def serve(rest: Rest) -> Iterator[Rest]:
    """Serves until the block ends; `rest.url` is where."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: "|".join(values) for name, values in parse_qs(parts.query).items()}
            rest.requests.append(query)
            rest.keys.append(self.headers.get("apikey", ""))
            fault = rest.script.pop(0) if rest.script else None
            if fault and fault.reset:
                self.close_connection = True
                self.connection.close()
                return
            status, body = rest.rows(parts.path.rsplit("/", 1)[-1], query)
            if fault and not fault.cut:
                text = fault.body if isinstance(fault.body, str) else json.dumps(fault.body)
                status, body = fault.status, text.encode()
            headers = {"content-type": "application/json", **(fault.headers if fault else {})}
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if fault and fault.cut else body)
            if fault and fault.cut:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    rest.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield rest
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
