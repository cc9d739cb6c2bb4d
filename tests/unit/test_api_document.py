"""Whatever is asked of the API, the answer is as its OpenAPI document describes it: schemathesis, over HTTP.

The requests pass through the gateway of `ratchet serve` to the function's own handler.
"""

import copy
from collections.abc import Callable, Iterator
from threading import Lock, Thread
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from ratchet.api import paths
from ratchet.api.routes import document
from schemathesis import GenerationMode

from cli.gateway import Gateway
from tests import api
from tests.api import PRESS, World


def unguarded() -> dict[str, Any]:
    """The document for those who need no signature, as at the gateway of `ratchet serve`."""
    found = copy.deepcopy(document("rul"))
    for path in found["paths"].values():
        for operation in path.values():
            operation.pop("security", None)
    return found


SCHEMA: Any = schemathesis.openapi.from_dict(unguarded())
OPERATIONS = {each.ok().label: each.ok() for each in SCHEMA.get_all_operations()}
CASES = [
    pytest.param(operation, mode, id=f"{label} {mode.value}")
    for label, operation in OPERATIONS.items()
    for mode in GenerationMode
    # There is no wrong way to ask how it is.
    if not (mode.is_negative and label == f"GET {paths.HEALTH}")
]
EXAMPLES = 40


@pytest.fixture(scope="module")
def world() -> World:
    return api.whole()


@pytest.fixture(scope="module")
def gateway(world: World) -> Iterator[Gateway]:
    one_at_a_time = Lock()

    def invoke(event: dict[str, Any]) -> Any:
        with one_at_a_time:
            return world.handle(event)

    with api.configured(), Gateway(0, invoke) as served:
        Thread(target=served.serve_forever, args=(0.01,), daemon=True).start()
        yield served
        served.shutdown()


@pytest.fixture(scope="module")
def check(gateway: Gateway) -> Iterator[Callable[[Any], requests.Response]]:
    """Sends a case and compares its answer with the document."""
    with requests.Session() as session:
        yield lambda case: case.call_and_validate(gateway.address, session)


@pytest.mark.parametrize(("operation", "mode"), CASES)
def test_an_answer_is_as_described(
    operation: Any, mode: GenerationMode, check: Callable[[Any], requests.Response], world: World
) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy(generation_mode=mode))
    def asked(case: Any) -> None:
        world.states.executions.clear()
        check(case)

    asked()


def test_the_answers_that_chance_does_not_find_are_as_described(
    check: Callable[[Any], requests.Response], world: World
) -> None:
    query = {"zoneId": PRESS.zone, "equipId": PRESS.equipment}
    predicted = check(OPERATIONS[f"GET {paths.PREDICT}"].Case(query=query))
    assert (predicted.status_code, predicted.json()["unit"]) == (200, "hours")
    started = check(OPERATIONS[f"POST {paths.RETRAIN}"].Case())
    assert started.status_code == 202
    asked = check(OPERATIONS[f"GET {paths.RUN}"].Case(path_parameters={"name": started.json()["name"]}))
    assert (asked.status_code, asked.json()["state"]) == (200, "running")


@pytest.mark.parametrize("path", paths.METHODS)
def test_a_method_that_there_is_not_is_refused(path: str, gateway: Gateway) -> None:
    url = gateway.address + path.replace("{name}", "x")
    for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - {paths.METHODS[path]}:
        answer = requests.request(method, url, timeout=5)
        assert (answer.status_code, answer.headers["Allow"]) == (405, paths.METHODS[path])
        assert answer.content if method != "HEAD" else not answer.content
