"""The pointer's moves: one chain, only against the champion that was judged, and back again."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ratchet import lease, pointer, retention
from ratchet.errors import BadBundle, BadInput, ChampionMoved, ContractError, ForeignDocument, LeaseLost, UnknownRun
from ratchet.keys import Keys
from ratchet.pointer import Move, Pointer
from ratchet.promote import promote, rollback
from ratchet.store import encode

from tests.fakes import Clock, Executions, MemoryStore

KEYS = Keys("")


class World:
    """A store with runs to promote."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.clock = Clock(datetime(2026, 11, 21, 4, tzinfo=UTC))

    def wish(self, run: str, data: str | None = None, judged: str | None = "the present one") -> Move:
        """A run's bundle, trained on the data of run `data`, and the evidence that it beats the champion `judged`."""
        names = (KEYS.model, KEYS.card, *((KEYS.train, KEYS.manifest, KEYS.holdout) if data is None else ()))
        for key in (name(run) for name in names):
            self.store.put(key, f"{key} of {run}".encode(), tags=retention.EXPIRES)
        uris = {"model_uri": self.store.uri(KEYS.model(run)), "evaluation_uri": self.store.uri(KEYS.evaluation(run))}
        move = Move(
            **{"run_ts": run, "sha256": f"sha-{run}", "job_name": "job", **uris},
            **{"train_uri": self.store.uri(KEYS.train(data or run)), "kind": "promote", "who": run, "why": "better"},
        )
        self.judge(move, self.present() if judged == "the present one" else judged)
        return move

    def judge(self, wish: Move, champion_etag: str | None, **changes: Any) -> None:
        bundle = self.store.objects[KEYS.model(wish.run_ts)]
        challenger = {"run_ts": wish.run_ts, "bundle_uri": wish.model_uri, "etag": bundle.etag, "sha256": wish.sha256}
        document = {
            **{"verdict": "promote", "challenger": challenger, "lineage": {"train_uri": wish.train_uri}},
            **{"champion": {"etag": champion_etag} if champion_etag else None, **changes},
        }
        self.store.put(KEYS.evaluation(wish.run_ts), encode(document), tags=retention.EXPIRES)

    def present(self) -> str | None:
        found = pointer.read(self.store, KEYS)
        return found[1] if found else None

    def take_lease(self, execution: str) -> int:
        ttl = timedelta(hours=4)
        answer = lease.take(self.store, KEYS, Executions(), self.clock, execution=execution, run_ts="r", ttl=ttl)
        return answer.lease.token

    def promote(self, run: str, etag: str | None = "the present one", data: str | None = None) -> Pointer:
        token = self.take_lease(run)
        judged = self.present() if etag == "the present one" else etag
        wish = self.wish(run, data, judged)
        return promote(self.store, KEYS, self.clock, wish, execution=run, token=token, champion_etag=judged)

    def rollback(
        self, to: str | None = None, why: str = "worse", of: str | None = None, who: str = "me"
    ) -> tuple[Pointer, Pointer]:
        return rollback(self.store, KEYS, self.clock, lambda _: None, to=to, who=who, why=why, of=of)

    def goes_back_while_letting_go(self, promoted: str, to: str) -> None:
        """A person goes back to an old champion while the promotion of `promoted` lets go of older ones."""
        world = self

        class Meddled(MemoryStore):
            def tag(self, key: str, tags: Mapping[str, str]) -> None:
                super().tag(key, tags)
                if tags == retention.EXPIRES and world.chain()[0] == (promoted, "promote"):
                    world.rollback(to=to)

        self.store.__class__ = Meddled

    def chain(self) -> list[tuple[str, str]]:
        return [(entry.pointer.run_ts, entry.pointer.move) for entry in pointer.history(self.store, KEYS)]


@pytest.fixture
def world() -> World:
    return World()


def test_promotions_form_one_chain(world: World) -> None:
    for run in "abc":
        world.promote(run)
    assert world.chain() == [("c", "promote"), ("b", "promote"), ("a", "promote")]
    found = pointer.read(world.store, KEYS)
    assert found
    assert (found[0].run_ts, found[0].seq, found[0].previous) == ("c", 3, "b")


def test_the_history_entry_stands_before_the_pointer_moves(world: World) -> None:
    world.promote("a")
    writes = world.store.writes
    assert writes.index(KEYS.history(1)) < writes.index(KEYS.pointer())


