"""An endpoint comes to what is approved or stays where it was: staged, moved call by call, verified, tidied."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from ratchet import pointer
from ratchet.endpoint.hosting import (
    CHANGING,
    Endpoint,
    candidate_name,
    config_name,
    endpoint_name,
    is_config,
    kind_of,
)
from ratchet.endpoint.move import Progress, move
from ratchet.endpoint.stage import Staged, stage
from ratchet.endpoint.tidy import KEPT, tidy
from ratchet.endpoint.verify import ROWS_AT_ONCE, verify
from ratchet.errors import BadBundle, BadConfiguration, EndpointFailed, LeaseLost, NotRegistered
from ratchet.serving.bundle import write_bundle

from tests import bundles
from tests.fake_sagemaker import Hosted, Hosts
from tests.signed import EXECUTION, KEYS, PIPELINE, RUN, STACK, TOKEN, World

NAME = "ratchet-adclick"
EVENT = {"pipeline": "adclick", "run_ts": RUN, "execution": EXECUTION, "token": TOKEN}
INSTANCES = "ml.m5.large-2-"


def named(number: int = 1, kind: str = "serverless-2048-5", endpoint: str = NAME) -> str:
    """The configuration of the run of that day."""
    return config_name(endpoint, f"2026-11-{number:02}T04-00-00Z", f"{number:064x}"[::-1], kind)


ONE, TWO, OTHER_KIND = named(1), named(2), named(2, INSTANCES)


def hosting(*configs: str, delay: int = 1) -> Hosts:
    """A hosting in which these configurations are known."""
    hosts = Hosts(delay=delay)
    for config in configs:
        hosts.create_model(config, "s3://bucket/model.tar.gz")
        hosts.create_config(config, config)
    hosts.calls.clear()
    return hosts


# ------------------------------------------------------------------------------------------------------ names


def test_names_fit_what_sagemaker_takes() -> None:
    longest = endpoint_name("s" * 23, "adclick")
    kinds = ("serverless-6144-200", "ml.g4dn.12xlarge-99-arn:aws:kms:key")
    for name in (candidate_name(longest), *(config_name(longest, RUN, "f" * 64, kind) for kind in kinds)):
        assert len(name) <= 63
        assert all(part.isalnum() for part in name.split("-"))


@given(st.text("ab-", min_size=24, max_size=128))
def test_a_stack_whose_name_leaves_no_room_is_refused_and_told_how_much_there_is(stack: str) -> None:
    with pytest.raises(BadConfiguration, match="may have 23 characters"):
        endpoint_name(stack, "adclick")


def test_configurations_are_in_the_order_of_runs() -> None:
    ordered = [named(day) for day in (1, 2, 11, 30)]
    assert sorted(ordered) == ordered


def test_another_size_is_another_configuration_and_its_kind_is_told_by_its_name() -> None:
    kinds = ["serverless-2048-5", "serverless-4096-5", INSTANCES, "ml.m5.large-3-"]
    assert len({kind_of(kind) for kind in kinds}) == 4
    assert [kind_of(kind)[0] for kind in kinds] == ["s", "s", "i", "i"]


@pytest.mark.parametrize(
    "name",
    [
        *(f"{NAME}-experiment", f"{NAME}-rul-{named()[len(NAME) + 1 :]}", f"{NAME}", f"{NAME}-", ""),
        *(f"x{named()}", f"{named()}-", f"{named()}0", named().upper(), named(endpoint="ratchet-adclic")),
    ],
)
def test_a_configuration_of_another_name_is_not_the_endpoints(name: str) -> None:
    assert is_config(NAME, named())
    assert not is_config(NAME, name)


# ------------------------------------------------------------------------------------------------------ stage


def staged(world: World, folder: Path, **event: Any) -> Staged:
    given = (world.bucket, world.packages, world.hosts, PIPELINE, {**EVENT, **event})
    return stage(*given, stack=STACK, folder=folder)


@pytest.fixture
def world() -> World:
    return World()


def test_what_is_approved_gets_a_model_and_a_configuration(world: World, tmp_path: Path) -> None:
    registered = world.register()
    world.approve(registered.package_arn)
    found = staged(world, tmp_path)
    config = config_name(NAME, RUN, world.sha256, "serverless-2048-5")
    assert found == Staged("staged", f"Run {RUN} is approved.", NAME, config, None, f"{NAME}-candidate")
    assert world.hosts.calls == [("create_model", config, registered.bundle_uri), ("create_config", config, config)]


def test_staging_again_says_the_same(world: World, tmp_path: Path) -> None:
    world.approve(world.register().package_arn)
    assert staged(world, tmp_path) == staged(world, tmp_path)
    assert (len(world.hosts.models), len(world.hosts.configs)) == (1, 1)


def test_instances_are_not_tried_on_a_candidate(world: World, tmp_path: Path) -> None:
    world.hosts.kind = INSTANCES
    world.approve(world.register().package_arn)
    assert staged(world, tmp_path).candidate is None


def test_what_was_served_before_is_told(world: World, tmp_path: Path) -> None:
    world.approve(world.register().package_arn)
    world.hosts.endpoints[NAME] = Hosted(Endpoint("InService", ONE))
    found = staged(world, tmp_path)
    assert (found.status, found.previous) == ("staged", ONE)


@pytest.mark.parametrize(("status", "expected"), [("InService", "in_service"), ("Failed", "staged")])
def test_what_is_served_already_is_left_as_it_is(world: World, tmp_path: Path, status: str, expected: str) -> None:
    world.approve(world.register().package_arn)
    config = config_name(NAME, RUN, world.sha256, "serverless-2048-5")
    world.hosts.endpoints[NAME] = Hosted(Endpoint(status, config))
    found = staged(world, tmp_path)
    assert (found.status, found.previous) == (expected, config)
    assert bool(world.hosts.made()) is (expected == "staged")


@pytest.mark.parametrize("exchanged", [False, True])
def test_the_champion_is_staged_without_a_lease_if_it_is_that_very_bundle(
    world: World, tmp_path: Path, exchanged: bool
) -> None:
    """As after a rollback, which is a person's."""
    world.approve(world.register().package_arn)
    champion = bundles.promote(world.bucket, tmp_path / "made", pipeline="adclick", run=RUN, digest=world.sha256)
    found = pointer.read(world.bucket, KEYS)
    assert found
    assert found[0] == champion
    if not exchanged:
        world.bucket.put(KEYS.model(RUN), World().bucket.objects[KEYS.model(RUN)].body)
    world.hold_lease("another")
    event = {"pipeline": "adclick", "run_ts": RUN}
    given = (world.bucket, world.packages, world.hosts, PIPELINE, event)
    if exchanged:
        with pytest.raises(BadBundle, match="not the bundle that was approved"):
            stage(*given, stack=STACK, folder=tmp_path)
        assert world.hosts.calls == []
    else:
        assert stage(*given, stack=STACK, folder=tmp_path).status == "staged"


