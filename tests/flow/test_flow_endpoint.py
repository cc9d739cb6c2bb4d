"""The deployed endpoint machine: every way into service, and what it undoes when something on the way fails."""

from typing import Any

import pytest

from tests.flow.play import Call, Ended, play
from tests.flow.script import RUN, Answer
from tests.flow.stage import Stage

RIGHT = {"execution": "the deployment", "token": 7}
SAYING = "a sentence with its remedy"
INSTANCES: Answer = {"candidate": None}
FIRST: Answer = {"previous": None}


def fails(name: str = "EndpointFailed") -> Answer:
    return {"raises": name, "saying": SAYING}


def stages(**answer: Any) -> Call:
    return Call("stage_endpoint", answer, {"run_ts": RUN, **RIGHT})


def moves(endpoint: str, config: str | None, *answers: Answer) -> list[Call]:
    """Looks at an endpoint on its way to a configuration (null: to its end), until it is there or has failed."""
    asked = [False, *(bool(answer.get("asked", True)) for answer in answers)]
    events = [{"endpoint": endpoint, "config": config, "asked": each} for each in asked]
    return [Call("move_endpoint", *each) for each in zip(answers, events, strict=False)]


def verifies(endpoint: str, **answer: Any) -> Call:
    return Call("verify_endpoint", answer, {"run_ts": RUN, "endpoint": endpoint})


def tidies(**answer: Any) -> Call:
    return Call("tidy_endpoint", answer, {"endpoint": "served"})


CHANGING: Answer = {"status": "changing"}
OTHERS: Answer = {"status": "changing", "asked": False}
THERE: Answer = {"status": "in_service"}
GONE: Answer = {"status": "gone"}
BROKEN: Answer = {"status": "failed", "reason": "served is Failed with new: No answer to /ping."}
TRIED = [stages(), *moves("candidate", "new", CHANGING, CHANGING, THERE), verifies("candidate")]
PUT_BACK = moves("served", "old", CHANGING, THERE)
REMOVED = moves("candidate", None, CHANGING, GONE)
UNDONE = [*PUT_BACK, *REMOVED]


@pytest.fixture(scope="module")
def impatient(stage: Stage) -> str:
    """A machine that looks at a change three times."""
    text = stage.definition("EndpointMachine")
    assert '"patience": 150' in text
    return stage.created("flow-impatient-endpoint", text.replace('"patience": 150', '"patience": 3'))


def endpoint(stage: Stage, calls: list[Call], machine: str | None = None) -> Ended:
    return play(stage, machine or stage.endpoint, {"run_ts": RUN, **RIGHT}, calls)


IN_SERVICE = {
    "a candidate is tried first, then what is served changes and is verified again": [
        *(*TRIED, *moves("served", "new", CHANGING, THERE), verifies("served"), tidies())
    ],
    "the first endpoint is made the same way": [
        stages(**FIRST),
        *moves("candidate", "new", CHANGING, THERE),
        verifies("candidate"),
        *(*moves("served", "new", CHANGING, THERE), verifies("served"), tidies()),
    ],
    "instances change over by themselves, without a candidate": [
        *(stages(**INSTANCES), *moves("served", "new", CHANGING, THERE), verifies("served"), tidies())
    ],
    "what others are changing is waited for before anything is asked of it": [
        *(*TRIED, *moves("served", "new", OTHERS, CHANGING, THERE), verifies("served"), tidies())
    ],
    "what is served already is verified and nothing else": [
        stages(status="in_service", candidate=None, config="old"),
        *(verifies("served"), tidies()),
    ],
}


SERVED = {"outcome": "in_service", "endpoint": "served", "reason": "The run is approved."}


@pytest.mark.parametrize("calls", IN_SERVICE.values(), ids=IN_SERVICE)
def test_into_service(calls: list[Call], stage: Stage) -> None:
    found = endpoint(stage, calls)
    assert found.last == "In service", found
    assert found.output.pop("pipeline").startswith("story")
    assert found.output == {"run_ts": RUN, **SERVED, "untidy": None}


def test_what_is_served_stands_though_nothing_could_be_tidied_up(stage: Stage) -> None:
    calls = [*TRIED, *moves("served", "new", THERE), verifies("served"), tidies(**fails("BadConfiguration"))]
    found = endpoint(stage, calls)
    assert (found.last, found.output["outcome"], found.output["untidy"]) == (
        *("In service", "in_service"),
        "BadConfiguration",
    )


def test_what_is_not_approved_changes_nothing_and_says_why(stage: Stage) -> None:
    refused = stages(status="not_approved", reason="its package is Rejected", config=None, candidate=None)
    found = endpoint(stage, [refused])
    assert (found.last, found.output["outcome"]) == ("Not approved", "not_approved")
    assert found.output["reason"] == "its package is Rejected"


