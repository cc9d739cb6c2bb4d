"""An API Gateway HTTP API on loopback: requests become events of payload format 2.0, results become answers.

What the gateway itself answers has its shape, `{"message"}`, not the API's. Signatures are not asked for: whoever may
invoke the function behind it, the person who runs this, has signed. So nobody else's page may ask through a browser.
"""

import base64
import json
import time
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from ratchet.api.paths import route_key
from ratchet.errors import RatchetError

LARGEST = 10 << 20
"""Bytes of a body, as the service takes them."""
TEXTUAL = ("text/", "application/json", "application/javascript", "application/xml")
"""Content types of bodies that travel as text."""
Invoke = Callable[[dict[str, Any]], Any]


class Gateway(ThreadingHTTPServer):
    """Serves `invoke` at 127.0.0.1; port 0 takes a free one. Raises OSError for a port that is taken."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, invoke: Invoke) -> None:
        """Listens from now on; `serve_forever` answers."""
        self.invoke = invoke
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def knows(self, host: str | None, origin: str | None) -> bool:
        """Whether a request was meant for this address, and was not made by a page of another."""
        ours = {f"127.0.0.1:{self.server_port}", f"localhost:{self.server_port}"}
        return host in ours and (origin is None or origin in {f"http://{name}" for name in ours})


def event_of(method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes, source: str) -> dict[str, Any]:
    """The event that a request becomes; headers and parameters that come twice are joined by commas, as there."""
    named = _joined((name.lower(), value) for name, value in headers)
    parts, now = urlsplit(target), datetime.now(UTC)
    key = route_key(method, parts.path)
    http = {"method": method, "path": parts.path, "protocol": "HTTP/1.1", "sourceIp": source}
    event = {
        "version": "2.0",
        "routeKey": key,
        "rawPath": parts.path,
        "rawQueryString": parts.query,
        "headers": named,
        "requestContext": {
            **{"accountId": "anonymous", "apiId": "local", "domainName": named.get("host", ""), "stage": "$default"},
            **{"requestId": str(uuid.uuid4()), "routeKey": key, "timeEpoch": int(now.timestamp() * 1000)},
            **{"time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"), "domainPrefix": "local"},
            "http": {**http, "userAgent": named.get("user-agent", "")},
        },
        "isBase64Encoded": False,
    }
    if parts.query:
        event["queryStringParameters"] = _joined(parse_qsl(parts.query, keep_blank_values=True))
    return {**event, **_encoded(body, named.get("content-type", "text/plain"))}


def answer_of(result: Any) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a function's result; what is none is an error of the function's."""
    if not isinstance(result, dict) or not isinstance(result.get("statusCode"), int):
        return _own(500, "Internal Server Error")
    body = result.get("body") or ""
    content = base64.b64decode(body) if result.get("isBase64Encoded") else body.encode()
    return result["statusCode"], dict(result.get("headers") or {}), content


def _own(status: int, message: str) -> tuple[int, dict[str, str], bytes]:
    return status, {"Content-Type": "application/json"}, json.dumps({"message": message}).encode()


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def _encoded(body: bytes, kind: str) -> dict[str, Any]:
    if not body:
        return {}
    if kind.lower().startswith(TEXTUAL):
        try:
            return {"body": body.decode()}
        except UnicodeDecodeError:
            pass
    return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Gateway
    protocol_version = "HTTP/1.1"
    timeout = 60
    # Else an answer's body waits 40 ms for the client to acknowledge its headers.
    disable_nagle_algorithm = True
    error_content_type = "application/json"
    error_message_format = '{"message": "%(message)s"}'

    def answer(self) -> None:
        """Any request, of any method."""
        started = time.perf_counter()
        status, headers, body = self._answer()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        taken = (time.perf_counter() - started) * 1000
        self.log_message("%s %s %d %.0f ms", self.command, self.path, status, taken)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = answer

    def log_request(self, *_: object) -> None:
        """`answer` says more."""

    def _answer(self) -> tuple[int, dict[str, str], bytes]:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdigit():
            self.close_connection = True
            return _own(411, "Length Required")
        if int(length) > LARGEST:
            self.close_connection = True
            return _own(413, "Request Entity Too Large")
        body = self.rfile.read(int(length))
        if not self.server.knows(self.headers.get("Host"), self.headers.get("Origin")):
            return _own(403, "Forbidden")
        event = event_of(self.command, self.path, self.headers.items(), body, self.client_address[0])
        try:
            return answer_of(self.server.invoke(event))
        except (RatchetError, ClientError, BotoCoreError) as error:
            self.log_error("The function gave no answer: %s", error)
            return _own(500, "Internal Server Error")
