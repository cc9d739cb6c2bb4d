"""Claim, lease, promotion and rollback among concurrent, dying and repeated executions: what must hold, holds."""

import copy
import hashlib
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache, partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ratchet import claim, lease, pointer, retention
from ratchet.errors import BadInput, ChampionMoved, ContractError, Unavailable, UnknownRun
from ratchet.keys import Keys
from ratchet.pointer import Move
from ratchet.promote import promote, rollback
from ratchet.store import decode, encode

from tests.fakes import Clock, MemoryStore
from tests.interleaved import FAULTS, Actor, Died, Killed

KEYS = Keys("")
NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)
EARLIER = [f"2026-11-20T0{hour}-00-00Z" for hour in range(5)]
A, B, C = (f"2026-11-21T0{hour}-00-00Z" for hour in (1, 2, 3))
DATA = {C: EARLIER[0]}  # trained with skipDataPrep on what the oldest champion was trained on
GOOD = {"promoted", "same_run", "already_running"}


class World:
    """One bucket, the executions that run on it, and what has been seen of it so far."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.store, self.clock = store or MemoryStore(), Clock(NOW)
        self.running: set[str] = set()
        self.actors: list[Actor] = []
        self.judged: set[tuple[str, str | None]] = set()
        self.chain, self.etag, self.tokens, self.claims = [], None, (0, 0), {}

    def is_running(self, execution):
        return execution in self.running

    def stop_leftovers(self, execution):
        return []

    def start(self, name, program):
        self.running.add(name)
        self.actors.append(Actor(name, self.store, program))

    def turn(self, actor, action="go"):
        """One operation of an actor; an abort ends the execution at once, but its function goes on to its end."""
        if action == "abort" and not actor.aborted and actor.name in self.running:
            actor.aborted = True
            self.running.discard(actor.name)
            self.start(f"free {actor.name}", partial(free, self, actor.name))
        actor.advance(action)
        if actor.done:
            self.running.discard(actor.name)
        assert actor.error is None, actor.error
        self.look()

    def drain(self):
        while waiting := [actor for actor in self.actors if not actor.done]:
            for actor in waiting:
                self.turn(actor)

    def look(self):
        """Checks what must hold after every single operation, against what was there before it."""
        self._look_at_the_pointer()
        self._look_at_the_claims()
        held = lease.read(self.store, KEYS)
        present = pointer.read(self.store, KEYS)
        tokens = (held[0].token if held else 0, present[0].token if present else 0)
        assert all(new >= old for new, old in zip(tokens, self.tokens, strict=True)), "a token went back"
        self.tokens = tokens

    def _look_at_the_pointer(self):
        found = pointer.read(self.store, KEYS)
        if found is None or found[1] == self.etag:
            return
        named, chain = found[0], list(pointer.history(self.store, KEYS))
        bundle = self.store.objects[self.store.key_of(named.model_uri)].body
        assert hashlib.sha256(bundle).hexdigest() == named.sha256
        assert chain[0].pointer == named
        assert chain[1:] == self.chain, "a move is missing from the chain, or forged into it"
        if named.move == "promote":
            assert (named.sha256, self.etag) in self.judged, "promoted against a champion that it was not compared with"
        self.chain, self.etag = chain, found[1]

    def _look_at_the_claims(self):
        for run in (A, B, C):
            found = claim.read(self.store, KEYS, run)
            old, new = self.claims.get(run), found[0] if found else None
            if old and new and old != new:
                if new.attempt == old.attempt:
                    assert (old.state, new.state, new.execution) == ("running", "ended", old.execution), "ended twice"
                else:
                    assert new.attempt == old.attempt + 1
                    assert old.state == "running" or old.outcome in claim.RESUMABLE
            self.claims[run] = new


def step(actor, function):
    """A state of the machine: tried again after a fault, over as soon as somebody aborted the execution."""
    for _ in range(3):
        try:
            result = function(actor.store)
        except (Killed, Unavailable):
            result = None
        else:
            break
        finally:
            if actor.aborted:
                raise Died
    else:
        raise Unavailable("tried three times")
    return result


def evaluate(world, run, store):
    found = pointer.read(store, KEYS)
    bundle, etag = store.head(KEYS.model(run)), found[1] if found else None
    sha256 = hashlib.sha256(body(run)).hexdigest()
    challenger = {"run_ts": run, "bundle_uri": store.uri(bundle.key), "etag": bundle.etag, "sha256": sha256}
    evidence = {"verdict": "promote", "challenger": challenger, "champion": {"etag": etag} if etag else None}
    lineage = {"train_uri": store.uri(KEYS.train(DATA.get(run, run)))}
    store.put(KEYS.evaluation(run), encode({**evidence, "lineage": lineage}), tags=retention.EXPIRES)
    world.judged.add((sha256, etag))
    return etag, lineage["train_uri"]


def move(world, run, execution, token, judged, store):
    etag, train_uri = judged
    uris = {"model_uri": store.uri(KEYS.model(run)), "evaluation_uri": store.uri(KEYS.evaluation(run))}
    facts = {"run_ts": run, "sha256": hashlib.sha256(body(run)).hexdigest(), "job_name": None, "train_uri": train_uri}
    wish = Move(**facts, **uris, kind="promote", who=execution, why="better")
    try:
        moved = promote(store, KEYS, world.clock, wish, execution=execution, token=token, champion_etag=etag)
    except ChampionMoved:
        return False
    assert (moved.run_ts, moved.sha256) == (run, wish.sha256), "another's move passes for this one"
    return True


def release(world, run, token, actor):
    for _ in range(3):
        judged = step(actor, partial(evaluate, world, run))
        if step(actor, partial(move, world, run, actor.name, token, judged)):
            return "promoted"
    return "failed"


def execute(world, document, actor):
    """One execution of the pipeline's machine; every store operation is a point where others may come between."""
    name, clock = actor.name, world.clock
    request = claim.parse_request(document)
    whose = {"request": request, "execution": name, "started": NOW}
    try:
        ours, standing = step(actor, lambda store: claim.take(store, KEYS, world, clock, **whose))
    except Unavailable:
        return  # fails with nothing to give back
    if not ours:
        return
    run, outcome, ttl = {"run_ts": standing.run_ts, "execution": name}, "failed", timedelta(hours=4)
    try:
        answer = step(actor, lambda store: lease.take(store, KEYS, world, clock, ttl=ttl, **run))
        outcome = release(world, run["run_ts"], answer.lease.token, actor) if answer.taken else "already_running"
    except (ContractError, Unavailable):
        outcome = "failed"

    def give_back(store):
        claim.close(store, KEYS, clock, outcome=outcome, **run)
        lease.give_back(store, KEYS, execution=name)

    try:
        step(actor, give_back)
    except Unavailable:
        world.start(f"free {name}", partial(free, world, name))


