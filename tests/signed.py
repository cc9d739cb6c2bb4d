"""A run of `adclick` that passed the gate, with every port around its registration, its approval and its endpoint."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ratchet.catalog import load
from ratchet.instants import iso
from ratchet.lease import Lease
from ratchet.registry import approval
from ratchet.registry.approval import Approval
from ratchet.registry.asking import Question, ask_people, close_question, hear
from ratchet.registry.link import Signer
from ratchet.registry.package import APPROVED, REJECTED, Package, Registration
from ratchet.registry.register import register, wish_of
from ratchet.store import encode

from tests.fake_sagemaker import Hosts, Packages, People, Started, Waiting
from tests.fakes import Clock, MemoryStore

PIPELINE = load("adclick")
KEYS = PIPELINE.keys
STACK = "ratchet"
RUN = "2026-11-21T04-00-00Z"
NOW = datetime(2026, 11, 21, 4, 30, tzinfo=UTC)
EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:release:one"
TOKEN = 7
SECONDS = 3600
BUNDLE = b"the very bytes that were judged"


class Meddled(MemoryStore):
    """A store in which something else happens between the next look at an object and the write that follows it."""

    def __init__(self) -> None:
        super().__init__()
        self.between: Callable[[], Any] | None = None

    def put(self, key: str, body: bytes, **conditions: Any) -> str:
        move, self.between = self.between, None
        if move:
            move()
        return super().put(key, body, **conditions)


class World:
    """The ports, under the names that functions ask for; what stands behind them under plain ones."""

    def __init__(self, bundle: bytes = BUNDLE) -> None:
        self.sha256 = hashlib.sha256(bundle).hexdigest()
        self.bucket, self.clock = Meddled(), Clock(NOW)
        self.packages, self.waiting, self.people = Packages(), Waiting(), People()
        self.hosts, self.machine = Hosts(), Started()
        self.bucket.put(KEYS.model(RUN), bundle)
        self.judge()
        self.hold_lease()

    def store(self) -> MemoryStore:
        return self.bucket

    def registry(self) -> Packages:
        return self.packages

    def hosting(self) -> Hosts:
        return self.hosts

    def tasks(self) -> Waiting:
        return self.waiting

    def topic(self) -> People:
        return self.people

    def approvals(self) -> Started:
        return self.machine

    def signer(self) -> Signer:
        return Signer("a secret")

    def api_url(self) -> str:
        return "https://api.test"

    def hold_lease(self, execution: str = EXECUTION, token: int = TOKEN, state: str = "held") -> None:
        held = Lease(state, execution, RUN, token, iso(NOW), iso(NOW + timedelta(hours=4)))
        self.bucket.put(KEYS.lease(), encode(asdict(held)))

    def judge(self, verdict: str = "promote", champion: str | None = None, **data: Any) -> None:
        """The evidence about the bundle that lies there."""
        etag = self.bucket.objects[KEYS.model(RUN)].etag
        told = {"run_ts": RUN, "bundle_uri": self.uri(KEYS.model), "etag": etag, "sha256": self.sha256}
        document = {
            "verdict": verdict,
            "challenger": told,
            "champion": {"etag": champion} if champion else None,
            "lineage": {"train_uri": self.uri(KEYS.train)},
            "data": {"synthetic": False} | data,
        }
        self.bucket.put(KEYS.evaluation(RUN), encode(document))

    def uri(self, name: Callable[[str], str]) -> str:
        return self.bucket.uri(name(RUN))

    def event(self, **changed: Any) -> dict[str, Any]:
        """What the function that registers is called with."""
        uris = {"bundle_uri": KEYS.model, "train_uri": KEYS.train, "evaluation_uri": KEYS.evaluation}
        uris |= {"card_uri": KEYS.card, "holdout_uri": KEYS.holdout, "manifest_uri": KEYS.manifest}
        told = {"pipeline": PIPELINE.name, "run_ts": RUN, "execution": EXECUTION, "token": TOKEN, "champion_etag": None}
        told |= {"sha256": self.sha256, "job_name": "job", "reason": "Better."}
        return {**told, **{name: self.uri(key) for name, key in uris.items()}, **changed}

    def register(self, *, allow_synthetic: bool = False, **changed: Any) -> Registration:
        given = (self.bucket, self.packages, PIPELINE, self.clock, wish_of(self.event(**changed)))
        return register(*given, stack=STACK, allow_synthetic=allow_synthetic)

    def promoted_before(self, in_service: str = "2026-11-21T05-00-00Z") -> None:
        """The run was in service, and another one is by now, or itself again."""
        for seq, run in ((1, RUN), (2, in_service)):
            told = {"model_uri": self.bucket.uri(KEYS.model(run)), "run_ts": run, "job_name": "job"}
            told |= {"train_uri": self.bucket.uri(KEYS.train(run)), "updated_at": iso(NOW), "sha256": self.sha256}
            told |= {"seq": seq, "previous": RUN if seq > 1 else None, "previous_seq": seq - 1 or None}
            told |= {"evaluation_uri": self.uri(KEYS.evaluation), "token": TOKEN, "move": "promote"}
            self.bucket.put(KEYS.history(seq), encode({**told, "who": EXECUTION, "why": "Better."}))
            self.bucket.put(KEYS.pointer(), encode(told))

    def ask(self, arn: str, token: str = "first", run_ts: str = RUN) -> str:
        self.waiting.alive.add(token)
        return ask_people(self, PIPELINE, self.clock, Question(run_ts, arn, token, SECONDS))

    def hear(self, arn: str) -> str:
        return hear(self, self.clock, arn, stack=STACK)

    def close(self, arn: str) -> str:
        """The time is over: whoever waited does not any more."""
        self.waiting.alive.clear()
        return close_question(self, PIPELINE, self.clock, arn)[0]

    def approve(self, arn: str, why: str = "fine") -> None:
        self.packages.change(arn, status=APPROVED, why=why)

    def reject(self, arn: str, why: str = "no") -> None:
        self.packages.change(arn, status=REJECTED, why=why)

    def approval(self, arn: str) -> Approval:
        found = approval.read(self.bucket, KEYS, arn)
        assert found
        return found[0]

    def package(self, arn: str) -> Package:
        found = self.packages.find(arn)
        assert found
        return found

    def exchanged(self, arn: str, facts: Mapping[str, str | None]) -> None:
        """The package says something else of itself."""
        told = {name: value for name, value in {**self.package(arn).facts, **facts}.items() if value is not None}
        self.packages.packages[arn] = replace(self.package(arn), facts=told)
