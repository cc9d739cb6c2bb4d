"""The order of steps of what a person signs, as in `machine.py`: approval, deployment, endpoint."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tests.faults.simulator.machine import EVIDENCE, Ask, Machine, Nested, StepFailed, Task, Wait
from tests.faults.simulator.stand_ins import NAME

WEEK = 604_800
Run = dict[str, Any]


def approval(execution: Any) -> Machine:
    """`approval.asl.yaml`."""
    run = execution.given
    about = {name: run[name] for name in ("pipeline", "run_ts", "package_arn")}
    try:
        told = yield Ask("ask_approval", {**about, "token": None, "seconds": WEEK})
    except StepFailed as failed:
        if failed.name != "States.Timeout":
            raise
        told = yield Task("close_approval", about)
    if told["decision"] != "approved":
        return "rejected" if told["decision"] == "rejected" else "approval_expired"
    return (yield Nested(deployment, run))


def deployment(execution: Any) -> Machine:
    """`deployment.asl.yaml`."""
    ours = {"pipeline": NAME, "run_ts": execution.given["run_ts"], "execution": execution.arn}
    while (lease := (yield Task("take_lease", ours)))["status"] == "held":
        yield Wait(_ended(execution, lease["holder"]))
    failure, outcome, served = None, "failed", Served()
    try:
        if "champion" in execution.given:
            outcome = yield from _follow(ours["run_ts"])
        else:
            outcome = yield from _deploy(execution.given, {**ours, "token": lease["token"]}, served)
    except StepFailed as failed:
        failure = failed
    if outcome != "promoted" and served.itself and served.champion is not None:
        try:
            yield from _follow(served.champion)
        except StepFailed as failed:
            failure, outcome = failure or failed, "failed"
    try:
        yield Task("give_back_lease", {**ours, "outcome": outcome})
    except StepFailed as failed:
        raise failure or failed from None
    if failure:
        raise failure
    return outcome


def _ended(execution: Any, holder: str) -> Callable[[], bool]:
    return lambda: not execution.is_running(holder)


@dataclass
class Served:
    """Whether a deployment's own model is in service, and which champion it was judged against last."""

    itself: bool = False
    champion: str | None = None


def _deploy(run: Run, held: Run, served: Served) -> Machine:
    bundle = {name: run[name] for name in ("bundle_uri", "job_name")}
    data = {name: run[name] for name in ("holdout_uri", "manifest_uri")}
    for _ in range(3):
        verdict = yield Task("evaluate", {**held, **data, **bundle})
        served.champion = verdict["champion_run_ts"]
        if verdict["verdict"] != "promote":
            return "kept_champion"
        served.itself = served.itself or (yield Nested(endpoint, held)) == "in_service"
        if not served.itself:
            return "rejected"
        evidence = {name: verdict[name] for name in EVIDENCE}
        promoted = yield Task("promote", {**held, **bundle, **evidence})
        if promoted["status"] == "promoted":
            return "promoted"
    raise StepFailed("ChampionMoved", "The champion moved three times.")


def _follow(champion: str) -> Machine:
    """The endpoint serves the champion, which needs no lease but must be that."""
    followed = yield Nested(endpoint, {"pipeline": NAME, "run_ts": champion, "execution": None, "token": None})
    if followed != "in_service":
        raise StepFailed("NotApproved", f"{champion} is not approved any more.")
    return followed


def endpoint(execution: Any) -> Machine:
    """`endpoint.asl.yaml`."""
    run = execution.given
    staged = yield Task("stage_endpoint", {name: run[name] for name in ("pipeline", "run_ts", "execution", "token")})
    if staged["status"] == "not_approved":
        return "not_approved"
    about = {"pipeline": NAME, "run_ts": run["run_ts"]}
    undo = True
    try:
        if staged["status"] == "staged":
            undo = False
            yield from _try(execution, staged, about)
            undo = True
            yield from _move(execution, staged["endpoint"], staged["config"])
        yield Task("verify_endpoint", {**about, "endpoint": staged["endpoint"]})
    except StepFailed as failed:
        yield from _undo(execution, staged, put_back=undo or not isinstance(failed, EndpointStays))
        raise
    with suppress(StepFailed):
        yield Task("tidy_endpoint", {"pipeline": NAME, "endpoint": staged["endpoint"]})
    return "in_service"


def _try(execution: Any, staged: Run, about: Run) -> Machine:
    if staged["candidate"] is not None:
        yield from _move(execution, staged["candidate"], staged["config"])
        yield Task("verify_endpoint", {**about, "endpoint": staged["candidate"]})


def _undo(execution: Any, staged: Run, *, put_back: bool) -> Machine:
    """What was served is served again, and the candidate goes; the first error stands."""
    back, gone = (staged["endpoint"], staged["previous"]), (staged["candidate"], None)
    for name, config in [*([back] if put_back else []), *([gone] if gone[0] else [])]:
        with suppress(StepFailed):
            yield from _move(execution, name, config)


class EndpointStays(StepFailed):
    """An endpoint did not become what it was asked to."""


def _move(execution: Any, name: str | None, config: str | None) -> Machine:
    asked = False
    while True:
        moved = yield Task("move_endpoint", {"pipeline": NAME, "endpoint": name, "config": config, "asked": asked})
        if moved["status"] in {"in_service", "gone"}:
            return
        if moved["status"] == "failed":
            raise EndpointStays("EndpointFailed", moved["reason"])
        asked = moved["asked"]
        yield Wait(lambda: execution.is_settled(name))