def free(world, execution, actor):
    """The rule on the machine's status, for every run that the execution may have claimed."""
    for run in (A, B, C):
        close = partial(claim.close, keys=KEYS, clock=world.clock, run_ts=run, execution=execution, outcome="aborted")
        until_done(actor, close)
    until_done(actor, lambda store: lease.free(store, KEYS, world, execution=execution))


def until_done(actor, function):
    """EventBridge delivers again until it is done."""
    while True:
        try:
            return function(actor.store)
        except (Killed, Unavailable):
            continue


def roll_back(world, to, actor):
    with suppress(BadInput, ChampionMoved, UnknownRun, Unavailable, Killed):
        rollback(actor.store, KEYS, world.clock, lambda _: None, to=to, who="a person", why="worse")


def body(run):
    return f"the bundle of {run}".encode()


@cache
def beginning():
    """A store in which five champions stood, one after the other, and three runs have trained."""
    world = World()
    for run in (*EARLIER, A, B, C):
        world.store.put(KEYS.model(run), body(run), tags=retention.EXPIRES)
        for name in (KEYS.train, KEYS.manifest, KEYS.holdout):
            if run not in DATA:
                world.store.put(name(run), f"{name(run)}".encode(), tags=retention.EXPIRES)
    for token, run in enumerate(EARLIER, 1):
        lease.take(world.store, KEYS, world, world.clock, execution=run, run_ts=run, ttl=timedelta(hours=4))
        assert move(world, run, run, token, evaluate(world, run, world.store), world.store)
        lease.give_back(world.store, KEYS, execution=run)
        world.look()
    return world


def resumed():
    """A world of its own, as it was at the beginning."""
    first = beginning()
    world = World(copy.deepcopy(first.store))
    world.judged, world.chain, world.etag, world.tokens = set(first.judged), first.chain, first.etag, first.tokens
    return world


def who_and_what(actions):
    return st.lists(st.tuples(st.integers(0, 9), st.sampled_from(actions)), min_size=40, max_size=250)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(schedule=who_and_what(("go",) * 24 + FAULTS))
def test_whoever_comes_between_and_whatever_fails(schedule):
    world = resumed()
    for number, run in enumerate((A, A, B, C)):
        world.start(f"{number}", partial(execute, world, {"scheduledTime": run}))
    world.start("person", partial(roll_back, world, EARLIER[0]))
    try:
        for index, action in schedule:
            world.turn(world.actors[index % len(world.actors)], action)
        world.drain()
        for run in [run for run, claimed in world.claims.items() if claimed]:
            world.start(f"again {run}", partial(execute, world, {"resume": run}))
            world.drain()
    finally:
        for actor in world.actors:
            actor.advance("die")
    assert {claimed.state for claimed in world.claims.values() if claimed} <= {"ended"}
    assert {claimed.outcome for claimed in world.claims.values() if claimed} <= GOOD, world.claims
    held = lease.read(world.store, KEYS)
    assert held
    assert held[0].state == "free"
    if not any(actor.disturbed for actor in world.actors):
        champion = world.chain[0].pointer
        needed = retention.needed(KEYS, champion.run_ts, champion.train_uri) & set(world.store.objects)
        assert {tuple(world.store.tags[key].values()) for key in needed} == {("champion",)}


def test_the_simulation_would_see_a_promotion_that_nobody_compared():
    world = resumed()
    found = pointer.read(world.store, KEYS)
    assert found
    evaluate(world, A, world.store)
    forged = decode(world.store.objects[KEYS.history(5)], "")
    forged |= {"seq": 6, "previous_seq": 5, "previous": EARLIER[4], "run_ts": B, "move": "promote"}
    forged |= {"model_uri": world.store.uri(KEYS.model(B)), "sha256": hashlib.sha256(body(B)).hexdigest()}
    world.store.put(KEYS.history(6), encode(forged))
    world.store.put(KEYS.pointer(), encode({name: forged[name] for name in forged if name not in ("who", "why")}))
    with pytest.raises(AssertionError, match="not compared with"):
        world.look()
