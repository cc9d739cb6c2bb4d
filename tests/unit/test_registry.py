"""A model that passed the gate is registered once, as pending; only its very package, approved, is ever staged."""

import ast
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ratchet.endpoint.stage import stage
from ratchet.errors import (
    BadBundle,
    ContractError,
    ForeignDocument,
    LeaseLost,
    NotRegistered,
    RatchetError,
    Unavailable,
)
from ratchet.registry import package
from ratchet.registry.package import APPROVED, FACTS, PENDING, REJECTED, name_of, one_line
from ratchet.registry.register import approval_input, begin, execution_name
from ratchet.store import encode

from tests.fake_sagemaker import GROUP, Killed
from tests.signed import BUNDLE, EXECUTION, KEYS, PIPELINE, RUN, STACK, TOKEN, World

ROOT = Path(__file__).parents[2]
STATUSES = [PENDING, APPROVED, REJECTED, "", "approved", "Approved "]
EVENT = {"pipeline": "adclick", "run_ts": RUN, "execution": EXECUTION, "token": TOKEN}


@pytest.fixture
def world() -> World:
    return World()


def test_a_model_is_registered_as_pending_with_what_it_is_known_by(world: World) -> None:
    registered = world.register()
    found = world.package(registered.package_arn)
    assert (found.status, found.model_uri) == (PENDING, registered.bundle_uri)
    known = {"pipeline": "adclick", "run_ts": RUN, "sha256": registered.sha256, "stack": STACK}
    shown = ("card_uri", "train_uri", "manifest_uri", "job_name")
    assert dict(found.facts) == {**known, **{name: getattr(registered, name) for name in shown}}
    assert world.packages.about[registered.package_arn] == f"{PIPELINE.title}. Better."
    assert world.packages.decided == []


def test_registering_again_finds_what_is_registered(world: World) -> None:
    first = world.register()
    world.clock.forward(minutes=5)
    assert world.register() == first
    assert len(world.packages.packages) == 1


def test_a_death_before_the_registration_leaves_no_second_package(world: World) -> None:
    def die() -> None:
        raise Killed

    world.bucket.between = die
    with pytest.raises(Killed):
        world.register()
    assert KEYS.package(RUN) not in world.bucket.objects
    assert world.register().package_arn == f"{GROUP}/1"
    assert len(world.packages.packages) == 1


def test_of_two_calls_at_once_the_first_registration_stands(world: World) -> None:
    def other() -> None:
        world.clock.forward(seconds=1)
        made.append(world.register())

    made: list[package.Registration] = []
    world.bucket.between = other
    assert world.register() == made[0]


@pytest.mark.parametrize("racing", [False, True])
def test_another_bundle_of_a_registered_run_is_not_taken_for_it(world: World, racing: bool) -> None:
    def exchange() -> None:
        key = KEYS.package(RUN)
        document = {**asdict(registered), "sha256": "0" * 64}
        world.bucket.put(key, encode(document))

    registered = world.register()
    world.bucket.delete(KEYS.package(RUN))
    if racing:
        world.bucket.between = exchange
    else:
        exchange()
    with pytest.raises(ForeignDocument, match="another bundle"):
        world.register()


@pytest.mark.parametrize("lost", ["lose_answers", "lose_requests"])
def test_a_lost_answer_of_the_store_is_read_back(world: World, lost: str) -> None:
    setattr(world.bucket, lost, 1)
    registered = world.register()
    assert package.registration(world.bucket, KEYS, RUN) == registered


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda world: world.judge(verdict="keep"), ContractError),
        (lambda world: world.judge(verdict="insufficient"), ContractError),
        (lambda world: world.judge(champion='"another"'), ContractError),
        (lambda world: world.judge(synthetic=True), ContractError),
        (lambda world: world.bucket.put(KEYS.model(RUN), b"other bytes"), ContractError),
        (lambda world: world.bucket.delete(KEYS.model(RUN)), BadBundle),
        (lambda world: world.bucket.delete(KEYS.evaluation(RUN)), BadBundle),
        (lambda world: world.hold_lease(token=TOKEN + 1), LeaseLost),
        (lambda world: world.hold_lease("another"), LeaseLost),
        (lambda world: world.hold_lease(state="free"), LeaseLost),
        (lambda world: setattr(world.packages, "down", True), Unavailable),
    ],
    ids=[
        *("kept", "insufficient", "other champion", "synthetic", "other bytes", "no bundle", "no evidence"),
        *("token behind", "lease of another", "lease free", "registry down"),
    ],
)
def test_what_did_not_pass_the_gate_is_not_registered(
    world: World, change: Callable[[World], Any], error: type[RatchetError]
) -> None:
    event = world.event()
    change(world)
    with pytest.raises(error):
        world.register(**event)
    assert (world.packages.packages, KEYS.package(RUN) in world.bucket.objects) == ({}, False)


def test_synthetic_data_is_registered_where_the_stack_allows_it(world: World) -> None:
    world.judge(synthetic=True)
    assert world.register(allow_synthetic=True).package_arn in world.packages.packages


def test_a_run_that_was_never_registered_says_so(world: World) -> None:
    with pytest.raises(NotRegistered, match="passed the gate"):
        package.registration(world.bucket, KEYS, RUN)


def test_waiting_for_a_person_begins_once(world: World) -> None:
    registered = world.register()
    assert begin(world.machine, registered) == begin(world.machine, registered) == execution_name(registered)
    assert world.machine.inputs == {execution_name(registered): approval_input(registered)}
    assert len(execution_name(replace(registered, pipeline="a" * 20), attempt=99)) <= 80


