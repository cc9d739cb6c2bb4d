"""Known bugs of what a person signs, planted one at a time (`bugs.py` has the others, and plants them)."""

import json
from contextlib import AbstractContextManager
from dataclasses import replace as changed
from functools import partial
from typing import Any
from unittest import mock

from ratchet import evaluate
from ratchet.endpoint import tidy, verify
from ratchet.endpoint.move import Progress
from ratchet.errors import Unavailable
from ratchet.gate.checks import Check
from ratchet.registry import approval, asking, package, register
from ratchet.registry.package import APPROVED
from ratchet.store import encode

from tests.faults.simulator import signed
from tests.faults.simulator.functions import module
from tests.faults.simulator.people import People
from tests.faults.simulator.stand_ins import NAME


def _told_first(store: Any, keys: Any, tasks: Any, clock: Any, decided: Any) -> str:
    """Whoever waits hears of a decision before it is written down."""
    found, state = approval.read(store, keys, decided.arn), approval.STATES.get(decided.status)
    if found is None or state is None or found[0].state != "waiting":
        return "repeated"
    for token in found[0].tokens:
        tasks.succeed(token, {"decision": state, "why": ""})
    if not approval._write(store, keys, changed(found[0], state=state, told=True), found[1]):
        raise Unavailable("Others changed it.")
    return state


def _close_blindly(store: Any, keys: Any, clock: Any, package_arn: str, decided: Any) -> Any:
    """What nobody heard of has expired, whatever stands there."""
    found = approval.read(store, keys, package_arn)
    if found is None:
        return None
    closed = changed(found[0], state="expired", told=True)
    if not approval._write(store, keys, closed, found[1]):
        raise Unavailable("Others changed it.")
    return closed


def _deaf_ask(ports: Any, pipeline: Any, clock: Any, question: Any) -> str:
    """A decision that came before the question is not looked for."""
    approval.ask(ports.store(), pipeline.keys, clock, **vars(question))
    ports.topic().tell("approve?", "")
    return "asked"


def _as_registered(store: Any, pipeline: Any, request: Any, champion: Any) -> Any:
    """A deployment takes the verdict for good by which its model was registered."""
    key = pipeline.keys.evaluation(request.run_ts)
    stored = store.get(key)
    if stored is None or champion is None or "-deployment" not in request.execution:
        return _finished(store, pipeline, request, champion)
    evaluation = json.loads(stored.body)
    evaluation["champion"] = {"etag": champion[1], "run_ts": champion[0].run_ts}
    store.put(key, encode(evaluation))
    return evaluation


_finished = evaluate._finished


def _forgetful(hosting: Any, name: str, config: str | None, *, asked: bool) -> Progress:
    """Whether an endpoint was asked before is forgotten."""
    return _move(hosting, name, config, asked=False)


_move = module("move_endpoint").move


def _sign(store: Any, registry: Any, *given: Any, **options: Any) -> Any:
    """What has passed the gate is approved at once."""
    registered = _register(store, registry, *given, **options)
    registry.decide(registered.package_arn, APPROVED, "It passed the gate.")
    return registered


_register = register.register


def _tidy_too_much(hosting: Any, endpoint: str) -> list[str]:
    """The newest configurations stay, whichever is served."""
    ours = [name for name in hosting.named(f"{endpoint}-") if tidy.is_config(endpoint, name)]
    surplus = sorted(ours, reverse=True)[tidy.KEPT :]
    for name in surplus:
        hosting.discard(name)
    return surplus


def _follow_at_once(self: People, name: str, run_ts: str) -> None:
    """The endpoint follows a rollback without the lease."""
    given = {"pipeline": NAME, "run_ts": run_ts, "execution": None, "token": None}
    self.start(name, given, definition=signed.endpoint)


def _object(owner: Any, name: str, bug: Any) -> Any:
    return partial(mock.patch.object, owner, name, bug)


def _step(step: str, name: str, bug: Any) -> Any:
    return lambda: _patched(step, name, bug)


def _patched(step: str, name: str, bug: Any) -> AbstractContextManager[Any]:
    return mock.patch.dict(vars(module(step)), {name: bug})


SIGNED_BUGS = {
    "a stage that trusts the registration alone": _object(package, "check", lambda *arguments: None),
    "a decision that is told before it is written": _object(asking.approval, "settle", _told_first),
    "a close that overwrites a decision": _object(asking.approval, "close", _close_blindly),
    "a question that drops an early answer": _step("ask_approval", "ask_people", _deaf_ask),
    "a question whose last caller alone is answered": _object(approval, "_with", lambda token, found: [token]),
    "a deployment without judging again": _object(evaluate, "_finished", _as_registered),
    "a move that forgets what it asked for": _step("move_endpoint", "move", _forgetful),
    "an endpoint that may answer anything": _object(verify.checks, "parity", lambda found: Check("parity", True, "")),
    "a registration that approves itself": _step("register", "register", _sign),
    "a rollback's endpoint without the lease": _object(People, "endpoint_follows", _follow_at_once),
    "tidying up what is served": _step("tidy_endpoint", "tidy", _tidy_too_much),
}
