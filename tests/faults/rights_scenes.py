"""What simulated worlds play rarely or never: bad rows, forms of scoring, runs taken up while others hold them.

The handlers are the product's own, over stores in memory; each scene notes what its step asks.
"""

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from ratchet.claim import Claim
from ratchet.extraction.extract import extract
from ratchet.extraction.source import Page, PageBuilder, Rejected
from ratchet.instants import iso, parse_instant
from ratchet.promote import promote, rollback
from ratchet.serving.champion import follower
from ratchet.serving.request import Slots
from ratchet.serving.service import serve
from ratchet.settings import Settings
from ratchet.source_archive import Archive, installed
from ratchet.store import encode
from ratchet.tables import landing_file
from ratchet.training import Job, stage
from ratchet.training_request import Run, tags

from tests import bundles
from tests.fake_source import FakeSource, work_on
from tests.fakes import Clock, MemoryStore
from tests.faults.rights_called import Calls, Noted
from tests.landed import EXECUTION, hold_lease, land, rows
from tests.unit.test_promote import World

KEYS = bundles.returns().keys
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
RUN = "2026-02-01T00-00-00Z"
INPUT, OUTPUT = "s3://bucket/batch/rows.jsonl", "s3://bucket/batch/answers"


class Ports:
    """`ratchet.wiring` in memory: nothing runs, one job was trained at most, the source has a row of this moment."""

    def __init__(self) -> None:
        self.memory = MemoryStore()
        self.job: Job | None = None

    def store(self) -> MemoryStore:
        return self.memory

    reader = store

    def executions(self) -> "Ports":
        return self

    def training_jobs(self) -> "Ports":
        return self

    def source(self) -> "Ports":
        return self

    def prediction_table(self) -> "Ports":
        return self

    def is_running(self, execution: str) -> bool:
        return False

    def stop_leftovers(self, execution: str) -> list[str]:
        return []

    def find(self, name: str) -> Job | None:
        return self.job

    def page(self, name: str, table: Any, *, after: str, before: str, limit: int) -> Page:
        builder = PageBuilder(table, 1)
        if parse_instant(after) >= NOW:
            return builder.build(None)
        builder.columns["base_ts"][0] = np.datetime64(NOW.replace(tzinfo=None), "us")
        for name in ("embedding_a", "embedding_b"):
            builder.columns[name][0] = np.eye(1, 256)
        builder.accept()
        return builder.build(iso(NOW))

    def upsert(self, table: str, rows: Any) -> None:
        return None


def played() -> Calls:
    """What the steps of all scenes asked."""
    calls: Calls = defaultdict(set)
    for step, scene in SCENES:
        ports = Ports()
        scene(step, ports, Noted(ports, step, calls))
    return calls


def _handle(step: str, ports: Noted, event: Any) -> Any:
    handler = import_module(f"functions.{step}.app").handler.__wrapped__
    takes_clock = "clock" in handler.__code__.co_varnames
    return handler(event, None, ports, *([Clock(NOW)] if takes_clock else []))


def _bad_rows(step: str, ports: Ports, noted: Noted) -> None:
    """Some break the contract, others could not be landed as declared."""
    embeddings, targets = rows(1000)
    embeddings["embedding_a"][:20, 7] = np.nan
    for table, columns in (("ai_outputs", embeddings), ("simulations_10m", targets)):
        land(ports.memory, table, columns)
    aside = landing_file.write_rejected([Rejected("", "no key", "{}")])
    ports.memory.put(KEYS.rejected("ai_outputs", None), aside)
    hold_lease(ports.memory)
    order = {"run_ts": RUN, "execution": EXECUTION, "token": 3, "limit": 0, "skip_data_prep": False}
    assert _handle(step, noted, {"pipeline": "returns", **order})["status"] == "prepared"
    assert {KEYS.quarantine(RUN), KEYS.set_aside(RUN)} <= ports.memory.objects.keys()


def _every_form(step: str, ports: Ports, noted: Noted) -> None:
    """Slots, a row, a file."""
    with TemporaryDirectory() as folder:
        bundles.promote(ports.memory, Path(folder))
    ports.memory.put("batch/rows.jsonl", json.dumps(bundles.row()).encode())
    follower.cache_clear()
    for event in ({"pipeline": "returns"}, bundles.row(), {"input_uri": INPUT, "output_uri": OUTPUT}):
        assert _handle(step, noted, event)
    follower.cache_clear()


