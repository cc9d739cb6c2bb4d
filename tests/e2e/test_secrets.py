"""Secrets stay where they are kept: a key and passwords go through runs that succeed and fail, then all is searched.

The servers of these tests say the key back in everything they answer, as gateways that explain themselves do.
"""

import base64
import time
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests import queues, traces
from tests.faults import figures
from tests.faults.supabase_proxy import before_the_source
from tests.faulty_rest import Fault
from tests.laptop_target import KEYS, LaptopTarget, until

WRONG, TAIL = "Canary5e1fbc7092", "Canary83ab0d64f1"
"""Passwords of nobody: one that the database refuses, and what stands behind an @ that nobody quoted."""
KINDS = {*("command", "message", "event", "log", "execution", "history", "job", "object", "function", "stack")}
WITH_ERRORS = {"command", "message", "event", "log", "execution", "history"}


def echoes(key: str) -> dict[str, Fault]:
    """What ends a run: answers with the key in all their parts."""
    said = {"code": key, "message": f"No API key '{key}'\nwas found", "details": key, "hint": f"Bearer {key}"}
    return {
        "SourceRefused": Fault(401, said),
        "SourceMismatch": Fault(400, said),
        "a web page": Fault(200, f"<!doctype html><title>{key}</title>", {"content-type": "text/html"}),
        "an echo": Fault(200, {"headers": {"apikey": key, "authorization": f"Bearer {key}"}}),
        "rows of text": Fault(200, [key, f"Bearer {key}"]),
        "a redirection": Fault(302, said, {"location": f"http://127.0.0.1:9/?apikey={key}"}),
    }


@pytest.fixture(scope="module")
def secrets(laptop: LaptopTarget) -> dict[str, str]:
    """What must not be found, by what it is."""
    kept = laptop.keys
    real = {"key": kept["service_key"], "password": kept["password"], "signing key": kept["signing"]}
    return {**real, "refused password": WRONG, "tail of a password": TAIL}


@pytest.fixture(scope="module")
def found(
    laptop: LaptopTarget, secrets: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[bytes]]:
    """All traces of runs that succeed and fail, by their kind."""
    with queues.messages(laptop, "people") as people, queues.events(laptop, "machines") as machines:
        succeed(laptop)
        fail(laptop, secrets["key"])
        look(laptop, tmp_path_factory.mktemp("card") / "card.html")
        places: defaultdict[str, list[bytes]] = defaultdict(list)
        for kind, body in traces.left_behind(laptop):
            places[kind].append(body)
        places["message"] = [body.encode() for body in people.read()]
        places["event"] = [body.encode() for body in machines.read()]
        places["command"] = [said.encode() for said in laptop.said]
    rows = [(kind, len(bodies), sum(map(len, bodies))) for kind, bodies in sorted(places.items())]
    figures.add(f"Searched for {len(secrets)} secrets", ("place", "texts", "bytes"), rows)
    return places


def succeed(laptop: LaptopTarget) -> None:
    """Runs and scores by way of the REST interface and of the database; rows that are set aside."""
    laptop.ratchet("seed", "returns", "--rows", "2000", "--yes")
    laptop.sql(
        "update ai_outputs set embedding_b = embedding_b[1:255] where base_ts = (select max(base_ts) from ai_outputs)"
    )
    laptop.run()
    laptop.ratchet("score", "returns")
    with laptop.secret(lambda fields: {**fields, "db_url": laptop.database}):
        laptop.run()
        laptop.ratchet("score", "returns")


def fail(laptop: LaptopTarget, key: str) -> None:
    """Runs against servers that say the key back, and with secrets that are wrong in ways that people write them."""
    for fault in echoes(key).values():
        with before_the_source(laptop, fault):
            assert laptop.run(code=1)["error"] in {"SourceRefused", "SourceMismatch"}
            laptop.ratchet("score", "returns", code=1)
    said = {"message": f"{key} is too busy"}
    for fault in (Fault(200, f"[{key}]"), Fault(503, said, {"x-key": key})):
        with before_the_source(laptop, fault):
            laptop.ratchet("score", "returns", code=1)
    with before_the_source(laptop, Fault(429, said, {"retry-after": "3600"})):
        execution = laptop.start({})
        until(lambda: laptop.events(execution, "TaskFailed") or laptop.events(execution, "LambdaFunctionFailed"))
        laptop.client("stepfunctions").stop_execution(executionArn=execution, error="Stopped", cause="by a test")
        laptop.ended(execution)
        # A run is named by its second.
        time.sleep(1)
    at, place = laptop.database.split("//")[1].split(":")[0], laptop.database.rpartition("@")[2]
    wrong: dict[str, Any] = {
        "refused": {"db_url": f"postgresql://{at}:{WRONG}@{place}"},
        "not quoted": {"db_url": f"postgresql://{at}:horse@{TAIL}@{place}"},
        "no connection string": {"db_url": f"host={place} password=horse {TAIL}"},
        "a key as the url": {"url": key, "key": key},
        "a key in the url": {"url": f"https://{key}@127.0.0.1:9", "key": key},
        "a key of two words": {"url": "http://127.0.0.1:9", "key": f"{key} {TAIL}"},
        "no JSON": f'{{"url": "x", "key": {key}',
    }
    for fields in wrong.values():
        with laptop.secret(lambda _, fields=fields: fields):
            assert laptop.run(code=1)["error"] in {"BadConfiguration", "SourceRefused"}
            laptop.ratchet("score", "returns", code=1)
            laptop.call("doctor")


def look(laptop: LaptopTarget, page: Path) -> None:
    """What a person may look at; the answers are kept with all others."""
    for arguments in (
        ("status",),
        ("history", "returns"),
        ("logs", "--since", "600"),
        ("card", "returns", "--output", str(page)),
    ):
        laptop.ratchet(*arguments)
        laptop.plain(*arguments)


def forms(secret: str) -> set[bytes]:
    """How a secret may be written."""
    raw = secret.encode()
    return {raw, quote(secret, safe="").encode(), base64.b64encode(raw).rstrip(b"=")[:-1], raw.hex().encode()}


def test_no_secret_is_found_anywhere(found: dict[str, list[bytes]], secrets: dict[str, str]) -> None:
    seen = [
        (kind, what)
        for kind, bodies in found.items()
        for what, secret in secrets.items()
        if any(form in body for form in forms(secret) for body in bodies)
    ]
    assert seen == []


def test_the_search_sees_every_kind_of_place(found: dict[str, list[bytes]]) -> None:
    assert {kind for kind, bodies in found.items() if bodies} >= KINDS


@pytest.mark.parametrize("kind", sorted(WITH_ERRORS))
def test_the_search_would_see_what_failed_runs_say(found: dict[str, list[bytes]], kind: str) -> None:
    for said in (b"SourceRefused", b"No API key '***'"):
        assert any(said in body for body in found[kind]), said


def test_the_search_would_see_what_stands_in_archives_and_tables(
    found: dict[str, list[bytes]], laptop: LaptopTarget
) -> None:
    run = laptop.document(KEYS.pointer())["run_ts"]
    for said in (run.encode(), b"embedding_b", b"train_mean", b"<!doctype html>"):
        assert any(said in body for body in found["object"]), said
