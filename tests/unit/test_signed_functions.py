"""The functions around a signature, called as the machines, EventBridge and the HTTP API call them."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ratchet.endpoint.hosting import candidate_name, config_name
from ratchet.errors import ContractError, NotApproved, NotRegistered
from ratchet.files import land
from ratchet.registry.package import PENDING, REJECTED, name_of
from ratchet.registry.register import execution_name
from ratchet.serving.bundle import write_bundle
from ratchet.settings import settings
from ratchet.store import decode

from functions.approval_page import app as approval_page
from functions.ask_approval import app as ask_approval
from functions.close_approval import app as close_approval
from functions.decide import app as decide
from functions.move_endpoint import app as move_endpoint
from functions.promote import app as promote
from functions.register import app as register
from functions.rollback import app as rollback
from functions.stage_endpoint import app as stage_endpoint
from functions.tidy_endpoint import app as tidy_endpoint
from functions.verify_endpoint import app as verify_endpoint
from functions.write_features import app as write_features
from tests import bundles
from tests.fake_sagemaker import Group
from tests.filed import impressions
from tests.signed import EXECUTION, KEYS, PIPELINE, RUN, STACK, TOKEN, World

NAME = "ratchet-adclick"
CONTEXT = SimpleNamespace(
    function_name="step",
    memory_limit_in_mb=256,
    invoked_function_arn="arn:aws:lambda:eu-west-1:000000000000:function:step",
    aws_request_id="1",
    get_remaining_time_in_millis=lambda: 900_000,
)
ROW = {"pipeline": "adclick", "run_ts": RUN}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("RATCHET_BUCKET", "bucket")
    monkeypatch.setenv("RATCHET_STACK", STACK)
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A bundle whose answers are 0 to all reference rows."""
    bundle = bundles.unpacked(tmp_path / "members", pipeline="adclick", run=RUN)
    width = bundle.document["inputs"][0]["shape"][1]
    np.savez(bundle.reference_path, features=np.ones((3, width), "f4"), predictions=np.zeros((3, 1), "f4"))
    write_bundle(bundle.folder, tmp_path / "model.tar.gz")
    return World((tmp_path / "model.tar.gz").read_bytes())


def called(app: Any, event: dict[str, Any], *given: Any) -> dict[str, Any]:
    """The answer, which Lambda writes as JSON."""
    return dict(json.loads(json.dumps(app.handler(json.loads(json.dumps(event)), CONTEXT, *given))))


def test_what_is_approved_by_its_link_comes_into_service(world: World) -> None:
    found = called(register, world.event(), world, world.clock)
    arn = found["package_arn"]
    assert (found["status"], list(world.machine.inputs)) == ("pending_approval", [found["approval"]])
    (given,) = world.machine.inputs.values()
    assert {name: given[name] for name in ("pipeline", "run_ts", "package_arn")} == {**ROW, "package_arn": arn}

    world.waiting.alive.add("token")
    asked = {**ROW, "package_arn": arn, "token": "token", "seconds": 3600}
    assert called(ask_approval, asked, world, world.clock) == {"status": "asked"}
    assert called(stage_endpoint, {**ROW, "execution": EXECUTION, "token": TOKEN}, world)["status"] == "not_approved"

    link = world.people.messages[0][1].split("\n\n")[1].partition("\n")[2]
    query = dict(part.split("=") for part in link.partition("?")[2].replace("%3A", ":").split("&"))
    http = {"method": "POST", "path": link}
    visit = {"pathParameters": {"pipeline": "adclick", "run": RUN}, "queryStringParameters": query}
    visit |= {"requestContext": {"http": http}, "body": "decision=approve"}
    assert called(approval_page, visit, world, world.clock)["statusCode"] == 200
    event = {"detail-type": "SageMaker Model Package State Change", "detail": {"ModelPackageArn": arn}}
    assert called(decide, event, world, world.clock) == {"status": "approved"}
    assert world.waiting.decisions() == [("token", "approved")]

    staged = called(stage_endpoint, {**ROW, "execution": EXECUTION, "token": TOKEN}, world)
    assert (staged["status"], staged["endpoint"], staged["previous"]) == ("staged", NAME, None)
    for endpoint in (staged["candidate"], staged["endpoint"]):
        assert moved(world, endpoint, staged["config"]) == "in_service"
        world.hosts.answers[endpoint] = answer
        verified = called(verify_endpoint, {**ROW, "endpoint": endpoint}, world)
        assert verified == {"rows": 3}
    assert called(tidy_endpoint, {"pipeline": "adclick", "endpoint": NAME}, world) == {"removed": []}
    assert moved(world, candidate_name(NAME), None) == "gone"
    assert set(world.hosts.endpoints) == {NAME}
    assert world.hosts.endpoints[NAME].now.config == config_name(NAME, RUN, world.sha256, world.hosts.kind)


