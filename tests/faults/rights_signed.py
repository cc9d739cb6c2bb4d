"""Scenes of what a person signs: a model is registered, decided on, put into service; records become features."""

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from ratchet.endpoint.hosting import config_name
from ratchet.endpoint.tidy import KEPT
from ratchet.errors import EndpointFailed, NotApproved
from ratchet.files import land
from ratchet.registry.package import APPROVED
from ratchet.store import encode
from ratchet.tabular.kind import part_name

from tests import bundles, filed
from tests.faults.rights_called import Noted
from tests.faults.rights_ports import NOW, Ports, handle
from tests.signed import EXECUTION, KEYS, PIPELINE, RUN, SECONDS, TOKEN, World

NAME, FILE, OTHER = "ratchet-adclick", "adclick/datasets/a.csv", "adclick/datasets/b.csv"
OURS = {"pipeline": "adclick", "run_ts": RUN}
Scene = Callable[[str, Ports, Noted], None]


def _asked_for(ports: Ports) -> tuple[World, str]:
    """A world whose run is registered, and its package."""
    ports.signed = World()
    ports.memory = ports.signed.bucket
    return ports.signed, ports.signed.register().package_arn


def _registers(step: str, ports: Ports, noted: Noted) -> None:
    """A model that is new, which another call registers at the same time, and again."""
    world = ports.signed
    ports.memory, world.bucket.between = world.bucket, world.register
    answers = [handle(step, noted, world.event()) for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(world.machine.inputs) == 1


def _asks(step: str, ports: Ports, noted: Noted) -> None:
    """Before a decision, after one, and once its time is over."""
    world, arn = _asked_for(ports)
    question = {**OURS, "package_arn": arn, "seconds": SECONDS}
    world.waiting.alive |= {"first", "second", "third"}
    assert handle(step, noted, {**question, "token": "first"})["status"] == "asked"
    world.approve(arn)
    assert handle(step, noted, {**question, "token": "second"})["status"] == "approved"
    expired = replace(world.approval(arn), state="expired")
    world.bucket.put(KEYS.approval("ratchet-models-1"), encode(asdict(expired)))
    assert handle(step, noted, {**question, "token": "third"})["status"] == "expired"
    assert world.waiting.decisions()[-1] == ("third", "expired")


def _closes(step: str, ports: Ports, noted: Noted) -> None:
    """Nobody decided."""
    world, arn = _asked_for(ports)
    world.ask(arn)
    assert handle(step, noted, {**OURS, "package_arn": arn})["decision"] == "expired"
    assert world.packages.decided


def _hears(step: str, ports: Ports, noted: Noted) -> None:
    """An approval, and that it is taken back."""
    world, arn = _asked_for(ports)
    world.ask(arn)
    event = {"detail": {"ModelPackageArn": arn}}
    world.approve(arn)
    assert handle(step, noted, event)["status"] == "approved"
    world.reject(arn)
    assert handle(step, noted, event)["status"] == "late"
    assert len(world.people.messages) == 2


def _visited(step: str, ports: Ports, noted: Noted) -> None:
    """Somebody looks, and approves."""
    world, arn = _asked_for(ports)
    link = urlsplit(world.signer().link(world.api_url(), "adclick", RUN, NOW + timedelta(hours=1)))
    query = {name: values[0] for name, values in parse_qs(link.query).items()}
    for method in ("GET", "POST"):
        http = {"requestContext": {"http": {"method": method, "path": link.path}}}
        asked = {"pathParameters": {"pipeline": "adclick", "run": RUN}, "queryStringParameters": query}
        event = {**http, **asked, "body": urlencode({"decision": "approve"})}
        assert handle(step, noted, event)["statusCode"] == 200
    assert world.package(arn).status == APPROVED


def _stages(step: str, ports: Ports, noted: Noted) -> None:
    """What is approved."""
    world, arn = _asked_for(ports)
    world.approve(arn)
    staged = handle(step, noted, {**OURS, "execution": EXECUTION, "token": TOKEN})
    assert (staged["status"], len(world.hosts.made())) == ("staged", 1)


def _promotes(step: str, ports: Ports, noted: Noted) -> None:
    """What is approved; what is not is refused."""
    world, arn = _asked_for(ports)
    with pytest.raises(NotApproved):
        handle(step, noted, world.event())
    world.approve(arn)
    assert handle(step, noted, world.event())["status"] == "promoted"


def _rolls_back(step: str, ports: Ports, noted: Noted) -> None:
    """To a model whose package is rejected by now."""
    world, arn = _asked_for(ports)
    world.promoted_before()
    world.reject(arn)
    with pytest.raises(NotApproved):
        handle(step, noted, {"pipeline": "adclick", "to": RUN, "who": "a person", "why": "worse"})


def _moves(step: str, ports: Ports, noted: Noted) -> None:
    """It comes, changes and goes."""
    hosts = ports.signed.hosts
    one, two = (config_name(NAME, f"2026-11-2{day}T04-00-00Z", "0" * 64, hosts.kind) for day in (1, 2))
    for config in (one, two):
        _configured(hosts, config)
    for config, arrived in ((one, "in_service"), (two, "in_service"), (None, "gone")):
        moved: dict[str, Any] = {"status": "changing", "asked": False}
        while moved["status"] == "changing":
            event = {"pipeline": "adclick", "endpoint": NAME, "config": config, "asked": moved["asked"]}
            moved = handle(step, noted, event)
        assert moved["status"] == arrived


def _configured(hosts: Any, config: str) -> None:
    hosts.create_model(config, "s3://bucket/model.tar.gz")
    hosts.create_config(config, config)


def _verifies(step: str, ports: Ports, noted: Noted) -> None:
    """It answers nothing that could be believed."""
    with TemporaryDirectory() as folder:
        world = ports.signed = World(bundles.packed(Path(folder), pipeline="adclick", run=RUN))
    ports.memory = world.bucket
    world.register()
    world.hosts.answers[NAME] = lambda _: b""
    with pytest.raises(EndpointFailed, match="no predictions"):
        handle(step, noted, {**OURS, "endpoint": NAME})


def _tidies(step: str, ports: Ports, noted: Noted) -> None:
    """More was served than is kept."""
    for day in range(KEPT + 1):
        config = config_name(NAME, f"2026-11-2{day}T04-00-00Z", "0" * 64, "serverless")
        _configured(ports.signed.hosts, config)
    assert len(handle(step, noted, {"pipeline": "adclick", "endpoint": NAME})["removed"]) == 1


def _writes_features(step: str, ports: Ports, noted: Noted) -> None:
    """A file that has landed, and one of which nothing could be used."""
    for key, lines in ((FILE, filed.people(5)), (OTHER, ["7,Ann,old,Female,Mobile,Top,News,Night,1"])):
        ports.memory.put(key, filed.impressions(*lines))
        land.land(ports.memory, ports.memory, PIPELINE, key)
        assert handle(step, noted, {"pipeline": "adclick", "part": part_name(key), "execution": EXECUTION})["done"]
    assert ports.group.records


SCENES: list[tuple[str, Scene]] = [
    ("register", _registers),
    ("ask_approval", _asks),
    ("close_approval", _closes),
    ("decide", _hears),
    ("approval_page", _visited),
    ("stage_endpoint", _stages),
    ("promote", _promotes),
    ("rollback", _rolls_back),
    ("move_endpoint", _moves),
    ("verify_endpoint", _verifies),
    ("tidy_endpoint", _tidies),
    ("write_features", _writes_features),
]
