"""Least privilege: what every role of the template may do is what its code, machine or service needs, and no more.

What is needed is derived: functions are played in thousands of simulated turns and some scenes, machines read off their
definitions. What is allowed is the template as SAM deploys it. Whatever is allowed beyond carries a Sid and its reason.
"""

import copy
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from unittest import mock

import pytest
from ratchet.settings import Settings, parse

from tests.contract.application import DEPLOYED_MACHINES, FUNCTIONS, RESOURCES, TEMPLATE, TEMPLATE_TEXT, logical_id
from tests.emulated import Environments
from tests.faults import rights_needed, rights_scenes, rights_services, rights_sites, rights_sources
from tests.faults.rights_called import Calls, explored
from tests.faults.rights_granted import Finding, Right, compare, roles
from tests.faults.rights_planted import PLANTED, Resources
from tests.faults.rights_resources import PARAMETER, SECRET, Kinds, kinds
from tests.faults.rights_sites import Site
from tests.faults.rights_template import ACCOUNT, BUCKET, Template, translated
from tests.faults.simulator.__main__ import simulated

FIRST_HALF, SECOND_HALF = range(150), range(150, 300)
"""Of the interleavings."""
SERVICES = "services"
"""In the place of a role: those that act by the policies of a topic, a queue or a function."""
ROLES = [
    *(f"{logical_id(step)}Role" for step in FUNCTIONS),
    *(f"{machine.name}Role" for machine in DEPLOYED_MACHINES),
    *("TrainingRole", "EndpointRole", "FeatureStoreRole", "SchedulerRole", "UploadsRole"),
]
GIVEN = {
    **{"SupabaseSecret": PARAMETER, "LandingBucketName": BUCKET, "SensorBucketName": "sensors"},
    **{"ModelPackageGroupName": "theirs", "FeatureGroupMode": "existing", "FeatureGroupName": "theirs"},
    **{"EndpointRoleArn": f"arn:aws:iam::{ACCOUNT}:role/theirs", "EndpointKind": "ml.m5.large"},
}
"""Parameters of a stack that uses what there is."""


@dataclass
class Seen:
    """What steps asked, in the scenes and half of the interleavings, in all of them, and which places never did."""

    half: Calls
    all: Calls
    silent: list[Site]


@pytest.fixture(scope="module")
def seen() -> Seen:
    with rights_sites.watched() as lines:
        played = rights_scenes.played()
        with simulated():
            first, second = explored(FIRST_HALF), explored(SECOND_HALF)
    places = list(rights_sites.sites())
    assert len(places) > 100
    ran = {place for place in places for line in range(place.first, place.last + 1) if (place.file, line) in lines}
    silent = [place for place in places if place not in ran]
    return Seen(together([played, first]), together([played, first, second]), silent)


def together(parts: Iterable[Calls]) -> Calls:
    found: Calls = defaultdict(set)
    for calls in parts:
        for step, asked in calls.items():
            found[step] |= asked
    return found


@pytest.fixture(scope="module")
def sam(environments: Environments) -> Callable[[Resources], Resources]:
    """SAM's transform."""
    return lambda resources: translated(environments.sam.with_name("python"), resources)


@pytest.fixture(
    scope="module",
    params=["everything of its own", "a parameter, and what there is already"],
)
def template(request: pytest.FixtureRequest, sam: Callable[[Resources], Resources]) -> Template:
    own = request.param == "everything of its own"
    return Template(sam(RESOURCES), **({"SupabaseSecret": SECRET} if own else GIVEN))


def told(template: Template, step: str) -> Settings:
    """What the template tells a function."""
    return parse({name: str(value) for name, value in template.environment(logical_id(step)).items()})


