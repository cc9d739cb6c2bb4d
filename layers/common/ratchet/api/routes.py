"""The routes: requests of an HTTP API in, answers out. What an answer takes is in `service` and `runs`.

Powertools routes, checks parameters and bodies against `documents`, and makes the OpenAPI document of them.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Annotated, Any, Protocol

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query

from ratchet.api import paths, problems, runs
from ratchet.api.documents import Accepted, Document, Healthy, Prediction, Problem, Run, Window, Wishes
from ratchet.api.problems import MEANINGS, NotAuthorised, UnsupportedMediaType
from ratchet.api.service import Service, service
from ratchet.catalog import Pipeline, load
from ratchet.errors import BadInput
from ratchet.executions import Machine
from ratchet.instants import Clock, iso
from ratchet.sensors.layout import IDENTIFIER
from ratchet.serving.champion import Champion
from ratchet.store import ObjectStore, Reader

VERSION = "1.0.0"
"""Of the interface."""
JSON = "application/json"
NAME = "^[0-9A-Za-z_.-]{1,80}$"
"""Of executions."""
SPARE_MS = 3000
"""What is left of the function's time when nothing more is read."""
SIGNATURE = "sigv4"
Identifier = f"^{IDENTIFIER.pattern}$"


class Ports(Protocol):
    """What the routes may need, built when asked."""

    def store(self) -> ObjectStore:
        """The landing bucket."""

    def reader(self) -> Reader:
        """The landing bucket for those who only follow the champion."""

    def files(self, pipeline: Pipeline) -> ObjectStore:
        """Where the sensors' files lie."""

    def machine(self) -> Machine:
        """The pipeline's state machine."""


@dataclass
class Asked:
    """One request: what it may use, and what came of it for the log."""

    service: Service
    ports: Ports
    clock: Clock
    late: Callable[[], bool]
    champion: Champion | None = None
    failure: Exception | None = None


@dataclass(frozen=True)
class Reply:
    """The answer for the gateway, and what the log shall know: the model that answered, and an error behind a 5xx."""

    response: dict[str, Any]
    champion: Champion | None
    failure: Exception | None


def _told(code: int, text: str, model: type, *errors: int) -> dict[int, Any]:
    """The answers of a route: its own, and errors."""
    kinds = {code: (text, model)} | {error: (MEANINGS[error], Problem) for error in (*errors, 500)}
    return {status: {"description": told, "content": {JSON: {"model": kind}}} for status, (told, kind) in kinds.items()}


app = APIGatewayHttpResolver(enable_validation=True)


@app.get(
    paths.HEALTH,
    operation_id="health",
    summary="Whether a model is in service and answers",
    responses=_told(200, "It does.", Healthy, 503),
)
def health() -> Healthy:
    """The model in service; while a newer one does not serve, the one before it with the reason."""
    champion, name = _champion(), _asked().service.pipeline.name
    run = champion.pointer.run_ts
    return Healthy("ok", f"The model of run {run} answers for {name}.", name, run, champion.fault)


@app.get(
    paths.PREDICT,
    operation_id="predict",
    summary="The hours that a machine has left before its next fault, in hours",
    responses=_told(200, "The hours left.", Prediction, 400, 404, 422, 424, 503),
)
def predict(
    zone: Annotated[str, Query(alias="zoneId", pattern=Identifier, description="The machine's zone.")],
    equipment: Annotated[str, Query(alias="equipId", pattern=Identifier, description="The machine in its zone.")],
) -> Prediction:
    """From the hours of the machine that have ended: what has landed, and what its sensors have written since."""
    asked, champion = _asked(), _champion()
    store, files = asked.ports.store(), asked.ports.files(asked.service.pipeline)
    found = asked.service.predict(champion, store, files, (zone, equipment), asked.clock(), asked.late)
    window = Window(iso(found.row.start), iso(found.row.end), found.row.hours)
    return Prediction("ok", [found.value], found.unit, champion.pointer.run_ts, window, found.missing)


