"""What simulated worlds play rarely or never: bad rows, forms of scoring, runs taken up while others hold them.

The handlers are the product's own, over stores in memory; each scene notes what its step asks.
"""

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from ratchet.claim import Claim
from ratchet.extraction.extract import extract
from ratchet.extraction.source import Rejected
from ratchet.instants import iso
from ratchet.lease import Lease
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

from tests import api, bundles
from tests.fake_source import FakeSource, work_on
from tests.fakes import Clock
from tests.faults import rights_filed, rights_signed
from tests.faults.rights_called import Calls, Noted
from tests.faults.rights_ports import NOW, Ports, handle
from tests.landed import EXECUTION, hold_lease, land, rows
from tests.unit.test_promote import World

KEYS = bundles.returns().keys
RUN = "2026-02-01T00-00-00Z"
INPUT, OUTPUT = "s3://bucket/batch/rows.jsonl", "s3://bucket/batch/answers"


def played() -> Calls:
    """What the steps of all scenes asked."""
    calls: Calls = defaultdict(set)
    for step, scene in [*SCENES, *rights_filed.SCENES, *rights_signed.SCENES]:
        ports = Ports()
        scene(step, ports, Noted(ports, step, calls))
    return calls


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
    order |= {"month": None, "sample": 0}
    assert handle(step, noted, {"pipeline": "returns", **order})["status"] == "prepared"
    assert {KEYS.quarantine(RUN), KEYS.set_aside(RUN)} <= ports.memory.objects.keys()


def _every_form(step: str, ports: Ports, noted: Noted) -> None:
    """Slots, a row, a file."""
    with TemporaryDirectory() as folder:
        bundles.promote(ports.memory, Path(folder))
    ports.memory.put("batch/rows.jsonl", json.dumps(bundles.row()).encode())
    follower.cache_clear()
    for event in ({"pipeline": "returns"}, bundles.row(), {"input_uri": INPUT, "output_uri": OUTPUT}):
        assert handle(step, noted, event)
    follower.cache_clear()


def _table_of_predictions(step: str, ports: Ports, noted: Noted) -> None:
    """Predictions go to a table besides."""
    with TemporaryDirectory() as folder:
        serving = bundles.champion(ports.memory, Path(folder))
    assert serve(Slots("returns"), bundles.returns(upsert_table="predictions"), serving, noted, Clock(NOW))["scored"]


def _plan(step: str, ports: Ports, noted: Noted) -> None:
    """A file is cut into ranges."""
    ports.memory.put("batch/rows.jsonl", json.dumps(bundles.row()).encode())
    assert handle(step, noted, {"input_uri": INPUT, "output_uri": OUTPUT})["ranges"]


def _claimed_by_another(ports: Ports) -> None:
    claimed = Claim(RUN, EXECUTION, 1, "running", None, iso(NOW), None, False)
    ports.memory.put(KEYS.claim(RUN), encode(asdict(claimed)))


def _taken_over(step: str, ports: Ports, noted: Noted) -> None:
    """A run is taken up whose execution died without a word."""
    _claimed_by_another(ports)
    event = {"pipeline": "returns", "execution": "another", "started": iso(NOW), "input": {"resume": RUN}}
    assert handle(step, noted, event)["status"] == "claimed"


def _died_taking_over(step: str, ports: Ports, noted: Noted) -> None:
    """An execution died before it could take up such a run."""
    _claimed_by_another(ports)
    told = {"executionArn": "another", "startDate": NOW.timestamp() * 1000, "status": "ABORTED"}
    machine = {"stateMachineArn": "arn:aws:states:us-east-1:1:stateMachine:stack-returns"}
    given = {"input": json.dumps({"resume": RUN})}
    assert handle(step, noted, {"detail": {**told, **machine, **given}}) == {"status": "not_held"}


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


def _asked_for_a_machine(step: str, ports: Ports, noted: Noted) -> None:
    """A prediction from landed days and files, a run that is refused, one that is started, and how it stands."""
    world = api.whole()
    holder = Lease("held", f"{api.ARN}:holder", RUN, 3, iso(NOW), iso(NOW))
    world.store_.put(api.KEYS.lease(), encode(asdict(holder)))
    asked = replace(world, noted=noted)
    ports.memory, ports.states = world.store_, world.states
    with api.configured():
        answers = [asked.predict(), asked.ask("GET /health"), asked.ask("POST /api/v1/retrain")]
        (name,) = world.states.executions
        answers.append(asked.ask(f"GET /api/v1/runs/{name}"))
    assert [status for status, _ in answers] == [200, 200, 202, 200]


SCENES: list[tuple[str, Callable[[str, Ports, Noted], None]]] = [
    ("api", _asked_for_a_machine),
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
