"""The steps as functions that can be killed: the product's own handlers in AWS's runtime, dying where a test says.

Each invocation asks the test for its orders first: whose bucket it works on, and before or after which of its writes to
S3 its process gets SIGKILL.
"""

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# Runs inside the function. SDK calls that write are counted by the SDK's own events.
FUNCTION = """
import importlib.util, json, os, signal, sys, time, urllib.request

sys.path[:0] = os.environ["PACKAGES"].split(os.pathsep)
import boto3
from ratchet import settings, wiring
from ratchet.evaluation.measure import Cost

spec = importlib.util.spec_from_file_location("step", os.environ["HANDLER"])
app = importlib.util.module_from_spec(spec)
spec.loader.exec_module(app)
orders, written = {}, 0


def ask(path, body):
    request = urllib.request.Request(os.environ["ORDERS"] + path, json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def reached(when):
    def die(**about):
        global written
        written += when == "before"
        if orders.get("dies") == [written, when]:
            os.kill(os.getpid(), signal.SIGKILL)

    return die


boto3.setup_default_session()
for write in ("PutObject", "PutObjectTagging"):
    boto3.DEFAULT_SESSION.events.register(f"before-call.s3.{write}", reached("before"))
    boto3.DEFAULT_SESSION.events.register(f"after-call.s3.{write}", reached("after"))
if hasattr(app, "evaluate"):
    import functools

    # What serving costs is measured in another process and differs each time.
    app.evaluate = functools.partial(app.evaluate, measure=lambda bundle: Cost(0.1, 50.0))


def handler(event, context):
    global orders, written
    written = 0
    orders = ask("/begin", {"step": os.environ["STEP"], "event": event})
    os.environ.update(orders["environment"])
    for cached in (settings.settings, wiring.store, wiring.reader, wiring.executions, wiring.training_jobs):
        cached.cache_clear()
    if os.environ["STEP"] == "score":
        app.follower.cache_clear()
    try:
        return app.handler(event, context)
    finally:
        ask("/end", {"step": os.environ["STEP"], "writes": written, "doomed": "dies" in orders})
"""

Orders = dict[str, Any]


@dataclass
class Death:
    """Where the next invocations of a step die: before or after their n-th write; `times` of them."""

    number: int
    when: str
    times: int = 1

    def __str__(self) -> str:
        return f"{self.when} write {self.number}" + (f", {self.times} times" if self.times > 1 else "")


@dataclass
class Commander:
    """Gives every invocation its orders, and remembers who was called and how often each step wrote."""

    environment: dict[str, str] = field(default_factory=dict)
    deaths: dict[str, Death] = field(default_factory=dict)
    at_call: dict[str, Callable[[], None]] = field(default_factory=dict)
    """Done once when a step is called, before it goes on."""
    writes: dict[str, int] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._going_on, self._lock = 0, threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def reset(self, **environment: str) -> None:
        """No orders any more; the environment for those that follow."""
        self.environment = {**self.environment, **environment}
        self.deaths, self.at_call, self.writes, self.calls = {}, {}, defaultdict(int), Counter()
        self._going_on = 0

    def await_silence(self) -> None:
        """Waits until no function goes on any more, not even one whose execution is over."""
        deadline = time.monotonic() + 30
        while self._going_on:
            assert time.monotonic() < deadline, "a function does not end"
            time.sleep(0.02)

    def begin(self, step: str) -> Orders:
        with self._lock:
            self.calls[step] += 1
            first, death = self.at_call.pop(step, None), self.deaths.get(step)
            doomed = death is not None and death.times > 0
            self._going_on += not doomed
            if death and doomed:
                death.times -= 1
        if first:
            first()
        dies = {"dies": [death.number, death.when]} if death and doomed else {}
        return {"environment": self.environment, **dies}

    def end(self, step: str, writes: int, doomed: bool) -> Orders:
        with self._lock:
            self.writes[step] = max(writes, self.writes[step])
            # Of those that were to die nobody hears when they do.
            self._going_on -= not doomed
        return {}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        commander = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                begins = self.path == "/begin"
                answer = commander.begin(told["step"]) if begins else commander.end(**told)
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *about: Any) -> None:
                """Says nothing."""

        return Handler