FAILING = {
    "a bundle that is refused leaves everything as it is": [Call("stage_endpoint", fails(), stages().event)],
    "a candidate that cannot be made is removed, and what is served stays": [
        *(stages(), *moves("candidate", "new", CHANGING, fails()), *UNDONE)
    ],
    "a candidate that answers wrongly is removed, and what is served stays": [
        *(stages(), *moves("candidate", "new", THERE), verifies("candidate", **fails()), *UNDONE)
    ],
    "a move that cannot be asked for is taken back": [*TRIED, *moves("served", "new", fails()), *UNDONE],
    "what answers wrongly once it is served is taken back": [
        *(*TRIED, *moves("served", "new", THERE), verifies("served", **fails()), *UNDONE)
    ],
    "a first endpoint that answers wrongly goes": [
        stages(**FIRST),
        *moves("candidate", "new", THERE),
        *(verifies("candidate"), *moves("served", "new", CHANGING, THERE), verifies("served", **fails())),
        *(*moves("served", None, CHANGING, GONE), *REMOVED),
    ],
    "of instances that answer wrongly the former come back, and there is no candidate to remove": [
        stages(**INSTANCES),
        *(*moves("served", "new", CHANGING, THERE), verifies("served", **fails()), *PUT_BACK),
    ],
    "what is served already and answers wrongly stays for whoever looks into it": [
        stages(status="in_service", candidate=None, config="old"),
        *(verifies("served", **fails()), *moves("served", "old", THERE)),
    ],
    "the first error stands where the candidate cannot be removed": [
        *(*TRIED, *moves("served", "new", fails()), *PUT_BACK),
        *moves("candidate", None, fails("BadConfiguration")),
    ],
}


@pytest.mark.parametrize("calls", FAILING.values(), ids=FAILING)
def test_a_failure(calls: list[Call], stage: Stage) -> None:
    found = endpoint(stage, calls)
    assert found == Ended("Failed", None, "EndpointFailed", SAYING)


def test_the_first_error_stands_where_what_was_served_cannot_be_asked_for_either(stage: Stage) -> None:
    found = endpoint(
        stage, [*TRIED, *moves("served", "new", fails()), *moves("served", "old", fails("BadConfiguration")), *REMOVED]
    )
    told = f"{SAYING} Nor could what was served before be put back: BadConfiguration: {SAYING}"
    assert found == Ended("Failed", None, "EndpointFailed", told)


FAILED = {
    "a candidate that fails is removed before anything else was touched": [
        *(stages(), *moves("candidate", "new", CHANGING, BROKEN), *REMOVED)
    ],
    "an endpoint that fails goes back to what it served": [*TRIED, *moves("served", "new", CHANGING, BROKEN), *UNDONE],
    "a first endpoint that fails goes": [
        *(stages(**FIRST), *moves("candidate", "new", THERE), verifies("candidate")),
        *(*moves("served", "new", CHANGING, BROKEN), *moves("served", None, CHANGING, GONE), *REMOVED),
    ],
    "instances that fail go back, and there is no candidate to remove": [
        *(stages(**INSTANCES), *moves("served", "new", CHANGING, BROKEN), *PUT_BACK)
    ],
}


@pytest.mark.parametrize("calls", FAILED.values(), ids=FAILED)
def test_an_endpoint_that_fails(calls: list[Call], stage: Stage) -> None:
    found = endpoint(stage, calls)
    assert found == Ended("Failed", None, "EndpointFailed", BROKEN["reason"])


def test_what_cannot_be_put_back_is_said_beside_the_first_error(stage: Stage) -> None:
    gone = {"status": "failed", "reason": "served is Failed with old: no capacity"}
    found = endpoint(stage, [*TRIED, *moves("served", "new", fails()), *moves("served", "old", gone), *REMOVED])
    cause = f"{SAYING} Nor could what was served before be put back: {gone['reason']}"
    assert found == Ended("Failed", None, "EndpointFailed", cause)


STILL = "{} is still changing after 0.5 minutes."
STUCK = [CHANGING] * 3
SLOW = {
    "a candidate that does not come is removed": (
        [stages(), *moves("candidate", "new", *STUCK), *REMOVED],
        STILL.format("candidate"),
    ),
    "an endpoint that does not arrive is put back, which has as long again": (
        [*TRIED, *moves("served", "new", *STUCK), *moves("served", "old", CHANGING, CHANGING, THERE), *REMOVED],
        STILL.format("served"),
    ),
    "one that does not come back either is left, and the candidate removed": (
        [*TRIED, *moves("served", "new", *STUCK), *moves("served", "old", *STUCK), *REMOVED],
        f"{STILL} Nor could what was served before be put back: {STILL}".format("served", "served"),
    ),
    "a candidate that does not go is left": (
        [stages(), *moves("candidate", "new", BROKEN), *moves("candidate", None, *STUCK)],
        BROKEN["reason"],
    ),
}


@pytest.mark.parametrize(("calls", "cause"), SLOW.values(), ids=SLOW)
def test_a_change_is_waited_for_so_long(calls: list[Call], cause: str, stage: Stage, impatient: str) -> None:
    assert endpoint(stage, calls, impatient) == Ended("Failed", None, "EndpointFailed", cause)


def test_a_change_that_comes_at_the_last_look_has_come(stage: Stage, impatient: str) -> None:
    calls = [*TRIED, *moves("served", "new", CHANGING, CHANGING, THERE), verifies("served"), tidies()]
    assert endpoint(stage, calls, impatient).last == "In service"


@pytest.mark.parametrize("name", ["Unavailable", "Runtime.ExitError"])
def test_every_step_is_tried_again_where_that_may_help(name: str, stage: Stage) -> None:
    calls = [*TRIED, *moves("served", "new", CHANGING, THERE), verifies("served"), tidies()]
    twice = [each for call in calls for each in (call._replace(answer=fails(name)), call)]
    assert endpoint(stage, twice).last == "In service"
