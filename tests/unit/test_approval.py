"""Of decisions about one package the first stands, whoever waits hears it once, and nothing approves itself."""

from collections.abc import Callable
from dataclasses import asdict
from itertools import permutations
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from ratchet.errors import ForeignDocument, NotRegistered, Unavailable, UnknownPipeline
from ratchet.registry import approval
from ratchet.registry.approval import EXPIRED_WHY
from ratchet.registry.asking import close_question
from ratchet.registry.package import APPROVED, PENDING, REJECTED
from ratchet.store import encode

from tests.fake_sagemaker import GROUP, Killed, Packages
from tests.signed import KEYS, PIPELINE, RUN, SECONDS, World

DECIDED = {APPROVED: "approved", REJECTED: "rejected"}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def arn(world: World) -> str:
    return world.register().package_arn


def decide(world: World, arn: str, status: str) -> None:
    world.packages.change(arn, status=status, why=f"I say {status}")


@pytest.mark.parametrize(("status", "decision"), DECIDED.items())
def test_whoever_waits_hears_a_decision_and_its_reason(world: World, arn: str, status: str, decision: str) -> None:
    assert world.ask(arn) == "asked"
    decide(world, arn, status)
    assert world.hear(arn) == decision
    assert world.waiting.heard == [("first", {"decision": decision, "why": f"I say {status}"})]
    assert (world.approval(arn).state, world.approval(arn).told) == (decision, True)


@pytest.mark.parametrize(("status", "decision"), DECIDED.items())
def test_a_decision_before_anybody_asks_is_heard_when_somebody_does(
    world: World, arn: str, status: str, decision: str
) -> None:
    decide(world, arn, status)
    assert world.hear(arn) == "unknown"
    assert world.ask(arn) == decision
    assert world.waiting.decisions() == [("first", decision)]
    assert world.people.messages == []


def test_a_decision_between_the_question_and_the_look_is_heard_once(world: World, arn: str) -> None:
    """The event comes while the question is being written down, and finds nothing."""

    def decided() -> None:
        world.approve(arn)
        assert world.hear(arn) == "unknown"

    world.bucket.between = decided
    assert world.ask(arn) == "approved"
    assert world.hear(arn) == "repeated"
    assert world.waiting.decisions() == [("first", "approved")]


@pytest.mark.parametrize(("status", "decision"), DECIDED.items())
def test_an_event_that_comes_twice_changes_nothing(world: World, arn: str, status: str, decision: str) -> None:
    world.ask(arn)
    decide(world, arn, status)
    assert [world.hear(arn), world.hear(arn)] == [decision, "repeated"]
    assert world.waiting.decisions() == [("first", decision)]
    assert len(world.people.messages) == 1


@pytest.mark.parametrize("first", DECIDED)
def test_of_two_decisions_the_first_stands_and_people_hear_of_the_second(world: World, arn: str, first: str) -> None:
    (second,) = set(DECIDED) - {first}
    world.ask(arn)
    decide(world, arn, first)
    world.hear(arn)
    decide(world, arn, second)
    assert world.hear(arn) == "late"
    assert world.waiting.decisions() == [("first", DECIDED[first])]
    assert world.approval(arn).state == DECIDED[first]
    subject, text = world.people.messages[-1]
    assert subject == f"adclick {RUN}: too late"
    assert second.lower() in text
    assert "first stands" in text


@pytest.mark.parametrize("first", DECIDED)
def test_a_second_decision_before_the_first_was_passed_on_still_passes_the_first_on(
    world: World, arn: str, first: str
) -> None:
    """What is approved and rejected at once is told as approved, and refused when it is staged."""
    (second,) = set(DECIDED) - {first}
    world.ask(arn)
    decide(world, arn, first)
    world.waiting.killed_before = True
    with pytest.raises(Killed):
        world.hear(arn)
    world.waiting.killed_before = False
    decide(world, arn, second)
    assert world.hear(arn) == "late"
    assert world.waiting.decisions() == [("first", DECIDED[first])]
    assert world.hear(arn) == "late"
    assert len(world.waiting.heard) == 1