def needed(template: Template, known: Kinds, calls: Calls) -> dict[str, set[Right]]:
    """By role."""
    found = {
        "TrainingRole": rights_services.of_training(template, known),
        "EndpointRole": rights_services.of_endpoints(),
        "FeatureStoreRole": rights_services.of_feature_store(known),
        "SchedulerRole": rights_services.of_schedules(template, known),
        "UploadsRole": rights_services.of_events(template, known),
        SERVICES: rights_sources.needed(template, known),
    }
    for step in FUNCTIONS:
        own = rights_needed.rights(calls[step], told(template, step), known)
        found[f"{logical_id(step)}Role"] = own | rights_services.of_function(logical_id(step), template, known)
    for machine in DEPLOYED_MACHINES:
        found[f"{machine.name}Role"] = rights_services.of_machine(machine, template, known)
    return found


def findings(template: Template, calls: Calls) -> Iterator[Finding]:
    """Where what a role may do is not what it needs."""
    known = kinds(template)
    wanted = needed(template, known, calls)
    for role, statements in roles(template).items():
        yield from compare(role, statements, wanted[role], known)
    granted = rights_sources.granted(template, known)
    yield from compare(SERVICES, granted, wanted[SERVICES], rights_sources.sources(template))


@pytest.fixture(scope="module")
def faults(template: Template, seen: Seen) -> list[Finding]:
    return list(findings(template, seen.all))


def reasoned(sid: str) -> bool:
    """Whether a comment stands above every statement of that name in the template."""
    above = re.findall(rf"(.*)\n\s*- Sid: {sid}\n", TEMPLATE_TEXT)
    return bool(above) and all(line.strip().startswith("#") for line in above)


def test_more_interleavings_find_nothing_new(seen: Seen, template: Template) -> None:
    known = kinds(template)
    for step in FUNCTIONS:
        settings = told(template, step)
        half, every = (rights_needed.rights(calls[step], settings, known) for calls in (seen.half, seen.all))
        assert half == every


def test_every_place_that_asks_something_has_been_seen_to_ask(seen: Seen) -> None:
    assert [str(place) for place in seen.silent] == [], "play it in tests/faults/rights_scenes.py"


def test_every_role_of_the_template_is_looked_at(template: Template) -> None:
    assert sorted(roles(template)) == sorted(role for role in ROLES if template.makes(RESOURCES.get(role, {})))


@pytest.mark.parametrize("role", [*ROLES, SERVICES])
def test_a_role_may_do_what_it_needs_and_no_more(role: str, faults: list[Finding]) -> None:
    assert [str(fault) for fault in faults if fault.who == role and not reasoned(fault.sid)] == []


def test_a_statement_is_named_where_it_allows_more_than_is_needed_and_nowhere_else(faults: list[Finding]) -> None:
    named = set(re.findall(r"- Sid: (\w+)\n\s*Effect: Allow", TEMPLATE_TEXT))
    assert named == {fault.sid for fault in faults}


@pytest.fixture(scope="module")
def planted(sam: Callable[[Resources], Resources], seen: Seen) -> set[str]:
    """What is found where all of PLANTED is wrong."""
    resources = copy.deepcopy(RESOURCES)
    for change, _ in PLANTED:
        change(resources)
    return {str(each) for each in findings(Template(sam(resources)), seen.all) if not reasoned(each.sid)}


@pytest.mark.parametrize("complaint", [complaint for _, complaint in PLANTED])
def test_a_right_too_many_or_too_few_is_found(complaint: str, planted: set[str]) -> None:
    assert complaint in planted


def test_a_pattern_that_reaches_another_kind_of_object_is_found(
    sam: Callable[[Resources], Resources], seen: Seen
) -> None:
    wider = {"landedReader": {"Keys": "landing/*", "Actions": ["s3:GetObject"]}}
    with mock.patch.dict(TEMPLATE["Mappings"]["ObjectRights"], wider):
        found = [each for each in findings(Template(sam(RESOURCES)), seen.all) if not reasoned(each.sid)]
    assert {str(each) for each in found} == {
        f"CheckSufficiencyFunctionRole may, but need not, s3:GetObject on {kind}"
        for kind in ("landing", "rejected", "part of hours", "part of readings", "part of records")
    }