def test_another_bundle_of_the_champions_run_needs_the_lease(world: World, tmp_path: Path) -> None:
    world.approve(world.register().package_arn)
    bundles.promote(world.bucket, tmp_path / "made", pipeline="adclick", run=RUN, digest="0" * 64)
    world.hold_lease("another")
    with pytest.raises(LeaseLost):
        staged(world, tmp_path)
    assert world.hosts.calls == []


# ------------------------------------------------------------------------------------------------------- move

SETTLED = ("InService", "Failed", "OutOfService", "UpdateRollbackFailed")
CREATE, UPDATE, DELETE = ("create_endpoint", NAME, TWO), ("update_endpoint", NAME, TWO), ("delete_endpoint", NAME)
Case = tuple[Endpoint | None, str | None, bool, str, bool, tuple[str, ...] | None]


def table() -> list[Case]:
    """What there is, what is wanted, whether it was asked before; then the answer, and the one call."""
    cases: list[Case] = []
    for asked in (False, True):
        cases.append((None, TWO, asked, "changing", True, CREATE))
        cases.append((None, None, asked, "gone", True, None))
        for status in sorted(CHANGING):
            for config in (ONE, TWO, OTHER_KIND):
                for wanted in (TWO, None):
                    cases.append((Endpoint(status, config), wanted, asked, "changing", asked, None))
        cases.append((Endpoint("InService", TWO), TWO, asked, "in_service", asked, None))
    for status in SETTLED:
        for config in (ONE, TWO, OTHER_KIND, "made by a person"):
            found = Endpoint(status, config)
            cases.append((found, None, False, "changing", True, DELETE))
            cases.append((found, None, True, "failed", True, None))
            if (status, config) != ("InService", TWO):
                same = status == "InService" and config == ONE
                cases.append((found, TWO, False, "changing", True, UPDATE if same else DELETE))
                cases.append((found, TWO, True, "failed", True, None))
    return cases