@pytest.mark.parametrize(("status", "decision"), DECIDED.items())
def test_a_death_before_the_token_goes_back_is_made_good_by_the_next_call(
    world: World, arn: str, status: str, decision: str
) -> None:
    world.ask(arn)
    decide(world, arn, status)
    world.waiting.killed_before = True
    with pytest.raises(Killed):
        world.hear(arn)
    assert (world.approval(arn).state, world.approval(arn).told) == (decision, False)
    world.waiting.killed_before = False
    assert world.hear(arn) == decision
    assert world.waiting.decisions() == [("first", decision)]
    assert world.approval(arn).told


def test_a_death_after_the_token_went_back_tells_nobody_twice(world: World, arn: str) -> None:
    world.ask(arn)
    world.approve(arn)
    world.waiting.killed_after = True
    with pytest.raises(Killed):
        world.hear(arn)
    world.waiting.killed_after = False
    assert world.hear(arn) == "unheard"
    assert world.waiting.decisions() == [("first", "approved")]


def test_a_question_that_is_asked_again_takes_its_own_place(world: World, arn: str) -> None:
    world.ask(arn)
    expires = world.approval(arn).expires_at
    world.clock.forward(minutes=10)
    world.waiting.alive.clear()
    world.ask(arn, "second")
    assert (world.approval(arn).tokens, world.approval(arn).expires_at) == (["second", "first"], expires)
    world.approve(arn)
    assert world.hear(arn) == "approved"
    assert world.waiting.decisions() == [("second", "approved")]


def test_a_call_that_was_given_up_and_asks_after_the_one_that_waits_does_not_take_its_place(
    world: World, arn: str
) -> None:
    world.ask(arn, "second")
    world.ask(arn, "given up")
    world.waiting.alive = {"second"}
    world.approve(arn)
    assert world.hear(arn) == "approved"
    assert world.waiting.decisions() == [("second", "approved")]


@pytest.mark.parametrize(("status", "decision"), DECIDED.items())
def test_a_question_that_is_asked_again_after_its_answer_is_answered_again(
    world: World, arn: str, status: str, decision: str
) -> None:
    world.ask(arn)
    decide(world, arn, status)
    world.hear(arn)
    assert world.ask(arn, "second") == decision
    assert world.waiting.decisions() == [("first", decision), ("second", decision)]


def test_asking_again_while_a_decision_is_passed_on_loses_it_to_neither(world: World, arn: str) -> None:
    """The decision is written, the question gets a new token, and only then is the old token's end known."""
    world.ask(arn)
    world.approve(arn)

    def asked_again() -> None:
        world.waiting.alive.clear()
        assert world.ask(arn, "second") == "approved"

    world.bucket.between = asked_again
    assert world.hear(arn) == "repeated"
    assert world.waiting.decisions() == [("second", "approved")]


def test_a_decision_that_overtakes_a_repeated_question_reaches_the_new_token(world: World, arn: str) -> None:
    world.ask(arn)
    world.waiting.alive.clear()
    world.approve(arn)
    world.bucket.between = lambda: world.hear(arn)
    assert world.ask(arn, "second") == "approved"
    assert world.waiting.decisions() == [("second", "approved")]


def test_the_message_says_how_to_decide_and_until_when(world: World, arn: str) -> None:
    world.ask(arn)
    ((subject, text),) = world.people.messages
    assert subject == f"adclick {RUN}: approve?"
    assert len(subject) <= 100
    until = world.approval(arn).expires_at
    for said in (until, arn, f"ratchet approve adclick {RUN}", f"ratchet reject adclick {RUN} --why", "Better."):
        assert said in text
    assert f"https://api.test/approvals/adclick/{RUN}?until=" in text


def test_people_who_cannot_be_told_fail_the_question_which_is_then_asked_again(world: World, arn: str) -> None:
    world.people.down = True
    with pytest.raises(Unavailable):
        world.ask(arn)
    world.people.down = False
    assert world.ask(arn, "second") == "asked"
    assert len(world.people.messages) == 1


@pytest.mark.parametrize(
    "gone",
    [
        lambda world, arn: world.packages.packages.pop(arn),
        lambda world, arn: world.exchanged(arn, {"sha256": "0" * 64}),
        lambda world, arn: world.bucket.delete(KEYS.package(RUN)),
    ],
    ids=["package gone", "package of another bundle", "never registered"],
)
def test_nobody_is_asked_about_a_package_that_is_not_the_runs(
    world: World, arn: str, gone: Callable[[World, str], Any]
) -> None:
    gone(world, arn)
    with pytest.raises(NotRegistered):
        world.ask(arn)
    assert (world.people.messages, world.waiting.heard) == ([], [])


