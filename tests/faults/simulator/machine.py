"""The order of steps in `statemachines/*.asl.yaml`, as generators: what they yield is done by the world.

Events are those of the definitions; a contract test compares the names of their fields.
"""

import json
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from ratchet.instants import iso

from tests.faults.simulator.stand_ins import NAME

EVIDENCE = ("sha256", "champion_etag", "train_uri", "evaluation_uri", "reason")


@dataclass(frozen=True)
class Task:
    """A state that calls a function of `functions/`."""

    step: str
    event: dict[str, Any]


class Ask(Task):
    """A state that calls a function with a token, and ends when the token comes back."""


@dataclass(frozen=True)
class Nested:
    """A state that lasts as long as an execution of its own, and has its outcome."""

    definition: "Callable[[Any], Machine]"
    given: dict[str, Any]


@dataclass(frozen=True)
class Wait:
    """A state that lasts until something is so."""

    until: Callable[[], bool]


class StepFailed(Exception):
    """What a `Catch` is told."""

    def __init__(self, name: str, cause: str) -> None:
        super().__init__(f"{name}: {cause}")
        self.name, self.cause = name, cause


Machine = Generator[Task | Nested | Wait, Any, Any]


def pipeline(execution: Any) -> Machine:
    """`pipeline.asl.yaml`: the outcome; StepFailed where the execution fails."""
    ours = {"pipeline": NAME, "execution": execution.arn}
    started = iso(execution.started)
    claim = yield Task("claim_run", {**ours, "started": started, "input": execution.given})
    run = {**ours, "run_ts": claim["run_ts"]}
    if claim["status"] == "same_run":
        return "same_run"
    failure = None
    try:
        lease = yield Task("take_lease", run)
        outcome = "already_running"
        if lease["status"] == "taken":
            outcome = yield from _work(execution, run, claim, lease["token"])
    except StepFailed as failed:
        failure, outcome = failed, "failed"
    try:
        yield Task("give_back_lease", {**run, "outcome": outcome})
    except StepFailed as failed:
        raise failure or failed from None
    if failure:
        raise failure
    return outcome


def extraction(execution: Any) -> Machine:
    """A run up to the data that it lands."""
    run = {"pipeline": NAME, "execution": execution.arn, "run_ts": execution.given["run_ts"]}
    lease = yield Task("take_lease", run)
    done = False
    while not done:
        done = (yield Task("extract", {**run, "token": lease["token"], "since_ts": None, "month": None}))["done"]
    yield Task("lay_down_lease", run)


def lease_alone(execution: Any) -> Machine:
    """A run that takes the lease and gives it back."""
    run = {"pipeline": NAME, "execution": execution.arn, "run_ts": execution.given["run_ts"]}
    yield Task("take_lease", run)
    yield Task("lay_down_lease", run)


def _work(execution: Any, run: dict[str, Any], claim: dict[str, Any], token: int) -> Machine:
    held = {**run, "token": token}
    if not claim["skip_data_prep"]:
        stretch = {"since_ts": claim["since_ts"], "month": claim["month"]}
        done = False
        while not done:
            done = (yield Task("extract", {**held, **stretch}))["done"]
        about = {"pipeline": NAME, "run_ts": run["run_ts"], "scheduled": claim["scheduled"], "month": claim["month"]}
        enough = yield Task("check_sufficiency", about)
        if enough["status"] != "sufficient":
            return enough["status"]
    limits = {name: claim[name] for name in ("limit", "skip_data_prep", "month", "sample")}
    prepared = yield Task("prepare", {**held, **limits})
    if prepared["status"] != "prepared":
        return prepared["status"]
    execution.releasing = True
    try:
        return (yield from _release(execution, {**prepared, **held, "attempt": claim["attempt"]}))
    finally:
        execution.releasing = False


def _release(execution: Any, run: dict[str, Any]) -> Machine:
    """`release.asl.yaml`; where a person signs, it registers what others promote."""
    common = {"pipeline": NAME, "run_ts": run["run_ts"]}
    trained = yield from _train(execution, run, common)
    held = {**common, "execution": execution.arn, "token": run["token"]}
    bundle = {"bundle_uri": trained["bundle_uri"], "job_name": trained["job_name"]}
    data = {"holdout_uri": run["holdout_uri"], "manifest_uri": run["manifest_uri"]}
    for _ in range(3):
        verdict = yield Task("evaluate", {**held, **data, **bundle})
        if verdict["verdict"] != "promote":
            return "kept_champion"
        evidence = {name: verdict[name] for name in EVIDENCE}
        about = {**held, **bundle, **evidence, **data, "card_uri": verdict["card_uri"]}
        promoted = yield Task("register" if execution.signed else "promote", about)
        if promoted["status"] != "champion_moved":
            return promoted["status"]
    raise StepFailed("ChampionMoved", "The champion moved three times.")


def _train(execution: Any, run: dict[str, Any], common: dict[str, Any]) -> Machine:
    about = {"train_uri": run["train_uri"], "attempt": run["attempt"]}
    stage = yield Task("stage_training", {**common, **about})
    name, error = stage["job_name"], None
    if stage["status"] == "start":
        name = f"{name}r0"
        job = execution.create_job(name, stage["request"])
        if job is None:
            error = {"Error": "SageMaker.ResourceInUseException", "Cause": "exists"}
        else:
            yield Wait(lambda: job.status not in {"InProgress", "Stopping"})
            if job.status == "Failed":
                error = {"Error": "States.TaskFailed", "Cause": json.dumps(job.described())}
    while True:
        trained = yield Task("confirm_training", {**common, "job_name": name, "error": error})
        if trained["status"] == "completed":
            return trained
        yield Wait(lambda: not execution.is_training(name))