@pytest.mark.parametrize(("found", "wanted", "asked", "status", "then", "call"), table())
def test_each_look_makes_the_one_call_that_leads_nearer(
    found: Endpoint | None, wanted: str | None, asked: bool, status: str, then: bool, call: tuple[str, ...] | None
) -> None:
    hosts = hosting(ONE, TWO, OTHER_KIND)
    if found:
        # It stays as it is for this look.
        hosts.endpoints[NAME] = Hosted(found, left=9)
    progress = move(hosts, NAME, wanted, asked=asked)
    assert (progress.status, progress.asked) == (status, then)
    assert hosts.calls == ([call] if call else [])


def test_the_reason_of_a_failure_is_told() -> None:
    hosts = hosting(ONE, TWO)
    hosts.endpoints[NAME] = Hosted(Endpoint("InService", ONE, "No answer to /ping."))
    progress = move(hosts, NAME, TWO, asked=True)
    assert progress == Progress("failed", True, f"{NAME} is InService with {ONE}: No answer to /ping.")


def arrive(hosts: Hosts, name: str, config: str | None, calls: int = 40) -> str:
    """Calls as the machine does until it has arrived or failed."""
    asked = False
    for _ in range(calls):
        progress = move(hosts, name, config, asked=asked)
        asked = progress.asked
        if progress.status != "changing":
            return progress.status
    raise AssertionError(f"{name} is still changing after {calls} calls: {hosts.calls}")


@pytest.mark.parametrize("delay", [0, 1, 5])
@pytest.mark.parametrize("start", [None, "Creating", "Updating", *SETTLED])
@pytest.mark.parametrize("before", [ONE, TWO, OTHER_KIND])
@pytest.mark.parametrize("wanted", [TWO, OTHER_KIND, None])
def test_an_endpoint_arrives_from_wherever_it_is(
    start: str | None, before: str, wanted: str | None, delay: int
) -> None:
    hosts = hosting(ONE, TWO, OTHER_KIND, delay=delay)
    if start:
        hosts.endpoints[NAME] = Hosted(Endpoint(start, before), delay, Endpoint("InService", before))
    assert arrive(hosts, NAME, wanted) == ("in_service" if wanted else "gone")
    found = hosts.endpoint(NAME)
    assert (found and found.config) == wanted


@pytest.mark.parametrize("before", [ONE, OTHER_KIND, None])
def test_what_does_not_become_healthy_fails_and_what_was_before_is_put_back(before: str | None) -> None:
    hosts = hosting(ONE, TWO, OTHER_KIND)
    if before:
        hosts.endpoints[NAME] = Hosted(Endpoint("InService", before))
    hosts.broken = {TWO}
    assert arrive(hosts, NAME, TWO) == "failed"
    assert arrive(hosts, NAME, before) == ("in_service" if before else "gone")
    found = hosts.endpoint(NAME)
    assert (found and (found.status, found.config)) == (before and ("InService", before))