@pytest.mark.parametrize("facts", [{"stack": "another"}, {"stack": None}, {"pipeline": None}, {"run_ts": None}])
def test_a_package_that_is_not_this_stacks_is_left_alone(world: World, arn: str, facts: dict[str, str | None]) -> None:
    world.ask(arn)
    world.approve(arn)
    world.exchanged(arn, facts)
    assert world.hear(arn) == "foreign"
    assert (world.waiting.heard, world.approval(arn).state) == ([], "waiting")


def test_a_package_of_a_pipeline_that_is_gone_is_named(world: World, arn: str) -> None:
    world.exchanged(arn, {"pipeline": "gone"})
    with pytest.raises(UnknownPipeline):
        world.hear(arn)


@pytest.mark.parametrize("status", DECIDED)
@pytest.mark.parametrize("other", [f"{GROUP}/2", f"{GROUP.rpartition('/')[0]}/ratchet-models-1"])
def test_a_decision_about_another_package_is_not_this_ones(world: World, arn: str, status: str, other: str) -> None:
    world.ask(arn)
    world.packages.packages[other] = world.package(arn)
    world.packages.change(other, arn=other, status=status)
    assert world.hear(other) == "unknown"
    assert (world.waiting.heard, world.approval(arn).state) == ([], "waiting")


@pytest.mark.parametrize("ended", ["waiting", "approved", "rejected", "expired"])
@pytest.mark.parametrize(("status", "decision"), DECIDED.items())
def test_what_became_of_an_older_package_of_the_same_name_is_over(
    world: World, ended: str, status: str, decision: str
) -> None:
    """A package group that is made anew counts its versions from one again, while the bucket stays."""
    arn = world.register().package_arn
    older = {"run_ts": "2026-10-01T04-00-00Z", "state": ended, "tokens": ["old"], "told": ended != "waiting"}
    instants = {"asked_at": "2026-10-01T05:00:00Z", "expires_at": "2026-10-02T05:00:00Z", "decided_at": None}
    world.bucket.put(KEYS.approval("ratchet-models-1"), encode({"package_arn": arn, "why": "old", **older, **instants}))
    decide(world, arn, status)
    assert world.hear(arn) == "unknown"
    decide(world, arn, PENDING)
    assert world.ask(arn) == "asked"
    decide(world, arn, status)
    assert world.hear(arn) == decision
    assert world.waiting.decisions() == [("first", decision)]


# --------------------------------------------------------------------------------------------- time is over


def test_what_nobody_decides_expires_and_is_rejected_in_silence(world: World, arn: str) -> None:
    world.ask(arn)
    assert close_question(world, PIPELINE, world.clock, arn) == ("expired", EXPIRED_WHY)
    assert world.packages.decided == [(arn, REJECTED, EXPIRED_WHY)]
    asked = len(world.people.messages)
    assert world.hear(arn) == "late"
    assert (len(world.people.messages), world.waiting.heard) == (asked, [])


def test_closing_twice_rejects_once(world: World, arn: str) -> None:
    world.ask(arn)
    assert [world.close(arn), world.close(arn)] == ["expired", "expired"]
    assert len(world.packages.decided) == 1


def test_a_death_between_expiry_and_rejection_is_made_good(world: World, arn: str) -> None:
    class Dying(Packages):
        def decide(self, arn: str, status: str, why: str) -> None:
            raise Killed

    world.ask(arn)
    world.packages.__class__ = Dying
    with pytest.raises(Killed):
        world.close(arn)
    world.packages.__class__ = Packages
    assert world.close(arn) == "expired"
    assert world.package(arn).status == REJECTED


@pytest.mark.parametrize("status", DECIDED)
def test_a_decision_after_expiry_changes_nothing_and_people_hear_of_it(world: World, arn: str, status: str) -> None:
    world.ask(arn)
    world.close(arn)
    decide(world, arn, status)
    assert world.hear(arn) == "late"
    assert (world.approval(arn).state, world.waiting.heard) == ("expired", [])
    assert world.people.messages[-1][0] == f"adclick {RUN}: too late"
    assert world.close(arn) == "expired"
    assert world.package(arn).status == status


