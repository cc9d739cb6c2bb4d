"""The ports of storage and coordination in any order of calls, against the emulator's S3.

Two machines of Hypothesis. The first gives every call to the real adapter, to the memory store of the unit tests and to
the bucket of the simulator: all three must answer alike, so that what holds over the one holds over the others. The
second moves lease, claims, watermark and pointer with knowledge that may be out of date and answers that may be lost.
"""

import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test
from ratchet import claim, lease, pointer, promote
from ratchet.adapters.s3 import S3Store
from ratchet.errors import BadInput, ChampionMoved, LeaseLost, Unavailable, UnknownRun
from ratchet.extraction import watermark
from ratchet.extraction.watermark import Watermark
from ratchet.instants import iso, run_name
from ratchet.keys import Keys
from ratchet.pointer import Move
from ratchet.store import Ambiguous, ObjectStore, PreconditionFailed, Versions, create, replace

from tests.emulated import Emulator
from tests.fakes import Clock, Executions, MemoryStore
from tests.faults.simulator.bucket import Bucket, Requests
from tests.landed import START

SETTINGS = settings(
    max_examples=40, stateful_step_count=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
NAMES = st.sampled_from(["a.json", "a/b.json", "a/ b+ü.parquet", "c"])
BODIES = st.sampled_from([b"", b"{}", b"[1]", b"x" * 70_000])
TAGS = st.sampled_from([None, {"ratchet:retention": "run"}, {"ratchet:retention": "champion"}])


@pytest.fixture(scope="module")
def client(emulator: Emulator) -> Any:
    return emulator.client("s3")


class Alone:
    """The simulator's process, when nothing befalls it."""

    name = "alone"

    def ask(self, operation: str, what: str) -> str:
        return "go"


def answer(call: Callable[[], Any]) -> Any:
    """What a call returns, or the name of the error it raises."""
    try:
        return call()
    except (BadInput, PreconditionFailed, Unavailable) as error:
        return type(error).__name__


def stores_alike(client: Any) -> type[RuleBasedStateMachine]:
    """The machine of object stores; a bucket of its own for each example."""

    class Stores(RuleBasedStateMachine):
        etags = Bundle("etags")

        def __init__(self) -> None:
            super().__init__()
            name = f"ports-{uuid4().hex}"
            client.create_bucket(Bucket=name)
            bucket = Bucket()
            bucket.name = name
            simulated = Requests(bucket, Alone())  # type: ignore[arg-type]
            self.stores: list[ObjectStore] = [S3Store(name, client), MemoryStore(name), simulated]
            self.tags = [self._tags_of_s3, lambda key: self.stores[1].tags.get(key, {}), lambda key: bucket.tags[key]]
            self.versions: list[Versions] = []

        def _tags_of_s3(self, key: str) -> dict[str, str]:
            found = client.get_object_tagging(Bucket=self.stores[0].bucket, Key=key)["TagSet"]  # type: ignore[attr-defined]
            return {tag["Key"]: tag["Value"] for tag in found}

        def each(self, call: Callable[[ObjectStore], Any]) -> Any:
            """The answer that all give."""
            answers = [answer(lambda store=store: call(store)) for store in self.stores]  # type: ignore[misc]
            assert answers[0] == answers[1] == answers[2]
            return answers[0]

        def from_file(self, body: bytes, call: Callable[[Path], Any]) -> Any:
            with tempfile.NamedTemporaryFile() as file:
                file.write(body)
                file.flush()
                return call(Path(file.name))

        @rule(target=etags, key=NAMES, body=BODIES, tags=TAGS)
        def put(self, key: str, body: bytes, tags: Mapping[str, str] | None) -> Any:
            return self.each(lambda store: store.put(key, body, tags=tags))

        @rule(target=etags, key=NAMES, body=BODIES, etag=etags, tags=TAGS)
        def put_if_match(self, key: str, body: bytes, etag: str, tags: Mapping[str, str] | None) -> Any:
            self.each(lambda store: store.put(key, body, if_match=etag, tags=tags))
            return etag

        @rule(key=NAMES, body=BODIES, tags=TAGS)
        def put_if_none(self, key: str, body: bytes, tags: Mapping[str, str] | None) -> None:
            self.each(lambda store: store.put(key, body, if_none_match=True, tags=tags))

        @rule(key=NAMES, body=BODIES)
        def create(self, key: str, body: bytes) -> None:
            self.each(lambda store: create(store, key, body))

        @rule(key=NAMES, body=BODIES, etag=etags)
        def replace(self, key: str, body: bytes, etag: str) -> None:
            self.each(lambda store: replace(store, key, body, etag))

        @rule(key=NAMES, body=BODIES, condition=st.sampled_from(["none", "absent"]), tags=TAGS)
        def upload(self, key: str, body: bytes, condition: str, tags: Mapping[str, str] | None) -> None:
            absent = condition == "absent"
            self.from_file(
                body,
                lambda path: self.each(lambda store: store.upload(path, key, if_none_match=absent, tags=tags)),
            )

        @rule(key=NAMES, body=BODIES, etag=etags)
        def upload_if_match(self, key: str, body: bytes, etag: str) -> None:
            self.from_file(body, lambda path: self.each(lambda store: store.upload(path, key, if_match=etag)))

        @rule(key=NAMES, tags=TAGS)
        def tag(self, key: str, tags: Mapping[str, str] | None) -> None:
            self.each(lambda store: store.tag(key, tags or {}))

        @rule(keys=st.lists(NAMES, min_size=1, unique=True))
        def look(self, keys: list[str]) -> None:
            """A step begins: what it knows gets old from here on."""
            self.versions = [Versions(store, *keys) for store in self.stores]

        @rule(body=BODIES, data=st.data(), file=st.booleans())
        def overwrite_what_was_seen(self, body: bytes, data: Any, file: bool) -> None:
            if not self.versions:
                return
            key = data.draw(st.sampled_from(sorted(self.versions[0].etags)))
            seen = dict(zip(map(id, self.stores), self.versions, strict=True))
            if file:
                self.from_file(body, lambda path: self.each(lambda store: seen[id(store)].upload(path, key)))
            else:
                self.each(lambda store: seen[id(store)].put(key, body))

        @rule(key=NAMES, start=st.sampled_from([0, 1, 69_999, 70_000, 70_001]))
        def read(self, key: str, start: int) -> None:
            self.each(lambda store: store.get(key))
            self.each(lambda store: store.head(key))
            self.each(lambda store: b"".join(store.stream(key, start)))
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "file"
                self.each(lambda store: (store.download(key, path), path.exists() and path.read_bytes()))

        @rule(prefix=st.sampled_from(["", "a", "a/", "b"]))
        def list(self, prefix: str) -> None:
            self.each(lambda store: tuple(store.list(prefix)))

        @invariant()
        def tags_agree(self) -> None:
            for listed in self.stores[1].list(""):
                emulated, fake, simulated = (tags(listed.key) for tags in self.tags)
                assert fake == simulated, listed.key
                # The emulator leaves an object's tags when it is overwritten without any; S3 does not.
                assert not fake or emulated == fake, listed.key

        def teardown(self) -> None:
            for listed in self.stores[0].list(""):
                client.delete_object(Bucket=self.stores[0].bucket, Key=listed.key)  # type: ignore[attr-defined]
            client.delete_bucket(Bucket=self.stores[0].bucket)  # type: ignore[attr-defined]

    return Stores


def test_adapter_fake_and_simulated_bucket_answer_alike(client: Any) -> None:
    run_state_machine_as_test(stores_alike(client), settings=SETTINGS)  # type: ignore[no-untyped-call]


class LosesAnswers(S3Store):
    """S3 where the next write's answer is lost, after it took effect or before."""

    def __init__(self, bucket: str, client: Any) -> None:
        super().__init__(bucket, client)
        self.loses: str | None = None

    def put(self, key: str, body: bytes, **options: Any) -> str:
        loses, self.loses = self.loses, None
        if loses == "the request":
            raise Ambiguous("lost")
        etag = super().put(key, body, **options)
        if loses == "the answer":
            raise Ambiguous("lost")
        return etag


KEYS, TTL = Keys("x/"), timedelta(hours=4)
EXECUTIONS = st.sampled_from(["e1", "e2", "e3"])
HOURS = st.sampled_from([1, 2, 3])
LOST = st.sampled_from([None, None, "the answer", "the request"])


def coordination(client: Any) -> type[RuleBasedStateMachine]:
    """The machine of lease, claims, watermark and pointer; each example below a bucket of its own."""

    class Coordination(RuleBasedStateMachine):
        champions, marks = Bundle("champions"), Bundle("marks")

        def __init__(self) -> None:
            super().__init__()
            self.bucket = f"ports-{uuid4().hex}"
            client.create_bucket(Bucket=self.bucket)
            self.store, self.executions = LosesAnswers(self.bucket, client), Executions()
            self.clock = Clock(START)
            self.holder: tuple[str, datetime] | None = None
            self.token = 0
            self.claims: dict[str, tuple[str, int, str]] = {}
            self.moves: list[str] = []
            self.last_mark: str | None = None

        def teardown(self) -> None:
            for listed in self.store.list(""):
                client.delete_object(Bucket=self.bucket, Key=listed.key)
            client.delete_bucket(Bucket=self.bucket)

        @rule(execution=EXECUTIONS, runs=st.booleans())
        def begin_or_end(self, execution: str, runs: bool) -> None:
            (self.executions.running.add if runs else self.executions.running.discard)(execution)

        @rule(hours=st.integers(1, 3))
        def time_passes(self, hours: int) -> None:
            self.clock.forward(hours=hours)

        @rule(execution=EXECUTIONS, lost=LOST)
        def take_lease(self, execution: str, lost: str | None) -> None:
            self.store.loses = lost
            self.executions.stopped.clear()
            given = {"execution": execution, "run_ts": "r", "ttl": TTL}
            taken = lease.take(self.store, KEYS, self.executions, self.clock, **given)  # type: ignore[arg-type]
            self.store.loses = None
            holder, until = self.holder or ("", self.clock.now)
            stands = holder in self.executions.running and self.clock.now < until
            assert taken.taken == (holder == execution or not stands)
            # Of a run that goes on, within its time, nothing is stopped.
            assert self.executions.stopped == ([] if stands or not holder or holder == execution else [holder])
            if taken.taken and holder != execution:
                self.holder, self.token = (execution, self.clock.now + TTL), self.token + 1
            assert (taken.lease.execution, taken.lease.token) == (self.holder and self.holder[0], self.token)

        @rule(execution=EXECUTIONS, lost=LOST, dead=st.booleans())
        def give_back_lease(self, execution: str, lost: str | None, dead: bool) -> None:
            self.store.loses = lost
            if dead and execution not in self.executions.running:
                given = lease.free(self.store, KEYS, self.executions, execution=execution)
            else:
                given = lease.give_back(self.store, KEYS, execution=execution)
            self.store.loses = None
            assert given == bool(self.holder and self.holder[0] == execution)
            self.holder = None if given else self.holder

        @rule(execution=EXECUTIONS, behind=st.integers(0, 1))
        def check_lease(self, execution: str, behind: int) -> None:
            token = self.token - behind
            if self.holder and self.holder[0] == execution and behind == 0:
                return lease.check(self.store, KEYS, execution=execution, token=token)
            with pytest.raises(LeaseLost):
                lease.check(self.store, KEYS, execution=execution, token=token)

        @rule(execution=EXECUTIONS, hour=HOURS, resume=st.booleans(), lost=LOST)
        def claim_run(self, execution: str, hour: int, resume: bool, lost: str | None) -> None:
            request = claim.Request(instant=START + timedelta(hours=hour), resume=resume)
            assert request.instant
            run = run_name(request.instant)
            known = self.claims.get(run)
            given = {"request": request, "execution": execution, "started": START}
            self.store.loses = lost
            if resume and known is None:
                with pytest.raises(UnknownRun):
                    claim.take(self.store, KEYS, self.executions, self.clock, **given)  # type: ignore[arg-type]
                self.store.loses = None
                return
            ours, standing = claim.take(self.store, KEYS, self.executions, self.clock, **given)  # type: ignore[arg-type]
            self.store.loses = None
            if known is None:
                self.claims[run] = (execution, 1, "running")
            elif known[0] != execution and resume and self._dead(known):
                self.claims[run] = (execution, known[1] + 1, "running")
            assert ours == (self.claims[run][0] == execution)
            assert (standing.execution, standing.attempt) == self.claims[run][:2]

        def _dead(self, known: tuple[str, int, str]) -> bool:
            execution, _, state = known
            return execution not in self.executions.running if state == "running" else state in claim.RESUMABLE

        @rule(execution=EXECUTIONS, hour=HOURS, outcome=st.sampled_from(["promoted", "failed"]), lost=LOST)
        def close_run(self, execution: str, hour: int, outcome: str, lost: str | None) -> None:
            run = run_name(START + timedelta(hours=hour))
            self.store.loses = lost
            closed = claim.close(self.store, KEYS, self.clock, run_ts=run, execution=execution, outcome=outcome)
            self.store.loses = None
            known = self.claims.get(run)
            assert closed == bool(known and (known[0], known[2]) == (execution, "running"))
            if closed and known:
                self.claims[run] = (execution, known[1], outcome)

        @rule(target=marks)
        def see_mark(self) -> Any:
            return watermark.read(self.store, KEYS, "rows")

        @rule(seen=consumes(marks), rows=st.integers(0, 3), lost=LOST)
        def move_mark(self, seen: tuple[Watermark, str | None], rows: int, lost: str | None) -> None:
            new = Watermark("rows", changes=seen[0].changes + 1, rows=rows, updated_at=iso(self.clock()))
            self.store.loses = lost
            try:
                etag = watermark.move(self.store, KEYS, new, seen[1])
            except Unavailable:
                assert seen[1] != self.last_mark
            else:
                assert seen[1] == self.last_mark or watermark.read(self.store, KEYS, "rows")[0] == new
                self.last_mark = etag
            self.store.loses = None

        @rule(target=champions)
        def see_champion(self) -> Any:
            found = pointer.read(self.store, KEYS)
            return found[1] if found else None

        @rule(judged=champions, hour=HOURS, behind=st.integers(0, 1), lost=LOST)
        def promote(self, judged: str | None, hour: int, behind: int, lost: str | None) -> None:
            before, run = pointer.read(self.store, KEYS), run_name(START + timedelta(hours=hour))
            wish = self._wish(run)
            self.store.loses = lost
            token = max(0, self.token - behind)
            repeated = before is not None and (before[0].run_ts, before[0].move) == (run, "promote")
            stale = judged != (before[1] if before else None)
            late = before is not None and token < before[0].token
            try:
                moved = pointer.move(self.store, KEYS, wish, champion_etag=judged, token=token, now=iso(self.clock()))
            except (ChampionMoved, LeaseLost):
                assert stale or late
                assert not repeated
            else:
                assert repeated or not (stale or late)
                assert moved.run_ts == run
                self.moves += [] if repeated else [run]
            self.store.loses = None

        @rule(hour=st.sampled_from([None, 1, 2, 3]), lost=LOST)
        def roll_back(self, hour: int | None, lost: str | None) -> None:
            to = run_name(START + timedelta(hours=hour)) if hour else None
            self.store.loses = lost
            given = {"to": to, "who": "person", "why": "worse"}
            try:
                _, after = promote.rollback(self.store, KEYS, self.clock, lambda _: None, **given)  # type: ignore[arg-type]
            except (BadInput, UnknownRun):
                known = set(self.moves) - {self.moves[-1]} if self.moves else set()
                assert to not in known
                assert to is not None or self._before() is None
            else:
                assert after.run_ts == (to or self._before())
                self.moves.append(after.run_ts)
            self.store.loses = None

        def _before(self) -> str | None:
            """The champion when the present one was first promoted."""
            if not self.moves:
                return None
            first = self.moves.index(self.moves[-1])
            return self.moves[first - 1] if first else None

        @staticmethod
        def _wish(run: str) -> Move:
            uris = {"model_uri": f"s3://b/{run}", "train_uri": f"s3://b/x/train/run_ts={run}/train.parquet"}
            return Move(
                run, sha256="0" * 64, job_name=None, evaluation_uri="e", kind="promote", who="e", why="", **uris
            )

        @invariant()
        def history_is_what_happened(self) -> None:
            told = [entry.pointer.run_ts for entry in pointer.history(self.store, KEYS)]
            assert told == self.moves[::-1]

    return Coordination


def test_lease_claims_watermark_and_pointer_hold_with_old_knowledge_and_lost_answers(client: Any) -> None:
    run_state_machine_as_test(coordination(client), settings=SETTINGS)  # type: ignore[no-untyped-call]