def _table_of_predictions(step: str, ports: Ports, noted: Noted) -> None:
    """Predictions go to a table besides."""
    with TemporaryDirectory() as folder:
        serving = bundles.champion(ports.memory, Path(folder))
    assert serve(Slots("returns"), bundles.returns(upsert_table="predictions"), serving, noted, Clock(NOW))["scored"]


def _plan(step: str, ports: Ports, noted: Noted) -> None:
    """A file is cut into ranges."""
    ports.memory.put("batch/rows.jsonl", json.dumps(bundles.row()).encode())
    assert _handle(step, noted, {"input_uri": INPUT, "output_uri": OUTPUT})["ranges"]


def _claimed_by_another(ports: Ports) -> None:
    claimed = Claim(RUN, EXECUTION, 1, "running", None, iso(NOW), None, False)
    ports.memory.put(KEYS.claim(RUN), encode(asdict(claimed)))


def _taken_over(step: str, ports: Ports, noted: Noted) -> None:
    """A run is taken up whose execution died without a word."""
    _claimed_by_another(ports)
    event = {"pipeline": "returns", "execution": "another", "started": iso(NOW), "input": {"resume": RUN}}
    assert _handle(step, noted, event)["status"] == "claimed"


def _died_taking_over(step: str, ports: Ports, noted: Noted) -> None:
    """An execution died before it could take up such a run."""
    _claimed_by_another(ports)
    told = {"executionArn": "another", "startDate": NOW.timestamp() * 1000, "status": "ABORTED"}
    machine = {"stateMachineArn": "arn:aws:states:us-east-1:1:stateMachine:stack-returns"}
    given = {"input": json.dumps({"resume": RUN})}
    assert _handle(step, noted, {"detail": {**told, **machine, **given}}) == {"status": "not_held"}


def _nothing_to_extract(step: str, ports: Ports, noted: Noted) -> None:
    """The source's tables are empty."""
    work = work_on(ports.memory, FakeSource(), Clock(NOW))
    assert extract(replace(work, store=noted.store()), None).done


def _rolled_back_meanwhile(step: str, ports: Ports, noted: Noted) -> None:
    """A person goes back to an old champion while a promotion lets go of it."""
    world = World()
    for run in "abcde":
        world.promote(run)

    world.goes_back_while_letting_go("f", to="a")
    ports.memory = world.store
    token, judged = world.take_lease("f"), world.present()
    fence = {"execution": "f", "token": token, "champion_etag": judged}
    promote(noted.store(), KEYS, world.clock, world.wish("f"), **fence)
    assert world.chain()[0] == ("a", "rollback")


def _asked_twice(step: str, ports: Ports, noted: Noted) -> None:
    """The answer to a rollback was lost, and it is asked for again."""
    world = World()
    for run in "ab":
        world.promote(run)
    ports.memory = world.store
    asked = {"to": None, "of": "b", "who": "me", "why": "worse"}
    answers = [rollback(noted.store(), KEYS, world.clock, lambda _: None, **asked) for _ in range(2)]
    assert answers[0] == answers[1]


def _adopted(step: str, ports: Ports, noted: Noted) -> None:
    """A job that an attempt before had started completed meanwhile."""
    run, settings = Run(RUN, ports.memory.uri(KEYS.train(RUN))), Settings("bucket", "stack")
    key = f"{KEYS.jobs()}job/output/model.tar.gz"
    made = {"output_uri": ports.memory.uri(key), "hyperparameters": {"train_uri": run.train_uri}}
    ports.job = Job("job", "Completed", "Completed", **made, tags=tags("returns", settings.stack, run))
    with TemporaryDirectory() as name:
        folder = Path(name)
        ports.memory.put(key, bundles.packed(folder, run=RUN))
        asked = (bundles.returns(), settings, run, Archive(installed()), folder)
        assert stage(noted.store(), noted.training_jobs(), *asked)["status"] == "wait"


SCENES: list[tuple[str, Callable[[str, Ports, Noted], None]]] = [
    ("prepare", _bad_rows),
    ("score", _every_form),
    ("score", _table_of_predictions),
    ("plan_batch", _plan),
    ("stage_training", _adopted),
    ("claim_run", _taken_over),
    ("free_lease", _died_taking_over),
    ("extract", _nothing_to_extract),
    ("promote", _rolled_back_meanwhile),
    ("rollback", _asked_twice),
]
