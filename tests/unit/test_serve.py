"""`ratchet serve`: events as API Gateway makes them, answers as they come, and nothing for a page of a browser."""

import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any

import pytest
from ratchet.api import paths
from ratchet.errors import Unavailable

from cli.gateway import LARGEST, Gateway, answer_of, event_of
from tests.unit.test_cli_commands import FakeTarget, ratchet

ANSWER = {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": '{"a": 1}'}


class Function:
    """Answers as told, after all of `together` have come; remembers what it was asked."""

    def __init__(self) -> None:
        self.answer: Any = ANSWER
        self.asked: list[dict[str, Any]] = []
        self.together: threading.Barrier | None = None

    def __call__(self, event: dict[str, Any]) -> Any:
        self.asked.append(event)
        if self.together:
            self.together.wait(10)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def function() -> Function:
    return Function()


@pytest.fixture
def gateway(function: Function) -> Iterator[Gateway]:
    with Gateway(0, function) as served:
        threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True).start()
        yield served
        served.shutdown()


def ask(
    gateway: Gateway, method: str, target: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers by their names in lower case, body."""
    connection = HTTPConnection("127.0.0.1", gateway.server_port, timeout=10)
    try:
        connection.request(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_an_answer_passes_through(gateway: Gateway, function: Function) -> None:
    status, headers, body = ask(gateway, "GET", "/api/v1/predict?zoneId=a&equipId=b")
    assert (status, headers["content-type"], body) == (200, "application/json", b'{"a": 1}')
    assert function.asked[0]["queryStringParameters"] == {"zoneId": "a", "equipId": "b"}
    assert function.asked[0]["requestContext"]["http"]["sourceIp"] == "127.0.0.1"


def test_an_event_is_that_of_an_http_api() -> None:
    headers = [("Host", "h"), ("X-Two", "a"), ("x-two", "b"), ("User-Agent", "curl")]
    event = event_of("GET", "/api/v1/runs/a%20b?x=1&x=2&y=&z=%2C", headers, b"", "127.0.0.1")
    assert event["version"] == "2.0"
    assert (event["rawPath"], event["rawQueryString"]) == ("/api/v1/runs/a%20b", "x=1&x=2&y=&z=%2C")
    assert event["queryStringParameters"] == {"x": "1,2", "y": "", "z": ","}
    assert event["headers"] == {"host": "h", "x-two": "a,b", "user-agent": "curl"}
    assert (event["routeKey"], event["requestContext"]["routeKey"]) == ("$default", "$default")
    assert event["requestContext"]["http"]["userAgent"] == "curl"
    assert "body" not in event


@pytest.mark.parametrize(
    ("method", "target", "key"),
    [
        ("POST", "/api/v1/retrain", paths.GUARDED),
        ("POST", "/api/v1/retrain?x", paths.GUARDED),
        ("POST", "/api/v1/retrain/", paths.DEFAULT),
        ("GET", "/api/v1/retrain", paths.DEFAULT),
        ("GET", "/health", paths.DEFAULT),
    ],
)
def test_only_the_guarded_route_has_a_key_of_its_own(method: str, target: str, key: str) -> None:
    assert event_of(method, target, [], b"", "")["routeKey"] == key


@pytest.mark.parametrize(
    ("kind", "body", "sent"),
    [
        ("application/json; charset=utf-8", '{"ü": 1}'.encode(), ('{"ü": 1}', False)),
        ("text/csv", b"a", ("a", False)),
        ("application/json", b"\xff", (base64.b64encode(b"\xff").decode(), True)),
        ("application/octet-stream", b"a", ("YQ==", True)),
    ],
)
def test_a_body_travels_as_text_where_it_is_text(kind: str, body: bytes, sent: tuple[str, bool]) -> None:
    event = event_of("POST", "/", [("Content-Type", kind)], body, "")
    assert (event["body"], event["isBase64Encoded"]) == sent


def test_a_result_that_is_no_answer_is_an_error() -> None:
    assert answer_of({"statusCode": 204}) == (204, {}, b"")
    assert answer_of({"statusCode": 200, "body": "YQ==", "isBase64Encoded": True})[2] == b"a"
    for result in (None, "text", {}, {"errorMessage": "x"}, {"statusCode": "200"}):
        status, _, body = answer_of(result)
        assert (status, json.loads(body)) == (500, {"message": "Internal Server Error"})


def test_a_function_that_fails_is_told_as_the_service_does(
    gateway: Gateway, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    function.answer = Unavailable("Task timed out after 29.00 seconds")
    status, _, body = ask(gateway, "GET", "/health")
    assert (status, json.loads(body)) == (500, {"message": "Internal Server Error"})
    assert "Task timed out" in capsys.readouterr().err


def test_head_has_no_body(gateway: Gateway) -> None:
    status, headers, body = ask(gateway, "HEAD", "/health")
    assert (status, headers["content-length"], body) == (200, "8", b"")


def test_an_unheard_of_method_is_refused_in_json(gateway: Gateway, function: Function) -> None:
    status, headers, body = ask(gateway, "BREW", "/health")
    assert (status, headers["content-type"], function.asked) == (501, "application/json", [])
    assert "BREW" in json.loads(body)["message"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Length": str(LARGEST + 1)}, 413),
        ({"Content_Length": "many"}, 411),
        ({"Transfer_Encoding": "chunked"}, 411),
    ],
)
def test_a_body_that_cannot_be_taken_is_refused_unread(
    gateway: Gateway, function: Function, headers: dict[str, str], status: int
) -> None:
    assert ask(gateway, "POST", "/api/v1/retrain", None, **headers)[0] == status
    assert function.asked == []


def test_what_a_page_of_another_address_asks_is_refused(gateway: Gateway, function: Function) -> None:
    """A browser sends it with the rights of whoever runs the command."""
    ours = f"localhost:{gateway.server_port}"
    assert ask(gateway, "POST", "/api/v1/retrain", Origin="http://evil.example")[0] == 403
    assert ask(gateway, "POST", "/api/v1/retrain", Origin="null")[0] == 403
    assert ask(gateway, "GET", "/health", Host="evil.example")[0] == 403
    assert function.asked == []
    assert ask(gateway, "GET", "/health", Host=ours, Origin=f"http://{ours}")[0] == 200


def test_eight_clients_are_served_side_by_side(gateway: Gateway, function: Function) -> None:
    function.together = threading.Barrier(8)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(gateway, "GET", "/health")[0], range(8)))
    assert answers == [200] * 8


def test_a_connection_serves_one_request_after_the_other(gateway: Gateway) -> None:
    connection = HTTPConnection("127.0.0.1", gateway.server_port, timeout=10)
    for body in (None, b"{}"):
        connection.request("POST", "/api/v1/retrain", body)
        assert connection.getresponse().read() == b'{"a": 1}'
    connection.close()


def test_the_gateway_itself_takes_no_time(gateway: Gateway) -> None:
    """A body that waits for its headers to be acknowledged comes 40 ms late, every time."""
    connection, times = HTTPConnection("127.0.0.1", gateway.server_port, timeout=10), []
    for _ in range(10):
        started = time.perf_counter()
        connection.request("GET", "/health")
        connection.getresponse().read()
        times.append(time.perf_counter() - started)
    connection.close()
    assert min(times) < 0.03


class Lambda:
    """Answers every call, of the function that was asked for."""

    def invoke(self, FunctionName: str, Payload: bytes) -> dict[str, Any]:
        told = {"path": json.loads(Payload)["rawPath"], "function": FunctionName}
        return {"Payload": io.BytesIO(json.dumps({"statusCode": 200, "body": json.dumps(told)}).encode())}


def test_a_port_that_is_taken_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    target = FakeTarget(**{"lambda": Lambda()})
    target.__dict__["outputs"] = {"ApiFunction": "api", "ApprovalPageFunction": "page"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = ratchet(target, "serve", "--port", str(taken.getsockname()[1]))
    assert result.exit_code == 1
    assert "name another one with --port" in result.stderr


def test_a_stack_without_the_api_is_told_so() -> None:
    result = ratchet(FakeTarget(**{"lambda": Lambda()}), "serve")
    assert (result.exit_code, "no output ApiFunction" in result.stderr) == (1, True)


PROGRAM = """
from tests.unit.test_serve import FakeTarget, Lambda
from cli.app import main
target = FakeTarget(**{"lambda": Lambda()})
target.__dict__["outputs"] = {"ApiFunction": "api", "ApprovalPageFunction": "page"}
main(["serve", "--port", "0", "--json"], obj=target)
"""


def test_it_serves_until_it_is_interrupted_and_ends_in_order() -> None:
    paths_ = os.pathsep.join(path for path in sys.path if path)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths_},
    )
    with process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        while lines[-1].rstrip() != "}":
            lines.append(process.stdout.readline())
        told = json.loads("".join(lines))
        connection = HTTPConnection(told["address"].removeprefix("http://"), timeout=10)
        connection.request("GET", "/health")
        assert json.loads(connection.getresponse().read()) == {"path": "/health", "function": "api"}
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=10)
        connection.close()
    assert process.returncode == 0
    assert "Traceback" not in complaints
    approvals = ["GET /approvals/{pipeline}/{run}", "POST /approvals/{pipeline}/{run}"]
    assert told["routes"] == [*(f"{method} {path}" for path, method in paths.METHODS.items()), *approvals]