def test_an_update_never_leaves_callers_without_an_answer() -> None:
    """Of one kind to another of it: what is served changes over, and is never deleted."""
    hosts = hosting(ONE, TWO)
    hosts.endpoints[NAME] = Hosted(Endpoint("InService", ONE))
    assert arrive(hosts, NAME, TWO) == "in_service"
    assert hosts.calls == [UPDATE]


@pytest.mark.parametrize("wanted", [None, OTHER_KIND])
def test_what_cannot_be_deleted_fails_and_is_not_tried_for_ever(wanted: str | None) -> None:
    hosts = hosting(ONE, OTHER_KIND)
    hosts.endpoints[NAME], hosts.stuck = Hosted(Endpoint("InService", ONE)), {NAME}
    assert arrive(hosts, NAME, wanted) == "failed"


class Moves(RuleBasedStateMachine):
    """A machine that asks for one configuration after the other, forgets answers, and meets a service that fails."""

    @initialize(delay=st.integers(0, 3))
    def begin(self, delay: int) -> None:
        self.hosts = hosting(ONE, TWO, OTHER_KIND, delay=delay)
        self.wanted: str | None = None
        self.asked = False

    @rule(wanted=st.sampled_from([ONE, TWO, OTHER_KIND, None]))
    def another_wish(self, wanted: str | None) -> None:
        self.wanted, self.asked = wanted, False

    @rule(config=st.sampled_from([ONE, TWO, OTHER_KIND]))
    def one_breaks(self, config: str) -> None:
        self.hosts.broken.add(config)

    @precondition(lambda self: self.hosts.broken)
    @rule()
    def all_are_sound_again(self) -> None:
        self.hosts.broken.clear()

    @rule(forgotten=st.booleans())
    def a_call(self, forgotten: bool) -> None:
        progress = move(self.hosts, NAME, self.wanted, asked=self.asked)
        if not forgotten:
            self.asked = progress.asked
        if progress.status == "in_service":
            found = self.hosts.endpoints[NAME].now
            assert (found.status, found.config) == ("InService", self.wanted)
        if progress.status == "gone":
            assert (self.wanted, NAME in self.hosts.endpoints) == (None, False)

    @rule(wanted=st.sampled_from([ONE, TWO, OTHER_KIND]))
    def a_deployment(self, wanted: str) -> None:
        """To its end, and back where it fails, with what was there before."""
        before = self.hosts.endpoints.get(NAME)
        serves = before is not None and before.now.status == "InService"
        previous = before.now.config if before else None
        ended = arrive(self.hosts, NAME, wanted)
        assert ended in {"in_service", "failed"}
        if ended == "failed":
            back = arrive(self.hosts, NAME, previous)
            # One of another kind had to go, and may not become healthy a second time.
            stayed = serves and previous is not None and previous[-6] == wanted[-6]
            if stayed or previous not in self.hosts.broken:
                assert back == ("in_service" if previous else "gone")
        self.wanted, self.asked = wanted, False

    @invariant()
    def nothing_else_is_touched(self) -> None:
        assert set(self.hosts.endpoints) <= {NAME}
        assert {call[0] for call in self.hosts.calls} <= {"create_endpoint", "update_endpoint", "delete_endpoint"}

    def teardown(self) -> None:
        """However it was left, calls come to an end, and once all is sound to where they should."""
        assert arrive(self.hosts, NAME, TWO) in {"in_service", "failed"}
        self.hosts.broken.clear()
        assert arrive(self.hosts, NAME, TWO) == "in_service"
        assert arrive(self.hosts, NAME, None) == "gone"


TestMoves = Moves.TestCase
TestMoves.settings = settings(max_examples=60, stateful_step_count=15, deadline=None)


# ----------------------------------------------------------------------------------------------------- verify

