"""Training that fails: each way ends in a failure of its own name, with the champion untouched and the lease back.

Ways that a machine can see are played on the deployed machines; what AWS's toolkit does with a spot interruption and
with the script's own error is seen on `returns`' real train.py.
"""

import json
import re
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ratchet.adapters.s3 import S3Store
from ratchet.errors import TrainingDiverged
from ratchet.instants import iso, run_name
from ratchet.keys import Keys
from ratchet.serving.bundle import read_bundle
from ratchet.settings import Settings
from ratchet.source_archive import Archive, installed
from ratchet.tables.material import Order
from ratchet.tables.prepare import prepare
from ratchet.training import Job, classify
from ratchet.training_request import Run, request

from local.emulator.sagemaker_jobs import TrainingJob
from local.training import SubprocessExecutor
from tests.emulated import Emulator, Environments
from tests.fakes import Clock, MemoryStore
from tests.faults import figures
from tests.faults.bed import KEYS, SOLD_OUT, Bed, made_up, rows, snapshot, this_hour
from tests.landed import EXECUTION, START, hold_lease, land, returns
from tests.landed import rows as landed_rows

FIRST, SECOND = this_hour() - timedelta(hours=5), this_hour()
RUN, RESUMED = {"at": iso(SECOND)}, {"resume": run_name(SECOND)}
ENDS: dict[str, tuple[dict[str, Any], dict[str, str], str, str]] = {
    "no capacity": (
        {},
        {"RATCHET_TRAINING_INSTANCE": SOLD_OUT},
        "TrainingOutOfCapacity",
        "Name another instance in the template's TrainInstanceType",
    ),
    "a time-out": ({"does": "sleep"}, {}, "TrainingTimedOut", "Raise training.max_runtime_seconds in pipeline.yaml"),
    "a non-zero exit": ({"does": "exit"}, {}, "TrainingFailed", "exit code: 7. The job's log says more."),
    "no bundle": ({"does": "leave nothing"}, {}, "TrainingLeftNoBundle", "The bundle lacks bundle.json"),
    "a loss that is NaN": ({"does": "diverge"}, {}, "TrainingDiverged", "The loss in epoch 3 is nan"),
    "a graph that differs": ({"does": "disagree"}, {}, "GraphDiffers", "differs from the training framework"),
}
"""What goes wrong: orders to the trainer, what the stack is told, the error's name, and words of its remedy."""