@app.post(
    paths.RETRAIN,
    operation_id="retrain",
    summary="Start a run: train, judge, and promote what is better",
    status_code=202,
    security=[{SIGNATURE: []}],
    responses=_told(202, "The run has been started.", Accepted, 403, 409, 415, 422, 503),
)
def retrain(
    wishes: Annotated[Wishes | None, Body(description="What to learn from; none for what the schedule does.")] = None,
) -> Accepted:
    """Refused while a run is under way; asked twice within a second, it is one run."""
    asked = _asked()
    given = wishes.model_dump(exclude_none=True) if wishes else {}
    ports, pipeline = asked.ports, asked.service.pipeline
    started = runs.start(pipeline, ports.store(), ports.machine(), asked.clock, given)
    return Accepted("accepted", started.name, started.run)


@app.get(
    paths.RUN.replace("{", "<").replace("}", ">"),
    operation_id="run",
    summary="How an execution stands",
    responses=_told(200, "How it stands.", Run, 400, 404, 422, 503),
)
def run(name: Annotated[str, Path(pattern=NAME, description="The name that starting it was answered with.")]) -> Run:
    """Of this pipeline's machine, whoever started it."""
    return Run("ok", **runs.look(_asked().ports.machine(), name))


@app.get(paths.DOCUMENT, include_in_schema=False)
def openapi() -> Document:
    """This description."""
    return document(_asked().service.pipeline.name)


@app.exception_handler(Exception)  # type: ignore[untyped-decorator]
def failed(error: Exception) -> Response[str]:
    """The answer for an error; one behind a 5xx is the log's business as well."""
    request = app.current_event.request_context.http
    status, problem = problems.of(error, request.method, request.path)
    if status >= 500:
        _asked().failure = error
    allowed = paths.allowed(request.path) if status == 405 else None
    return Response(status, JSON, json.dumps(asdict(problem)), {"Allow": allowed} if allowed else {})


@cache
def document(pipeline: str) -> Document:
    """The OpenAPI document of the API of the pipeline of that name."""
    from aws_lambda_powertools.event_handler.openapi.models import APIKey  # 100 ms, which other answers do without

    scheme = APIKey.model_validate({"name": "Authorization", "in": "header", "description": "AWS Signature Version 4."})
    text = app.get_openapi_json_schema(
        title=f"Ratchet: {pipeline}",
        version=VERSION,
        description=load(pipeline).title,
        security_schemes={SIGNATURE: scheme},
    )
    made: Document = json.loads(text)
    # Powertools describes errors of its own, of another shape, for every route.
    for unused in ("HTTPValidationError", "ValidationError", "ResponseValidationError"):
        made["components"]["schemas"].pop(unused, None)
    for operation in (each for path in made["paths"].values() for each in path.values()):
        if "HTTPValidationError" in json.dumps(operation["responses"].get("422")):
            del operation["responses"]["422"]
    return made


def respond(event: dict[str, Any], context: Any, ports: Ports, clock: Clock, pipeline: str) -> Reply:
    """The answer to a request, an event of payload format 2.0, for the pipeline of that name.

    Raises BadConfiguration where that is none whose source is sensor files.
    """
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    asked = Asked(service(pipeline), ports, clock, lambda: remaining is not None and remaining() < SPARE_MS)
    try:
        _check(event)
    except (BadInput, NotAuthorised, UnsupportedMediaType) as error:
        status, problem = problems.of(error, "", "")
        body = json.dumps(asdict(problem))
        refused = {"statusCode": status, "headers": {"Content-Type": JSON}, "body": body, "isBase64Encoded": False}
        return Reply(refused, None, None)
    app.context["asked"] = asked
    response = app.resolve(event, context)
    return Reply(response, asked.champion, asked.failure)


def _check(event: Mapping[str, Any]) -> None:
    """What powertools takes as it comes. Raises NotAuthorised, UnsupportedMediaType, BadInput."""
    http = event["requestContext"]["http"]
    if f"{http['method']} {event['rawPath']}" != paths.GUARDED:
        return
    if event["routeKey"] != paths.GUARDED:
        raise NotAuthorised
    body = event.get("body") or ""
    if not body:
        return
    kind = event["headers"].get("content-type", JSON).partition(";")[0].strip().lower()
    if kind != JSON:
        raise UnsupportedMediaType
    try:
        found = json.loads(base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"The body is not JSON ({error}); send an object or none.") from error
    if not isinstance(found, dict | None):
        raise BadInput(f"The body is a {type(found).__name__}; send an object or none.")


def _asked() -> Asked:
    asked: Asked = app.context["asked"]
    return asked


def _champion() -> Champion:
    asked = _asked()
    asked.champion = asked.service.follower.current(asked.ports.reader())
    return asked.champion