@pytest.mark.parametrize(("status", "decision"), DECIDED.items())
def test_expiry_just_before_a_decision_is_written_wins(world: World, arn: str, status: str, decision: str) -> None:
    """The event's handler has read that somebody waits; the time ends before it writes."""
    world.ask(arn)

    def expires() -> None:
        world.packages.change(arn, status=PENDING)
        world.close(arn)
        decide(world, arn, status)

    decide(world, arn, status)
    world.bucket.between = expires
    assert world.hear(arn) == "late"
    assert (world.approval(arn).state, world.waiting.heard) == ("expired", [])


@pytest.mark.parametrize(("status", "decision"), DECIDED.items())
def test_a_decision_just_before_expiry_is_written_wins(world: World, arn: str, status: str, decision: str) -> None:
    """Closing has read that somebody waits, and that nothing was decided; the event comes before it writes."""
    world.ask(arn)

    def decided() -> None:
        decide(world, arn, status)
        assert world.hear(arn) == "unheard"

    world.bucket.between = decided
    assert world.close(arn) == decision
    assert world.packages.decided == []
    assert world.package(arn).status == status


@pytest.mark.parametrize(("status", "decision"), DECIDED.items())
def test_a_decision_whose_event_is_still_under_way_when_the_time_ends_stands(
    world: World, arn: str, status: str, decision: str
) -> None:
    world.ask(arn)
    decide(world, arn, status)
    world.waiting.alive.clear()
    assert close_question(world, PIPELINE, world.clock, arn) == (decision, f"I say {status}")
    messages = len(world.people.messages)
    assert world.hear(arn) == "repeated"
    assert (world.packages.decided, len(world.people.messages)) == ([], messages)


def test_a_question_that_was_never_written_down_expires(world: World, arn: str) -> None:
    assert close_question(world, PIPELINE, world.clock, arn) == ("expired", EXPIRED_WHY)
    assert world.package(arn).status == REJECTED


def test_a_package_that_is_gone_expires(world: World, arn: str) -> None:
    world.ask(arn)
    del world.packages.packages[arn]
    assert world.close(arn) == "expired"
    assert world.packages.decided == []


def test_a_question_asked_again_after_its_time_hears_that(world: World, arn: str) -> None:
    world.ask(arn)
    world.close(arn)
    assert world.ask(arn, "second") == "expired"
    assert world.waiting.heard == [("second", {"decision": "expired", "why": EXPIRED_WHY})]
    assert len(world.people.messages) == 1


@pytest.mark.parametrize(("status", "decision"), DECIDED.items())
def test_an_execution_that_was_aborted_does_not_hear_and_people_do(
    world: World, arn: str, status: str, decision: str
) -> None:
    world.ask(arn)
    world.waiting.alive.clear()
    decide(world, arn, status)
    assert world.hear(arn) == "unheard"
    assert world.waiting.heard == []
    assert f"ratchet approve adclick {RUN}" in world.people.messages[-1][1]
    assert world.hear(arn) == "repeated"
    assert world.ask(arn, "another execution") == decision
    assert world.waiting.decisions() == [("another execution", decision)]


# ------------------------------------------------------------------------------------------------- the store


@pytest.mark.parametrize("lost", ["lose_answers", "lose_requests"])
@pytest.mark.parametrize("move", ["ask", "hear", "close"])
def test_a_lost_answer_is_read_back(world: World, arn: str, move: str, lost: str) -> None:
    if move != "ask":
        world.ask(arn)
    if move == "hear":
        world.approve(arn)
    setattr(world.bucket, lost, 1)
    assert getattr(world, move)(arn) == {"ask": "asked", "hear": "approved", "close": "expired"}[move]
    assert world.waiting.decisions() == ([("first", "approved")] if move == "hear" else [])


def test_a_store_that_others_keep_changing_is_unavailable(world: World, arn: str) -> None:
    world.ask(arn)
    world.approve(arn)
    puts = iter(range(100))

    def meddle() -> None:
        key = KEYS.approval("ratchet-models-1")
        document = {**asdict(world.approval(arn)), "tokens": [f"token {next(puts)}"]}
        world.bucket.put(key, encode(document))
        world.bucket.between = meddle

    world.bucket.between = meddle
    moves: list[Callable[[], Any]] = [lambda: world.hear(arn), lambda: world.close(arn), lambda: world.ask(arn)]
    for move in moves:
        with pytest.raises(Unavailable, match="changed by others"):
            move()
    assert world.waiting.heard == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"package_arn": 1}'])
