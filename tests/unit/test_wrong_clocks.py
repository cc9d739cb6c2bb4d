"""A clock that is 10 minutes wrong, in everything that looks at one: nothing is lost, nothing done twice."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from ratchet.adapters.s3_reader import S3Reader
from ratchet.evaluate import evaluate
from ratchet.settings import Access, settings

from tests.bundles import champion
from tests.fake_source import START, FakeSource, rows_every
from tests.fakes import Clock, MemoryStore
from tests.judged import cheap, world
from tests.unit.test_claim import RUN, SLOT, take
from tests.unit.test_claim_functions import Context, Ports, app
from tests.unit.test_extract import landed, run_all
from tests.unit.test_score import NOON, STEP, MemorySource, at, predicted, score

WRONG = [timedelta(minutes=10), timedelta(minutes=-10)]
wrong = pytest.mark.parametrize("skew", WRONG, ids=["ahead", "behind"])
RIGHT = timedelta()
MACHINE = timedelta(hours=4)
TAKE = app("take_lease")


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The least that a function is told."""
    monkeypatch.setenv("RATCHET_BUCKET", "bucket")
    monkeypatch.setenv("RATCHET_STACK", "test")
    settings.cache_clear()
    yield
    settings.cache_clear()


def asks(ports: Ports, execution: str, now: datetime) -> dict[str, Any]:
    event = {"pipeline": "returns", "run_ts": RUN, "execution": execution}
    return dict(TAKE.handler(event, Context(), ports, Clock(now)))


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize("takers", [RIGHT, *WRONG], ids=str)
@pytest.mark.parametrize("askers", [RIGHT, *WRONG], ids=str)
def test_no_run_loses_its_lease_by_a_clock_while_its_machine_lets_it_run(takers: timedelta, askers: timedelta) -> None:
    ports = Ports()
    ports.asked.running = {"a"}
    assert asks(ports, "a", NOON + takers)["status"] == "taken"
    assert asks(ports, "b", NOON + MACHINE + askers)["status"] == "held"
    # Nor does it keep the lease for ever, should its end be told to nobody.
    assert asks(ports, "b", NOON + MACHINE + timedelta(minutes=50) + askers)["status"] == "taken"


@wrong
def test_a_scheduled_run_is_named_by_its_slot_whatever_the_time_is_thought_to_be(skew: timedelta) -> None:
    store = MemoryStore()
    assert take(store, Clock(NOON + skew), SLOT, "a")[1].run_ts == RUN
    assert not take(store, Clock(NOON), SLOT, "b")[0]


@wrong
def test_every_row_lands_though_the_watermark_is_on_the_other_side_of_the_clock(skew: timedelta) -> None:
    now = START + timedelta(days=9)
    store, clock = MemoryStore(), Clock(now)
    source = FakeSource({"left": rows_every(5, 9 * 24 * 12 + 1), "right": rows_every(60, 9)})
    for hour in range(4):
        clock.now = now + timedelta(hours=hour) + (skew if hour in (1, 2) else RIGHT)
        source.tables["left"] |= rows_every(5, 12 * hour + 1, now)
        run_all(store, source, clock, run=f"r{hour}")
        assert landed(store) == source.tables["left"]


@wrong
def test_a_row_deleted_meanwhile_is_missed_once_the_comparison_is_due_by_the_right_clock(skew: timedelta) -> None:
    clock = Clock(START + timedelta(days=9) + skew)
    store, source = MemoryStore(), FakeSource({"left": rows_every(60, 200), "right": rows_every(60, 9)})
    run_all(store, source, clock)
    del source.tables["left"][START + timedelta(hours=30)]
    clock.now = START + timedelta(days=10, minutes=10)
    run_all(store, source, clock, run="r2")
    assert landed(store) == source.tables["left"]


@wrong
def test_fresh_rows_are_scored_and_none_is_left_out_once_the_clock_is_right(skew: timedelta, tmp_path: Path) -> None:
    store, source = MemoryStore(), MemorySource(at(0))
    loaded = champion(store, tmp_path)
    score(loaded, store, source, NOON)
    for slot in range(1, 9):
        source.rows |= at(slot)
        # A row of the hour after next, which nothing may score yet.
        source.rows |= at(20)
        score(loaded, store, source, NOON + slot * STEP + (skew if slot < 6 else RIGHT))
    assert list(predicted(store).values()) == [float(slot) for slot in range(9)]


@wrong
def test_the_first_row_ever_is_scored_by_a_wrong_clock_or_by_the_next_call(skew: timedelta, tmp_path: Path) -> None:
    store, source = MemoryStore(), MemorySource(at(-1, 0))
    loaded = champion(store, tmp_path)
    score(loaded, store, source, NOON + skew)
    score(loaded, store, source, NOON)
    assert "12:00" in predicted(store)


@wrong
def test_a_verdict_does_not_depend_on_the_clock(skew: timedelta) -> None:
    verdicts = []
    for clock in (Clock(NOON), Clock(NOON + skew)):
        made = world()
        made.bundle(made.signal)
        evaluate(made.store, clock, made.pipeline, made.request(), allow_synthetic=False, measure=cheap)
        verdicts.append([made.evaluation()[part] for part in ("verdict", "reasons", "skill", "comparison", "holdout")])
    assert verdicts[0] == verdicts[1]


class Bucket(BaseHTTPRequestHandler):
    """S3 as far as it looks at a request's date: it takes 15 minutes either way."""

    def do_GET(self) -> None:
        signed = datetime.strptime(self.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        refused = abs(NOON - signed) > timedelta(minutes=15)
        body = b"<Error><Code>RequestTimeTooSkewed</Code></Error>" if refused else b"body"
        self.send_response(403 if refused else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"tag"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.mark.parametrize(("minutes", "by"), [(10, b"body"), (-10, b"body"), (16, b"by the SDK"), (-16, b"by the SDK")])
def test_s3_takes_a_clock_10_minutes_wrong_and_what_it_refuses_is_left_to_the_sdk(minutes: int, by: bytes) -> None:
    sdk = MemoryStore()
    sdk.put("key", b"by the SDK")
    with ThreadingHTTPServer(("127.0.0.1", 0), Bucket) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        access = Access("key", "secret", "", "eu-west-1", f"http://127.0.0.1:{server.server_port}")
        clock = Clock(NOON + timedelta(minutes=minutes))
        with closing(S3Reader("bucket", access, lambda: sdk, clock)) as reader:
            found = reader.get("key")
        server.shutdown()
    assert found
    assert found.body == by