ROWS = 2 * ROWS_AT_ONCE + 5
WIDTH = sum(PIPELINE.data.features.values())


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A bundle whose answers are a third of the first input, or 0.5 where it is missing."""
    folder = tmp_path_factory.mktemp("bundle")
    bundle = bundles.unpacked(folder / "members", pipeline="adclick", run=RUN)
    features = np.random.default_rng(0).random((ROWS, WIDTH), np.float32)
    features[3, 0] = features[70, 1] = np.nan
    answers = np.where(np.isnan(features[:, :1]), np.float32(0.5), features[:, :1] / 3)
    np.savez(bundle.reference_path, features=features, predictions=answers.astype(np.float32))
    write_bundle(bundle.folder, folder / "model.tar.gz")
    return (folder / "model.tar.gz").read_bytes()


def serving(body: bytes, run: str = RUN, scale: float = 1.0) -> bytes:
    """As the endpoint answers that serves this bundle."""
    rows = json.loads(body)["features"]
    assert all(len(row) == WIDTH for row in rows)
    values = [0.5 if row[0] is None else row[0] / 3 * scale for row in rows]
    return json.dumps({"predictions": [{"probability": value, "model_run_ts": run} for value in values]}).encode()


def changed(change: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], bytes]:
    """A sound answer in which something is changed."""

    def answer(body: bytes) -> bytes:
        document = json.loads(serving(body))
        change(document)
        return json.dumps(document).encode()

    return answer


def first(**fields: Any) -> Callable[[bytes], bytes]:
    return changed(lambda document: document["predictions"][0].update(fields))


def verified(world: World, folder: Path, answer: Callable[[bytes], bytes]) -> int:
    world.register()
    world.hosts.answers[NAME] = answer
    return verify(world.bucket, world.hosts, PIPELINE, RUN, NAME, folder)


def test_an_endpoint_that_answers_all_reference_rows_is_right(archive: bytes, tmp_path: Path) -> None:
    asked: list[int] = []

    def answer(body: bytes) -> bytes:
        asked.append(len(json.loads(body)["features"]))
        return serving(body)

    assert verified(World(archive), tmp_path, answer) == ROWS
    assert asked == [ROWS_AT_ONCE, ROWS_AT_ONCE, 5]


WRONG: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "other answers": (lambda body: serving(body, scale=1.01), "does not answer as it was trained to"),
    "another model's": (lambda body: serving(body, run="2026-11-20T04-00-00Z"), "answers for 2026-11-20T04-00-00Z"),
    "one of another model's": (first(model_run_ts="older"), "answers for older"),
    "a number for a model": (first(model_run_ts=7), "answers for 7"),
    "no number": (first(probability=None), "no predictions"),
    "NaN": (first(probability=float("nan")), "no number"),
    "infinity": (first(probability=float("inf")), "no number"),
    "beyond every number": (first(probability=10**400), "no predictions"),
    "a text": (first(probability="high"), "no predictions"),
    "a list": (first(probability=[0.1]), "no predictions"),
    "no probability": (changed(lambda document: document["predictions"][0].pop("probability")), "no predictions"),
    "no model": (changed(lambda document: document["predictions"][0].pop("model_run_ts")), "no predictions"),
    "one row less": (changed(lambda document: document["predictions"].pop()), "missing"),
    "one row more": (changed(lambda document: document["predictions"].append(document["predictions"][0])), "missing"),
    "no rows": (changed(lambda document: document["predictions"].clear()), "missing"),
    "rows in another order": (changed(lambda document: document["predictions"].reverse()), "does not answer"),
    "no predictions": (changed(lambda document: document.pop("predictions")), "no predictions"),
    "predictions that are none": (lambda body: b'{"predictions": 7}', "no predictions"),
    "texts": (lambda body: b'{"predictions": ["0.5"]}', "no predictions"),
    "an object of them": (lambda body: b'{"predictions": {"probability": 0.5}}', "no predictions"),
    "half an answer": (lambda body: serving(body)[:-20], "no predictions"),
    "nothing": (lambda body: b"", "no predictions"),
    "a page": (lambda body: b"<html>502 Bad Gateway</html>", "no predictions"),
    "another encoding": (lambda body: b"\xff\xfe\x00", "no predictions"),
    "a list of answers": (lambda body: b"[0.5]", "no predictions"),
    "no end of lists": (lambda body: b"[" * 200_000, "no predictions"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_an_answer_that_is_not_the_models_is_refused(wrong: str, archive: bytes, tmp_path: Path) -> None:
    answer, said = WRONG[wrong]
    with pytest.raises(EndpointFailed, match=said):
        verified(World(archive), tmp_path, answer)


@pytest.mark.parametrize("batch", [0, 1, 2])
def test_a_fault_in_any_batch_is_found(batch: int, archive: bytes, tmp_path: Path) -> None:
    calls: list[bytes] = []

    def answer(body: bytes) -> bytes:
        calls.append(body)
        return b'{"predictions": []}' if len(calls) == batch + 1 else serving(body)

    with pytest.raises(EndpointFailed):
        verified(World(archive), tmp_path, answer)


def test_an_endpoint_is_not_verified_by_a_bundle_that_was_exchanged(archive: bytes, tmp_path: Path) -> None:
    world = World(archive)
    world.register()
    world.hosts.answers[NAME] = serving
    for exchange in (
        lambda: world.bucket.put(KEYS.model(RUN), archive + b"."),
        lambda: world.bucket.delete(KEYS.model(RUN)),
    ):
        exchange()
        with pytest.raises(BadBundle, match="not the bundle that was approved"):
            verify(world.bucket, world.hosts, PIPELINE, RUN, NAME, tmp_path)


def test_what_is_not_registered_is_not_verified(world: World, tmp_path: Path) -> None:
    with pytest.raises(NotRegistered):
        verify(world.bucket, world.hosts, PIPELINE, RUN, NAME, tmp_path)


# ------------------------------------------------------------------------------------------------------- tidy


def test_tidying_keeps_what_is_served_and_the_newest() -> None:
    days = [named(day) for day in range(1, 10)]
    hosts = hosting(*reversed(days))
    hosts.endpoints[NAME] = Hosted(Endpoint("InService", days[2]))
    assert tidy(hosts, NAME) == [*days[6:2:-1], *days[1::-1]]
    assert set(hosts.configs) == set(hosts.models) == {days[2], *days[-(KEPT - 1) :]}
    assert tidy(hosts, NAME) == []


def test_tidying_what_is_gone_keeps_the_newest() -> None:
    hosts = hosting(*(named(day) for day in range(1, 6)))
    tidy(hosts, NAME)
    assert set(hosts.configs) == {named(3), named(4), named(5)}


def test_tidying_leaves_what_is_not_the_endpoints() -> None:
    """Another stack's endpoint may be named as ours and something more; a person may try something by hand."""
    others = [named(day, endpoint="ratchet-adclick-rul") for day in range(1, 6)]
    others += [f"{NAME}-experiment", f"{NAME}-candidate", "ratchet-rul-x", named(1, endpoint="ratchet-adclic")]
    hosts = hosting(*others, *(named(day) for day in range(1, 6)))
    tidy(hosts, NAME)
    assert set(others) <= set(hosts.configs)
    assert {name for name in hosts.configs if name not in others} == {named(3), named(4), named(5)}


def test_tidying_deletes_the_candidate() -> None:
    hosts = hosting(ONE)
    hosts.endpoints[candidate_name(NAME)] = Hosted(Endpoint("InService", ONE))
    tidy(hosts, NAME)
    assert arrive(hosts, candidate_name(NAME), None) == "gone"
    assert (hosts.calls, set(hosts.configs)) == ([("delete_endpoint", candidate_name(NAME))], {ONE})


def test_sizes_of_one_run_are_kept_apart() -> None:
    hosts = hosting(ONE, named(1, INSTANCES), TWO, OTHER_KIND)
    hosts.endpoints[NAME] = Hosted(Endpoint("InService", ONE))
    tidy(hosts, NAME)
    assert set(hosts.configs) == {ONE, TWO, OTHER_KIND}