def test_what_is_no_approval_is_named(world: World, arn: str, body: bytes) -> None:
    world.bucket.put(KEYS.approval("ratchet-models-1"), body)
    for move in (world.ask, world.hear, world.close):
        world.approve(arn)
        with pytest.raises(ForeignDocument, match=r"approvals/ratchet-models-1\.json"):
            move(arn)


# ------------------------------------------------------------------------------------- any order of all moves


@pytest.mark.parametrize("order", [*permutations(["ask", "approve", "hear", "reject", "close"])], ids=" ".join)
def test_in_any_order_whoever_waits_hears_one_decision_of_a_person(order: tuple[str, ...]) -> None:
    world = World()
    arn = world.register().package_arn
    for move in (*order, "hear"):
        standing = approval.read(world.bucket, KEYS, arn)
        getattr(world, move)(arn)
        if standing and standing[0].state != "waiting":
            assert world.approval(arn).state == standing[0].state
    assert len(world.waiting.heard) <= 1
    assert {status for _, status, _ in world.packages.decided} <= {REJECTED}
    before = order[: order.index("close")]
    if before.count("ask") and not {"approve", "reject"} & set(before):
        assert world.approval(arn).state == "expired"


class Approvals(RuleBasedStateMachine):
    """People, events, deaths, questions and the end of the time, as they come."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.arn = self.world.register().package_arn
        self.said: set[str] = set()
        self.asked = 0
        self.standing: str | None = None
        self.closed = False

    @rule(status=st.sampled_from([APPROVED, REJECTED]))
    def a_person_decides(self, status: str) -> None:
        decide(self.world, self.arn, status)
        self.said.add(DECIDED[status])

    @rule()
    def a_person_takes_it_back(self) -> None:
        decide(self.world, self.arn, PENDING)

    @rule(fault=st.sampled_from(["", "killed_before", "killed_after"]), lost=st.sampled_from([0, 0, 1]))
    def an_event_comes(self, fault: str, lost: int) -> None:
        self.world.bucket.lose_answers = lost
        self._with(fault, lambda: self.world.hear(self.arn))

    @precondition(lambda self: self.asked < 5 and not self.closed)
    @rule(fault=st.sampled_from(["", "killed_before", "killed_after"]))
    def the_question_is_asked(self, fault: str) -> None:
        self.world.waiting.alive.clear()
        self.asked += 1
        self._with(fault, lambda: self.world.ask(self.arn, f"token {self.asked}"))

    @rule()
    def the_execution_ends(self) -> None:
        self.world.waiting.alive.clear()

    @precondition(lambda self: self.asked)
    @rule()
    def the_time_ends(self) -> None:
        decision = self.world.close(self.arn)
        assert decision == (self.standing or decision)
        self.closed = True

    @invariant()
    def what_is_decided_stays_so_and_is_heard_once(self) -> None:
        found = approval.read(self.world.bucket, KEYS, self.arn)
        state = found[0].state if found else "waiting"
        assert state == (self.standing or state)
        self.standing = state if state != "waiting" else None
        heard = self.world.waiting.decisions()
        assert len({token for token, _ in heard}) == len(heard)
        assert {decision for _, decision in heard} <= {self.standing}
        assert {decision for _, decision in heard} <= self.said | {"expired"}

    @invariant()
    def nothing_approves_itself(self) -> None:
        assert {(status, why) for _, status, why in self.world.packages.decided} <= {(REJECTED, EXPIRED_WHY)}

    def teardown(self) -> None:
        """An event that comes at last reaches whoever still waits."""
        if self.world.waiting.alive and self.world.package(self.arn).status != PENDING and not self.closed:
            self.world.hear(self.arn)
            assert not self.world.waiting.alive

    def _with(self, fault: str, move: Callable[[], Any]) -> None:
        if fault:
            setattr(self.world.waiting, fault, True)
        try:
            move()
        except Killed:
            pass
        finally:
            self.world.waiting.killed_before = self.world.waiting.killed_after = False


TestApprovals = Approvals.TestCase
TestApprovals.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)


def test_the_time_is_that_of_the_first_question(world: World, arn: str) -> None:
    world.ask(arn)
    asked = world.approval(arn)
    world.clock.forward(seconds=SECONDS - 1)
    world.ask(arn, "second")
    assert world.approval(arn).expires_at == asked.expires_at