def test_a_verdict_against_another_champion_is_void(world: World) -> None:
    world.promote("a")
    with pytest.raises(ChampionMoved):
        world.promote("b", etag=None)
    with pytest.raises(ChampionMoved):
        world.promote("b", etag='"older"')
    assert world.chain() == [("a", "promote")]


def test_promoting_twice_moves_the_pointer_once(world: World) -> None:
    wish, token = world.wish("a"), world.take_lease("a")
    fence = {"execution": "a", "token": token, "champion_etag": None}
    moves = [promote(world.store, KEYS, world.clock, wish, **fence) for _ in range(2)]  # type: ignore[arg-type]
    assert moves[0] == moves[1]
    assert world.chain() == [("a", "promote")]


def test_an_intent_of_a_dead_writer_is_passed_over(world: World) -> None:
    world.promote("a")
    world.promote("b")
    intent = replace(pointer.read_entry(world.store, KEYS, 2) or pytest.fail("no entry"), who="dead")
    document = {**asdict(intent.pointer), "seq": 3, "run_ts": "dead", "who": intent.who, "why": intent.why}
    world.store.put(KEYS.history(3), encode(document))
    assert world.promote("c").seq == 4
    assert [run for run, _ in world.chain()] == ["c", "b", "a"]


def test_a_repeated_attempt_uses_its_own_intent(world: World) -> None:
    world.store.lose_answers = 0
    token, wish = world.take_lease("a"), world.wish("a")
    champion = {"champion_etag": None, "token": token, "now": "t1"}
    moved = pointer.move(world.store, KEYS, wish, **champion)  # type: ignore[arg-type]
    world.store.delete(KEYS.pointer())
    again = pointer.move(world.store, KEYS, wish, **{**champion, "now": "t2"})  # type: ignore[arg-type]
    assert again == moved


def test_a_run_that_lost_the_lease_does_not_promote(world: World) -> None:
    token = world.take_lease("a")
    world.take_lease("b")
    with pytest.raises(LeaseLost):
        promote(world.store, KEYS, world.clock, world.wish("a"), execution="a", token=token, champion_etag=None)
    assert pointer.read(world.store, KEYS) is None


def test_a_token_behind_the_pointers_does_not_move_it(world: World) -> None:
    world.promote("a")
    world.promote("b")
    found = pointer.read(world.store, KEYS)
    assert found
    with pytest.raises(LeaseLost, match="token 2"):
        pointer.move(world.store, KEYS, world.wish("c"), champion_etag=found[1], token=1, now="t")


def test_a_lost_answer_promotes_once(world: World) -> None:
    wish, token = world.wish("a"), world.take_lease("a")
    world.store.lose_answers = 3
    promote(world.store, KEYS, world.clock, wish, execution="a", token=token, champion_etag=None)
    assert world.chain() == [("a", "promote")]


@pytest.mark.parametrize("missing", ["model", "evaluation"])
def test_nothing_is_promoted_without_bundle_and_evidence(world: World, missing: str) -> None:
    wish, token = world.wish("a"), world.take_lease("a")
    world.store.delete(getattr(KEYS, missing)("a"))
    with pytest.raises(BadBundle, match="missing"):
        promote(world.store, KEYS, world.clock, wish, execution="a", token=token, champion_etag=None)


def test_the_last_champions_are_kept_and_older_ones_expire(world: World) -> None:
    for run in "abcdefg":
        world.promote(run)
    tags = {run: world.store.tags[KEYS.model(run)] for run in "abcdefg"}
    assert [run for run in tags if tags[run] == retention.KEEPS] == list("cdefg")
    assert tags["a"] == retention.EXPIRES


def test_the_data_of_an_earlier_run_stays_while_a_champion_was_trained_on_it(world: World) -> None:
    shared = [name("a") for name in (KEYS.train, KEYS.manifest, KEYS.holdout)]
    world.promote("a")
    for run in "bcdef":
        world.promote(run, data="a")
    assert world.store.tags[KEYS.model("a")] == retention.EXPIRES
    assert [world.store.tags[key] for key in shared] == [retention.KEEPS] * 3
    for run in "ghijk":
        world.promote(run)
    assert [world.store.tags[key] for key in shared] == [retention.EXPIRES] * 3


def test_a_rollback_keeps_the_data_of_the_model_that_it_brings_back(world: World) -> None:
    world.promote("a")
    world.promote("b", data="a")
    world.promote("c")
    world.store.tag(KEYS.holdout("a"), retention.EXPIRES)
    world.rollback()
    assert world.store.tags[KEYS.holdout("a")] == retention.KEEPS


