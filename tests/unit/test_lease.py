"""The lease: one holder, a token that only grows, and a way out when the holder is dead."""

from datetime import UTC, datetime, timedelta

import pytest
from ratchet import lease
from ratchet.errors import ForeignDocument, LeaseLost
from ratchet.keys import Keys

from tests.fakes import Clock, Executions, MemoryStore

KEYS = Keys("")
TTL = timedelta(hours=4)


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime(2026, 11, 21, 4, tzinfo=UTC))


def take(store: MemoryStore, executions: Executions, clock: Clock, execution: str) -> lease.Answer:
    return lease.take(store, KEYS, executions, clock, execution=execution, run_ts="r", ttl=TTL)


def test_a_second_run_learns_who_holds_the_lease(clock: Clock) -> None:
    store, executions = MemoryStore(), Executions("a")
    assert take(store, executions, clock, "a").taken
    answer = take(store, executions, clock, "b")
    assert (answer.taken, answer.lease.execution) == (False, "a")


def test_asking_again_answers_the_same_token(clock: Clock) -> None:
    store, executions = MemoryStore(), Executions("a")
    assert take(store, executions, clock, "a") == take(store, executions, clock, "a")


def test_a_dead_holder_loses_the_lease_and_its_leftovers_are_stopped(clock: Clock) -> None:
    store, executions = MemoryStore(), Executions()
    take(store, executions, clock, "dead")
    answer = take(store, executions, clock, "b")
    assert (answer.taken, answer.lease.token, executions.stopped) == (True, 2, ["dead"])


def test_a_lease_outlives_nothing_past_its_expiry(clock: Clock) -> None:
    store, executions = MemoryStore(), Executions("a")
    take(store, executions, clock, "a")
    clock.forward(hours=4)
    assert take(store, executions, clock, "b").taken


def test_the_token_grows_over_every_holder(clock: Clock) -> None:
    store, executions = MemoryStore(), Executions("a", "b")
    tokens = []
    for execution in "abab":
        tokens.append(take(store, executions, clock, execution).lease.token)
        assert lease.give_back(store, KEYS, execution=execution)
    assert tokens == [1, 2, 3, 4]


def test_only_the_holder_gives_the_lease_back(clock: Clock) -> None:
    store, executions = MemoryStore(), Executions("a")
    assert not lease.give_back(store, KEYS, execution="a")
    take(store, executions, clock, "a")
    assert not lease.give_back(store, KEYS, execution="b")
    assert lease.give_back(store, KEYS, execution="a")
    assert not lease.give_back(store, KEYS, execution="a")


def test_a_writer_behind_the_token_is_stopped(clock: Clock) -> None:
    store, executions = MemoryStore(), Executions()
    with pytest.raises(LeaseLost, match="nobody"):
        lease.check(store, KEYS, execution="a", token=1)
    take(store, executions, clock, "a")
    lease.check(store, KEYS, execution="a", token=1)
    take(store, executions, clock, "b")
    with pytest.raises(LeaseLost, match=r"b \(token 2, held\)"):
        lease.check(store, KEYS, execution="a", token=1)


def test_a_lost_answer_still_takes_the_lease_once(clock: Clock) -> None:
    store = MemoryStore()
    store.lose_answers = 1
    assert take(store, Executions("a"), clock, "a").lease.token == 1


def test_a_foreign_lease_is_named() -> None:
    store = MemoryStore()
    store.put(KEYS.lease(), b'{"hello": 1}')
    with pytest.raises(ForeignDocument, match=r"lease\.json"):
        lease.read(store, KEYS)