@given(st.text(max_size=60))
def test_the_registry_gets_one_line_without_what_nobody_sees(text: str) -> None:
    told = one_line(text, 40)
    assert len(told) <= 40
    assert told.isprintable()
    assert one_line(told, 40).split() == told.split()


@pytest.mark.parametrize(
    ("arn", "name"),
    [(f"{GROUP}/12", "ratchet-models-12"), (f"{GROUP}-1/2", "ratchet-models-1-2"), ("arn:x:model-package/one", "one")],
)
def test_an_approval_lies_under_the_name_of_its_package(arn: str, name: str) -> None:
    assert name_of(arn) == name


def test_a_package_of_another_kind_than_ours_does_not_crash_the_check(world: World) -> None:
    registered = world.register()
    bare = package.Package(registered.package_arn, APPROVED, {}, "")
    assert package.check(bare, registered, STACK) == "its package is of another model"
    assert package.check(None, registered, STACK) == "its package is gone from the registry"


# ------------------------------------------------------------------------------------- what is never staged

Change = Callable[[World, str], Any]


def foreign(**facts: str | None) -> Change:
    return lambda world, arn: world.exchanged(arn, facts)


def registration(**changed: Any) -> Change:
    def change(world: World, arn: str) -> None:
        document = {**asdict(package.registration(world.bucket, KEYS, RUN)), **changed}
        world.bucket.put(KEYS.package(RUN), encode(document))

    return change


MISMATCHES: dict[str, Change] = {
    **{f"another {name}": foreign(**{name: "another"}) for name in FACTS},
    **{f"no {name}": foreign(**{name: None}) for name in FACTS},
    "another model": lambda world, arn: world.packages.change(arn, model_uri="s3://bucket/adclick/model/other"),
    "no model": lambda world, arn: world.packages.change(arn, model_uri=""),
    "package gone": lambda world, arn: world.packages.packages.pop(arn),
    "registered digest differs": registration(sha256="0" * 64),
    "registered run differs": registration(run_ts="2026-11-20T04-00-00Z"),
    "registered bundle differs": registration(bundle_uri="s3://bucket/adclick/model/run_ts=other/model.tar.gz"),
    "registered package differs": registration(package_arn=f"{GROUP}/99"),
    "not registered": lambda world, arn: world.bucket.delete(KEYS.package(RUN)),
    "bytes exchanged": lambda world, arn: world.bucket.put(KEYS.model(RUN), BUNDLE + b"."),
    "bytes gone": lambda world, arn: world.bucket.delete(KEYS.model(RUN)),
    "lease of another": lambda world, arn: world.hold_lease("another"),
    "token behind": lambda world, arn: world.hold_lease(token=TOKEN + 1),
    "registry down": lambda world, arn: setattr(world.packages, "down", True),
}


def staged(world: World, folder: Path, stack: str = STACK, **event: Any) -> str:
    """What staging came to: its status, or the name of its error."""
    given = (world.bucket, world.packages, world.hosts, PIPELINE, {**EVENT, **event})
    try:
        return stage(*given, stack=stack, folder=folder).status
    except RatchetError as error:
        return type(error).__name__


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("mismatch", MISMATCHES)
def test_no_model_is_made_of_any_other_package_whatever_its_status(
    world: World, mismatch: str, status: str, tmp_path: Path
) -> None:
    arn = world.register().package_arn
    world.packages.change(arn, status=status)
    MISMATCHES[mismatch](world, arn)
    assert staged(world, tmp_path) not in {"staged", "in_service"}
    assert world.hosts.calls == []


@pytest.mark.parametrize("status", [status for status in STATUSES if status != APPROVED])
def test_no_model_is_made_of_what_is_not_approved(world: World, status: str, tmp_path: Path) -> None:
    world.packages.change(world.register().package_arn, status=status)
    assert staged(world, tmp_path) == "not_approved"
    assert world.hosts.calls == []


def test_no_model_is_made_of_another_stacks_package(world: World, tmp_path: Path) -> None:
    world.approve(world.register().package_arn)
    assert staged(world, tmp_path, stack="ratchet-prod") == "not_approved"
    assert world.hosts.calls == []


def test_a_package_rejected_after_its_approval_is_not_staged_again(world: World, tmp_path: Path) -> None:
    arn = world.register().package_arn
    world.approve(arn)
    assert staged(world, tmp_path) == "staged"
    made = list(world.hosts.calls)
    world.reject(arn)
    assert staged(world, tmp_path) == "not_approved"
    assert world.hosts.calls == made


def test_an_approval_of_an_older_run_stages_that_run_alone(world: World, tmp_path: Path) -> None:
    """Elsewhere, approving run N deployed whatever was approved last."""
    arn = world.register().package_arn
    world.packages.packages[f"{GROUP}/0"] = replace(world.package(arn), arn=f"{GROUP}/0", status=APPROVED)
    assert staged(world, tmp_path) == "not_approved"
    assert world.hosts.calls == []


def test_models_are_made_in_one_place_and_approved_in_one(world: World) -> None:
    """Product code that is not a port's own adapter."""
    callers: dict[str, set[str]] = {"create_model": set(), "decide": set()}
    for path in [*(ROOT / "layers").rglob("*.py"), *(ROOT / "functions").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in callers:
                callers[node.attr].add(f"{path.relative_to(ROOT)}: {ast.unparse(node.value)}")
    where = "layers/common/ratchet"
    assert callers["create_model"] == {
        f"{where}/adapters/hosting.py: self._client",
        f"{where}/endpoint/stage.py: hosting",
    }
    # One rejects what nobody decided, the other takes a person's word.
    assert {caller for caller in callers["decide"] if "registry" in caller} == {
        f"{where}/registry/asking.py: registry",
        f"{where}/registry/visit.py: registry",
    }