def test_a_rollback_in_the_middle_of_letting_old_champions_go_keeps_its_model(world: World) -> None:
    for run in "abcde":
        world.promote(run)

    world.goes_back_while_letting_go("f", to="a")
    world.promote("f")
    needed = retention.needed(KEYS, "a", world.store.uri(KEYS.train("a"))) - {KEYS.package("a")}
    assert world.chain()[0] == ("a", "rollback")
    assert [world.store.tags[key] for key in needed] == [retention.KEEPS] * len(needed)


OTHER = {"run_ts": "a", "bundle_uri": "s3://bucket/other", "etag": "other", "sha256": "other"}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        pytest.param({"verdict": "keep"}, "its verdict differ", id="a verdict to keep the champion"),
        pytest.param({"champion": {"etag": '"another"'}}, "its champion differ", id="another champion"),
        pytest.param({"challenger": OTHER}, "its bundle_uri, etag, sha256 differ", id="another bundle"),
        pytest.param({"lineage": {"train_uri": "s3://bucket/x"}}, "its train_uri differ", id="other data"),
        pytest.param({"challenger": None}, "is not an evaluation of Ratchet's", id="no evaluation"),
    ],
)
def test_evidence_that_does_not_speak_for_the_promotion_is_refused(
    world: World, changes: dict[str, Any], named: str
) -> None:
    wish, token = world.wish("a"), world.take_lease("a")
    world.judge(wish, None, **changes)
    with pytest.raises(ContractError, match=named):
        promote(world.store, KEYS, world.clock, wish, execution="a", token=token, champion_etag=None)
    assert pointer.read(world.store, KEYS) is None


def test_training_data_that_is_not_a_runs_is_named(world: World) -> None:
    with pytest.raises(ForeignDocument, match="s3://bucket/rows"):
        retention.needed(KEYS, "a", "s3://bucket/rows.parquet")


def test_rolling_back_goes_one_model_back_each_time(world: World) -> None:
    for run in "abc":
        world.promote(run)
    before, after = world.rollback()
    assert (before.run_ts, after.run_ts, after.previous, after.move) == ("c", "b", "c", "rollback")
    assert world.rollback()[1].run_ts == "a"
    assert [run for run, _ in world.chain()] == ["a", "b", "c", "b", "a"]
    with pytest.raises(UnknownRun, match="first model"):
        world.rollback()


def test_a_rollback_of_a_named_model_that_is_asked_for_again_goes_back_no_further(world: World) -> None:
    for run in "abc":
        world.promote(run)
    assert world.rollback(of="c") == world.rollback(of="c")
    assert [run for run, _ in world.chain()] == ["b", "c", "b", "a"]


def test_a_model_that_is_in_service_no_more_is_not_taken_back(world: World) -> None:
    for run in "abc":
        world.promote(run)
    with pytest.raises(ChampionMoved, match="c is in service, not b"):
        world.rollback(of="b")
    world.rollback(of="c", who="another")
    with pytest.raises(ChampionMoved, match="b is in service, not c"):
        world.rollback(of="c")


def test_rolling_back_to_a_named_run(world: World) -> None:
    for run in "abc":
        world.promote(run)
    assert world.rollback(to="a")[1].model_uri.endswith("run_ts=a/model.tar.gz")
    assert world.rollback(to="c")[1].run_ts == "c"


@pytest.mark.parametrize(("to", "why", "error"), [("x", "w", UnknownRun), ("b", "w", BadInput), (None, " ", BadInput)])
def test_a_rollback_that_cannot_be_is_refused(world: World, to: str | None, why: str, error: type) -> None:
    world.promote("a")
    world.promote("b")
    with pytest.raises(error):
        world.rollback(to, why)
    assert [run for run, _ in world.chain()] == ["b", "a"]


def test_a_bundle_that_does_not_load_stays_out(world: World) -> None:
    world.promote("a")
    world.promote("b")

    def broken(_: Pointer) -> None:
        raise BadBundle("no")

    with pytest.raises(BadBundle):
        rollback(world.store, KEYS, world.clock, broken, to=None, who="me", why="w")
    assert [run for run, _ in world.chain()] == ["b", "a"]


def test_nothing_to_roll_back_to(world: World) -> None:
    with pytest.raises(UnknownRun, match="No model was ever"):
        world.rollback()


def test_a_pointer_of_another_system_is_named(world: World) -> None:
    world.store.put(KEYS.pointer(), b'{"model_uri": "s3://b/k", "job_name": "j"}')
    with pytest.raises(ForeignDocument, match="it lacks run_ts"):
        pointer.read(world.store, KEYS)