@pytest.fixture(scope="module")
def bed(environments: Environments, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with made_up(environments, tmp_path_factory.mktemp("bed")) as bed:
        yield bed


@pytest.fixture(scope="module")
def champion(bed: Bed) -> dict[str, Any]:
    """The bucket with a model in service."""
    story = bed.story()
    bed.rest.tables = rows(120, FIRST)
    bed.train(strength=0.3)
    assert bed.run(story, {"at": iso(FIRST)})["status"] == "SUCCEEDED"
    bed.rest.tables = rows(150, SECOND)
    return snapshot(story)


@pytest.fixture(scope="module")
def ended() -> Iterator[list[tuple[str, str, str]]]:
    told: list[tuple[str, str, str]] = []
    yield told
    figures.add("Training that fails", ("what goes wrong", "ends as", "resumed, it ends as"), told)


@pytest.mark.parametrize("fault", ENDS)
def test_ends_by_its_name_and_costs_nothing(
    fault: str, bed: Bed, champion: dict[str, Any], ended: list[tuple[str, str, str]]
) -> None:
    orders, told, error, remedy = ENDS[fault]
    story = bed.story(champion)
    pointer = story.store.get(KEYS.pointer())
    usual = dict(bed.commander.environment)
    bed.train(**orders)
    bed.commander.environment |= told
    failed = bed.run(story, RUN)
    assert (failed["status"], failed["error"]) == ("FAILED", error), failed["cause"]
    assert remedy in failed["cause"]
    assert "\n" not in failed["cause"]
    assert story.store.get(KEYS.pointer()) == pointer
    assert story.document(KEYS.lease())["state"] == "free"
    assert story.document(KEYS.claim(run_name(SECOND)))["outcome"] == "failed"

    bed.commander.environment = usual
    bed.train()
    if error == "GraphDiffers":
        # Its bundle is the run's for good; another run trains another.
        return ended.append((fault, error, "the same"))
    resumed = bed.run(story, RESUMED)
    assert resumed["status"] == "SUCCEEDED", resumed
    ended.append((fault, error, str(json.loads(resumed["output"])["outcome"])))


# ----------------------------------------------------------------------------------------- the real script of `returns`

SPOT = Settings("returns", "spot", training_role="role", training_image="image", training_spot=True)
EPOCH = re.compile(r"^epoch (\d+)/", re.MULTILINE)


@dataclass(frozen=True)
class Instances:
    """Jobs as the product asks for them, on instances that a test can take away."""

    executor: SubprocessExecutor
    store: S3Store
    train_uri: str

    def start(self, run_ts: str, **knobs: Any) -> tuple[TrainingJob, threading.Thread]:
        """A spot job of that run."""
        pipeline = returns()
        training = replace(pipeline.training, hyperparameters={**pipeline.training.hyperparameters, **knobs})
        code = Archive(installed())
        run = Run(run_ts, self.train_uri)
        names = {"code_uri": self.store.uri(code.publish(self.store)), "code": code.digest, "region": "us-east-1"}
        wanted = request(replace(pipeline, training=training), SPOT, self.store, run, **names)
        name = f"spot-{run_ts}".replace("T", "-").replace("Z", "")
        job = TrainingJob({**wanted, "TrainingJobName": name}, f"arn:aws:sagemaker:::training-job/{name}", "us-east-1")
        thread = threading.Thread(target=self.executor.run, args=(job,))
        thread.start()
        return job, thread

    def log(self, job: TrainingJob) -> str:
        path = self.executor.log_file(job.name)
        return path.read_text() if path.exists() else ""

    def bundle(self, job: TrainingJob, folder: Path) -> Any:
        uri = job.describe()["ModelArtifacts"]["S3ModelArtifacts"]
        archive = folder / f"{job.name}.tar.gz"
        self.store.download(self.store.key_of(uri), archive)
        return read_bundle(archive, folder / job.name, "returns")


@pytest.fixture(scope="module")
def instances(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instances]:
    home, client = tmp_path_factory.mktemp("instances"), emulator.client("s3")
    client.create_bucket(Bucket="returns")
    store, prepared = S3Store("returns", client), MemoryStore()
    for table, columns in zip(("ai_outputs", "simulations_10m"), landed_rows(1500), strict=True):
        land(prepared, table, columns)
    hold_lease(prepared)
    (home / "work").mkdir()
    run = "2026-02-01T00-00-00Z"
    prepare(prepared, returns(), Order(run, EXECUTION, 3), Clock(START), home / "work")
    for key in (Keys("").train(run), Keys("").manifest(run)):
        store.put(key, prepared.objects[key].body)
    executor = SubprocessExecutor(
        python=emulator.environments.python("training"),
        home=home,
        endpoint=emulator.endpoint,
        credentials=lambda role, session: {"aws_access_key_id": "test", "aws_secret_access_key": "test"},
        checkpoint_seconds=0.2,
    )
    yield Instances(executor, store, store.uri(Keys("").train(run)))
    executor.close()
    shutil.rmtree(home, ignore_errors=True)


def test_a_spot_job_whose_instance_is_taken_away_goes_on_after_its_last_epoch_and_ends_the_same(
    instances: Instances, tmp_path: Path
) -> None:
    undisturbed, first = instances.start("2026-03-01T00-00-00Z", epochs=12)
    first.join(timeout=240)
    taken, second = instances.start("2026-03-01T01-00-00Z", epochs=12)
    deadline = time.monotonic() + 120
    while "epoch 3/" not in instances.log(taken):
        assert time.monotonic() < deadline, instances.log(taken)
        time.sleep(0.01)
    asked = instances.executor._home / "interrupt"
    asked.mkdir()
    (asked / taken.name).touch()
    second.join(timeout=240)

    assert [job.describe()["TrainingJobStatus"] for job in (undisturbed, taken)] == ["Completed", "Completed"]
    assert "Interrupted" in [each["Status"] for each in taken.describe()["SecondaryStatusTransitions"]]
    before, _, after = instances.log(taken).partition("resumed after epoch ")
    resumed = int(after.split()[0])
    assert resumed >= 3
    # An epoch is saved before it is logged.
    assert max(map(int, EPOCH.findall(before))) >= resumed - 1
    assert [int(epoch) for epoch in EPOCH.findall(after)] == list(range(resumed + 1, 13))
    same = [instances.bundle(job, tmp_path).reference()[1] for job in (undisturbed, taken)]
    np.testing.assert_array_equal(*same)
    assert not list(asked.iterdir())
    told = ("a spot interruption after epoch 3", "Completed", f"goes on after epoch {resumed}, the same weights")
    figures.add("Spot interruption of the real script", ("what", "ends as", "how"), [told])


def test_a_loss_that_is_no_number_reaches_the_classifier_by_its_name(instances: Instances) -> None:
    job, thread = instances.start("2026-03-01T02-00-00Z", lr=1e30, epochs=3)
    thread.join(timeout=120)
    told = job.describe()
    assert told["TrainingJobStatus"] == "Failed"
    failed = Job(job.name, told["TrainingJobStatus"], told["SecondaryStatus"], told["FailureReason"])
    with pytest.raises(TrainingDiverged, match="The loss in epoch 1 is nan"):
        classify(failed)