def answer(body: bytes) -> bytes:
    rows = json.loads(body)["features"]
    return json.dumps({"predictions": [{"probability": 0.0, "model_run_ts": RUN} for _ in rows]}).encode()


def moved(world: World, endpoint: str, config: str | None) -> str:
    """As the machine calls it, until it has arrived."""
    progress: dict[str, Any] = {"status": "changing", "asked": False}
    while progress["status"] == "changing":
        told = {"pipeline": "adclick", "endpoint": endpoint, "config": config, "asked": progress["asked"]}
        progress = called(move_endpoint, told, world)
    return str(progress["status"])


def test_what_nobody_decides_is_closed_with_its_reason(world: World) -> None:
    arn = called(register, world.event(), world, world.clock)["package_arn"]
    world.ask(arn)
    closed = called(close_approval, {**ROW, "package_arn": arn}, world, world.clock)
    assert closed == {"decision": "expired", "why": "Nobody decided in time."}
    assert world.package(arn).status == REJECTED
    assert called(stage_endpoint, {**ROW, "execution": EXECUTION, "token": TOKEN}, world)["status"] == "not_approved"


def test_a_stack_hears_of_its_own_packages_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    arn = called(register, world.event(), world, world.clock)["package_arn"]
    world.ask(arn)
    world.approve(arn)
    monkeypatch.setenv("RATCHET_STACK", "another")
    settings.cache_clear()
    assert called(decide, {"detail": {"ModelPackageArn": arn}}, world, world.clock) == {"status": "foreign"}
    assert called(stage_endpoint, {**ROW, "execution": EXECUTION, "token": TOKEN}, world)["status"] == "not_approved"
    assert (world.waiting.heard, world.hosts.calls) == ([], [])


@pytest.mark.parametrize("allowed", ["true", "false", ""])
def test_synthetic_data_is_registered_where_the_stack_says_so(
    world: World, allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.judge(synthetic=True)
    monkeypatch.setenv("RATCHET_ALLOW_SYNTHETIC", allowed)
    settings.cache_clear()
    if allowed == "true":
        assert called(register, world.event(), world, world.clock)["status"] == "pending_approval"
        return
    with pytest.raises(ContractError, match="AllowSynthetic"):
        called(register, world.event(), world, world.clock)
    assert (world.packages.packages, world.machine.inputs) == ({}, {})


def test_the_approval_lies_where_the_package_is_named(world: World) -> None:
    arn = called(register, world.event(), world, world.clock)["package_arn"]
    world.ask(arn, "token")
    key = KEYS.approval(name_of(arn))
    assert key == "adclick/approvals/ratchet-models-1.json"
    document = decode(world.bucket.objects[key], key)
    assert document == asdict(world.approval(arn))
    assert (document["state"], document["tokens"], document["told"]) == ("waiting", ["token"], False)


def test_a_resumed_run_waits_in_the_same_execution(world: World) -> None:
    first = called(register, world.event(), world, world.clock)
    assert called(register, world.event(), world, world.clock) == first
    assert len(world.machine.inputs) == 1
    assert first["approval"] == execution_name(world.register())


def test_features_are_written_until_all_are_there(world: World) -> None:
    group, key = Group(), "adclick/datasets/a.csv"
    world.bucket.put(key, impressions("7,Ann,31,Female,Mobile,Top,News,Night,1"))
    tables = land.land(world.bucket, world.bucket, PIPELINE, key).tables
    ports = SimpleNamespace(store=world.store, feature_group=lambda: group)
    event = {"pipeline": "adclick", "part": tables["records"]["part"], "execution": EXECUTION}
    for _ in range(2):
        written = called(write_features, event, ports)
        assert written == {"done": True, "records": 1, "feature_group": group.name, "busy": False}
    assert group.puts == 1


@pytest.mark.parametrize("status", [PENDING, REJECTED])
def test_the_pointer_moves_to_no_model_that_is_not_approved(world: World, status: str) -> None:
    arn = world.register().package_arn
    world.packages.change(arn, status=status)
    with pytest.raises(NotApproved, match=rf"is not put into service: its package is {status}"):
        called(promote, world.event(), world)
    assert KEYS.pointer() not in world.bucket.objects
    world.approve(arn)
    assert called(promote, world.event(), world)["status"] == "promoted"


def test_a_model_that_was_never_registered_is_not_promoted(world: World) -> None:
    with pytest.raises(NotRegistered):
        called(promote, world.event(), world)


def test_nothing_is_rolled_back_to_a_model_that_was_rejected_since(world: World) -> None:
    arn = world.register().package_arn
    world.promoted_before()
    world.reject(arn)
    before = world.bucket.objects[KEYS.pointer()].etag
    with pytest.raises(NotApproved, match="Rejected"):
        called(rollback, {"pipeline": "adclick", "to": RUN, "who": "a person", "why": "worse"}, world)
    assert world.bucket.objects[KEYS.pointer()].etag == before
