"""The API: every answer and every error, in the same shape, by the deployed function's own handler."""

import io
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from ratchet.api import paths, problems
from ratchet.api.documents import Problem
from ratchet.api.routes import document
from ratchet.errors import RatchetError, Unavailable
from ratchet.executions import Execution
from ratchet.instants import iso
from ratchet.lease import Lease
from ratchet.store import Listed, Stored, encode

from tests import api
from tests.api import KEYS, NOW, PRESS, RUN, START, World
from tests.fakes import MemoryStore

LATER = "2026-11-13T15-00-00Z"
STARTED = "api-2026-11-12T19-20-00Z"


@pytest.fixture(scope="module")
def made() -> World:
    return api.whole()


@pytest.fixture(autouse=True)
def configured() -> Iterator[None]:
    with api.configured():
        yield


@pytest.fixture
def logged() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What the handler has logged."""
    text = io.StringIO()
    before = api.app.logger.registered_handler.setStream(text)  # type: ignore[attr-defined]
    yield lambda: [json.loads(line) for line in text.getvalue().splitlines()]
    api.app.logger.registered_handler.setStream(before)  # type: ignore[attr-defined]


@pytest.fixture
def world(made: World) -> World:
    return api.clone(made)


def problem(answer: tuple[int, dict[str, Any]]) -> tuple[int, str, str]:
    """Status, name and message of an error, which have one shape."""
    status, told = answer
    assert set(told) == {"status", "error", "message"}
    assert told["status"] == "error"
    assert told["message"].endswith((".", "'"))
    return status, told["error"], told["message"]


def test_a_prediction_says_its_unit_its_model_its_hours_and_what_is_missing(world: World) -> None:
    status, told = world.predict()
    assert status == 200
    assert told == {
        "status": "ok",
        "predictions": [63.0],
        "unit": "hours",
        "model_run_ts": RUN,
        "data_window": {
            "start": iso(START + timedelta(hours=12)),
            "end": iso(START + timedelta(hours=76)),
            "hours": 64,
        },
        "missing_sensors": ["humidity"],
    }


def test_sensors_that_the_model_does_not_know_are_not_missed(world: World) -> None:
    api.promote(world.store_, LATER, told=api.about(sensors=["humidity", "sensor_7", "vibration"]))
    assert world.predict()[1]["missing_sensors"] == ["humidity", "sensor_7"]
    told = api.about()
    del told["sensors"]
    api.promote(world.store_, "2026-11-14T15-00-00Z", told=told)
    assert world.predict()[1]["missing_sensors"] == ["humidity", *(f"sensor_{number}" for number in range(1, 22))]


@pytest.mark.parametrize(
    ("zone", "equipment", "status", "error", "words"),
    [
        ("zone-1", "pres", 404, "UnknownMachine", "zone-1/pres in the last 21 days"),
        ("zone-2", "press", 404, "UnknownMachine", "zone-2/press"),
        ("../zone-1", "press", 400, "MalformedIdentifier", "query.zoneId"),
        ("zone-1", "", 400, "MalformedIdentifier", "query.equipId"),
        ("zone-1", "press/date=2026", 400, "MalformedIdentifier", "query.equipId"),
        ("zone-1", "press,fan", 400, "MalformedIdentifier", "query.equipId"),
        ("zone-1", "press\n", 400, "MalformedIdentifier", "query.equipId"),
        ("z" * 65, "press", 400, "MalformedIdentifier", "query.zoneId"),
        ("존", "press", 400, "MalformedIdentifier", "query.zoneId"),
    ],
)
def test_a_machine_that_is_none_is_refused(
    world: World, zone: str, equipment: str, status: int, error: str, words: str
) -> None:
    found = problem(world.predict(zone, equipment))
    assert found[:2] == (status, error)
    assert words in found[2]


def test_a_missing_parameter_is_named(world: World) -> None:
    assert problem(world.ask("GET /api/v1/predict", zoneId="zone-1")) == (
        *(422, "InvalidRequest"),
        "query.equipId: Field required. See /api/v1/openapi.json.",
    )
    assert problem(world.ask("GET /api/v1/predict", equipId="!"))[:2] == (422, "InvalidRequest")


def test_a_parameter_that_comes_twice_is_malformed(world: World) -> None:
    answer = world.ask("GET /api/v1/predict?zoneId=zone-1&equipId=press&equipId=fan")
    assert problem(answer)[:2] == (400, "MalformedIdentifier")


def test_a_machine_that_fell_silent_is_told_with_its_age(world: World) -> None:
    world.clock.forward(hours=5)
    status, error, message = problem(world.predict())
    assert (status, error) == (424, "StaleInput")
    assert "ended at 2026-11-12T19:00:00Z, 5.3 hours ago" in message


def test_a_machine_without_an_hour_that_has_ended_is_told(world: World) -> None:
    new = api.Machine("zone-1", "new")
    new.write(world.store_, [76])
    assert problem(world.predict("zone-1", "new"))[:2] == (424, "StaleInput")


def test_without_a_champion_nothing_is_answered(world: World) -> None:
    world.store_.delete(KEYS.pointer())
    assert problem(world.predict())[:2] == (503, "NoChampion")
    assert problem(world.ask("GET /health"))[:2] == (503, "NoChampion")


SHIFTED = ["humidity", *[name for name in api.SOURCE.inputs() if name != "humidity"]]
NOT_SERVING = {
    "another order of inputs": ({"told": api.about(inputs=SHIFTED)}, "other inputs"),
    "no word of inputs": ({"told": {}}, "other inputs"),
    "an about that is none": ({"told": ["x"]}, "'about' is of the wrong type"),
    "another unit": ({"unit": "days"}, "answers in days"),
    "no graph": ({"model": b"no graph"}, "does not load"),
    "never finite": ({"model": api.graph(scale=float("nan"))}, "answers zeros with"),
}


@pytest.mark.parametrize(("harm", "words"), NOT_SERVING.values(), ids=NOT_SERVING)
def test_a_model_that_does_not_fit_never_replaces_one_that_does(world: World, harm: dict[str, Any], words: str) -> None:
    assert world.predict()[0] == 200
    api.promote(world.store_, LATER, **harm)
    status, told = world.predict()
    assert (status, told["model_run_ts"]) == (200, RUN)
    healthy = world.ask("GET /health")[1]
    assert (healthy["status"], healthy["model_run_ts"]) == ("ok", RUN)
    assert words in healthy["fault"]
    api.service.cache_clear()
    for answer in (world.predict(), world.ask("GET /health")):
        status, error, message = problem(answer)
        assert (status, error) == (503, "BadBundle")
        assert words in message


def test_a_model_that_has_no_number_for_a_machine_is_at_fault(world: World) -> None:
    api.promote(world.store_, LATER, model=api.graph(scale=1e38))
    assert problem(world.predict())[:2] == (503, "BadBundle")


def test_a_promotion_is_taken_up_and_its_bundle_is_fetched_once(world: World) -> None:
    class Counting(MemoryStore):
        downloads = 0

        def download(self, *arguments: Any) -> str | None:
            self.downloads += 1
            return super().download(*arguments)

    counting = Counting()
    counting.objects = world.store_.objects
    world.store_ = counting
    assert [world.predict()[1]["model_run_ts"] for _ in range(3)] == [RUN] * 3
    api.promote(world.store_, LATER, model=api.graph(scale=0.5))
    assert [world.predict()[1]["predictions"] for _ in range(2)] == [[31.5]] * 2
    assert counting.downloads == 2


def test_health_names_the_model(world: World) -> None:
    assert world.ask("GET /health") == (
        200,
        {
            "status": "ok",
            "message": f"The model of run {RUN} answers for rul.",
            "pipeline": "rul",
            "model_run_ts": RUN,
            "fault": None,
        },
    )


class Broken(MemoryStore):
    """Cannot be listed."""

    error: Exception = Unavailable("S3 answers SlowDown for s3://bucket/landing; ask again.")

    def list(self, prefix: str) -> Iterator[Listed]:
        raise self.error


@pytest.mark.parametrize("error", [Broken.error, ValueError("a secret detail"), KeyError("x")], ids=type)
def test_what_is_nobodys_wish_is_logged_and_told_without_its_insides(
    world: World, error: Exception, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    broken = Broken()
    broken.objects, broken.error = world.store_.objects, error
    world.store_ = broken
    status, name, message = problem(world.predict())
    known = isinstance(error, Unavailable)
    assert (status, name) == ((503, "Unavailable") if known else (500, "InternalError"))
    assert "secret" not in message
    (line,) = logged()
    assert (line["level"], line["status"], line["path"]) == ("ERROR", status, "/api/v1/predict")
    assert str(error) in line["exception"]


def test_what_was_answered_is_logged_and_a_champion_that_does_not_serve_counted(
    world: World, logged: Callable[[], list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    world.predict()
    (line,) = logged()
    assert (line["message"], line["level"], line["status"]) == ("A request was answered", "INFO", 200)
    assert (line["pipeline"], line["method"]) == ("rul", "GET")
    api.promote(world.store_, LATER, model=b"no graph")
    world.predict()
    measured = json.loads(capsys.readouterr().out)
    assert (measured["ChampionNotServing"], measured["pipeline"]) == ([1], "rul")
    assert "does not load" in logged()[-1]["reason"]


def test_a_history_that_takes_too_long_is_put_off_within_the_functions_time(world: World) -> None:
    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 2999

    query = {"zoneId": PRESS.zone, "equipId": PRESS.equipment}
    event = api.event_of("GET", f"{paths.PREDICT}?{api.urlencode(query)}", [("Host", "api")], b"", "127.0.0.1")
    result = world.handle(event, Context())
    assert (result["statusCode"], json.loads(result["body"])["error"]) == (503, "Unavailable")
    assert world.predict()[0] == 200


@pytest.mark.parametrize(
    ("request_line", "status", "error"),
    [
        ("GET /", 404, "UnknownRoute"),
        ("GET /health/", 404, "UnknownRoute"),
        ("GET /api/v1/runs/", 404, "UnknownRoute"),
        ("GET /api/v1/runs/a/b", 404, "UnknownRoute"),
        ("POST /api/v1/retrain/", 404, "UnknownRoute"),
        ("POST /api/v1/predict", 405, "MethodNotAllowed"),
        ("GET /api/v1/retrain", 405, "MethodNotAllowed"),
        ("DELETE /api/v1/runs/x", 405, "MethodNotAllowed"),
        ("OPTIONS /health", 405, "MethodNotAllowed"),
        ("GET /api/v1/runs/%20", 400, "MalformedIdentifier"),
        (f"GET /api/v1/runs/{'a' * 81}", 400, "MalformedIdentifier"),
        ("GET /api/v1/runs/unknown", 404, "UnknownRun"),
    ],
)
def test_a_route_that_there_is_not_is_told(world: World, request_line: str, status: int, error: str) -> None:
    assert problem(world.ask(request_line))[:2] == (status, error)


def test_another_method_is_told_which_one_there_is(world: World) -> None:
    event = api.event_of("HEAD", "/health", [("Host", "api")], b"", "127.0.0.1")
    assert world.handle(event)["headers"]["Allow"] == "GET"


def test_retraining_starts_a_run_that_can_be_asked_for(world: World) -> None:
    status, told = world.ask("POST /api/v1/retrain")
    assert (status, told) == (202, {"status": "accepted", "name": STARTED, "run": "2026-11-12T19-20-00Z"})
    assert json.loads(world.states.executions[STARTED].input) == {"at": "2026-11-12T19-20-00Z"}
    status, told = world.ask(f"GET /api/v1/runs/{STARTED}")
    assert (status, told["state"], told["run"]) == (200, "running", "2026-11-12T19-20-00Z")
    assert (told["started_at"], told["ended_at"], told["outcome"]) == (iso(NOW), None, None)


def test_asked_twice_within_a_second_it_is_one_run(world: World) -> None:
    assert world.ask("POST /api/v1/retrain")[0] == world.ask("POST /api/v1/retrain", {})[0] == 202
    assert len(world.states.executions) == 1
    assert problem(world.ask("POST /api/v1/retrain", {"sample": 5}))[:2] == (409, "AlreadyRunning")


def test_a_run_is_told_what_it_was_asked_for(world: World) -> None:
    assert world.ask("POST /api/v1/retrain", {"month": "2026-10", "sample": 500.0})[0] == 202
    assert json.loads(world.states.executions[STARTED].input) == {
        "month": "2026-10",
        "sample": 500,
        "at": "2026-11-12T19-20-00Z",
    }


@pytest.mark.parametrize(
    ("body", "kind", "status", "error"),
    [
        ({"month": "2026-13"}, "application/json", 422, "InvalidRequest"),
        ({"sample": -1}, "application/json", 422, "InvalidRequest"),
        ({"sample": "5"}, "application/json", 422, "InvalidRequest"),
        ({"sample": True}, "application/json", 422, "InvalidRequest"),
        ({"sample": 5.5}, "application/json", 422, "InvalidRequest"),
        ({"limit": 5}, "application/json", 422, "InvalidRequest"),
        ({"at": "2026-11-12T19-20-00Z"}, "application/json", 422, "InvalidRequest"),
        ([{"sample": 5}], "application/json", 422, "BadInput"),
        (b"{", "application/json", 422, "BadInput"),
        (b"[" * 100_000, "application/json", 422, "BadInput"),
        (b"\xff", "application/json", 422, "BadInput"),
        (b"sample=5", "application/x-www-form-urlencoded", 415, "UnsupportedMediaType"),
        (b"--x", "multipart/form-data", 415, "UnsupportedMediaType"),
        (b"{}", "text/plain; charset=utf-8", 415, "UnsupportedMediaType"),
    ],
)
def test_a_wish_that_cannot_be_is_refused(world: World, body: Any, kind: str, status: int, error: str) -> None:
    assert problem(world.ask("POST /api/v1/retrain", body, kind))[:2] == (status, error)
    assert world.states.executions == {}


@pytest.mark.parametrize("body", [None, b"null", b"{}", {"month": None, "sample": None}])
def test_no_wish_is_that_of_the_schedule(world: World, body: Any) -> None:
    assert world.ask("POST /api/v1/retrain", body, "application/json; charset=utf-8")[0] == 202


def hold(world: World, state: str, status: str) -> None:
    """The lease as an execution has it that stands so."""
    arn = f"{api.ARN.replace('stateMachine', 'execution')}:holder"
    lease = Lease(state, arn, LATER, 3, iso(NOW), iso(NOW + timedelta(hours=4)))
    world.store_.put(KEYS.lease(), encode(vars(lease)))
    if status:
        world.states.executions["holder"] = Execution(status, NOW)


@pytest.mark.parametrize(
    ("state", "status", "code"),
    [
        ("held", "RUNNING", 409),
        ("held", "PENDING_REDRIVE", 409),
        ("held", "ABORTED", 202),
        ("held", "", 202),
        ("free", "RUNNING", 202),
    ],
)
def test_a_run_is_refused_while_the_lease_is_held_by_one_that_runs(
    world: World, state: str, status: str, code: int
) -> None:
    hold(world, state, status)
    answer = world.ask("POST /api/v1/retrain")
    assert answer[0] == code
    if code == 409:
        assert problem(answer)[1:] == (
            "AlreadyRunning",
            f"Run {LATER} is under way as 'holder': ask for it, or wait for its end.",
        )


def test_retraining_by_another_route_than_its_own_is_refused(world: World) -> None:
    """The gateway asks for a signature at that route; what reaches the function by another may have none."""
    event = api.event_of("POST", paths.RETRAIN, [("Host", "api")], b"", "127.0.0.1")
    event["routeKey"] = paths.DEFAULT
    result = world.handle(event)
    assert (result["statusCode"], json.loads(result["body"])["error"]) == (403, "NotAuthorised")
    assert world.states.executions == {}


ENDED = NOW + timedelta(minutes=9)
DONE = {"run_ts": RUN, "outcome": "promoted", "reason": "Better.", "verdict": "promote", "card_uri": "s3://b/c"}
CAUSE = json.dumps({"Error": "TrainingFailed", "Cause": json.dumps({"errorMessage": "The loss is no number."})})
STANDING = [
    (Execution("RUNNING", NOW, input='{"resume": "r"}'), ("running", "r", None, None, None)),
    (Execution("RUNNING", NOW), ("running", None, None, None, None)),
    (Execution("SUCCEEDED", NOW, ENDED, output=json.dumps(DONE)), ("succeeded", RUN, "promoted", "Better.", "promote")),
    (
        Execution("FAILED", NOW, ENDED, error="TrainingFailed", cause=CAUSE),
        ("failed", None, "failed", "TrainingFailed: The loss is no number.", None),
    ),
    (Execution("ABORTED", NOW, ENDED), ("aborted", None, "failed", "ABORTED", None)),
    (
        Execution("TIMED_OUT", NOW, ENDED, error="States.Timeout", cause="[1]"),
        ("timed_out", None, "failed", "States.Timeout: [1]", None),
    ),
]


@pytest.mark.parametrize(("execution", "told"), STANDING, ids=lambda value: getattr(value, "status", ""))
def test_an_execution_is_told_as_it_stands(world: World, execution: Execution, told: tuple[Any, ...]) -> None:
    world.states.executions["x.y_z-1"] = execution
    status, found = world.ask("GET /api/v1/runs/x.y_z-1")
    assert status == 200
    assert tuple(found[name] for name in ("state", "run", "outcome", "reason", "verdict")) == told
    assert found["ended_at"] == (iso(ENDED) if execution.ended else None)


def test_the_description_has_every_route_and_one_shape_of_errors(world: World) -> None:
    status, found = world.ask("GET /api/v1/openapi.json")
    assert status == 200
    assert {path: [*each] for path, each in found["paths"].items()} == {
        path: [method.lower()] for path, method in paths.METHODS.items() if path != paths.DOCUMENT
    }
    shapes = {
        (code, answer["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2])
        for each in found["paths"].values()
        for operation in each.values()
        for code, answer in operation["responses"].items()
    }
    assert {shape for code, shape in shapes if int(code) >= 400} == {"Problem"}
    assert {code for code, _ in shapes} >= {"200", "202", "400", "404", "409", "422", "424", "503"}
    assert set(found["components"]["schemas"]) == {
        *("Problem", "Prediction", "Window", "Healthy", "Wishes", "Accepted", "Run")
    }


def test_the_description_says_hours(world: World) -> None:
    found = document("rul")
    told = found["components"]["schemas"]["Prediction"]["properties"]
    assert told["unit"]["pattern"] == "^hours$"
    assert "in hours" in told["predictions"]["description"]
    assert "in hours" in found["paths"][paths.PREDICT]["get"]["summary"]


def test_an_error_that_nobody_mapped_is_something_behind_the_api() -> None:
    class Another(RatchetError):
        pass

    assert problems.of(Another("Later."), "GET", "/") == (503, Problem("error", "Another", "Later."))


def test_a_lost_object_is_no_error_of_the_callers(world: World) -> None:
    class Losing(MemoryStore):
        def get(self, key: str) -> Stored | None:
            return None if key.endswith(".parquet") else super().get(key)

    losing = Losing()
    losing.objects = world.store_.objects
    world.store_ = losing
    assert problem(world.predict())[:2] == (503, "Unavailable")
