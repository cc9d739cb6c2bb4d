"""Errors as the API tells them: a status and one shape. What nobody foresaw is told without its insides."""

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError

from ratchet.api.documents import Problem
from ratchet.api.paths import allowed
from ratchet.errors import (
    AlreadyRunning,
    BadInput,
    RatchetError,
    StaleInput,
    UnknownMachine,
    UnknownPipeline,
    UnknownRun,
)

STATUS: Mapping[type[RatchetError], int] = {
    UnknownMachine: 404,
    UnknownRun: 404,
    AlreadyRunning: 409,
    BadInput: 422,
    StaleInput: 424,
    UnknownPipeline: 503,
    RatchetError: 503,
}
"""By the first of an error's classes that stands here."""
MALFORMED = {"string_pattern_mismatch", "string_type"}
MEANINGS = {400: "An identifier is malformed."} | {
    404: "Nobody knows the machine or the execution.",
    403: "The request did not come by the route that asks for a signature.",
    409: "A run is under way.",
    415: "The body is no JSON by its content type.",
    422: "A parameter is missing, or the body is not as described.",
    424: "The machine's newest hour is too old, or none has ended yet.",
    500: "A fault of the API's own.",
    503: "There is no champion, or something that is needed does not answer.",
}
"""What an error's status stands for here."""


class NotAuthorised(Exception):
    """A route was asked for by another way than the one that is authorised."""


class UnsupportedMediaType(Exception):
    """The body's content type is another than JSON's."""


def of(error: Exception, method: str, path: str) -> tuple[int, Problem]:
    """The status and the answer for an error that a request met."""
    if isinstance(error, RatchetError):
        status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
        return status, _problem(type(error).__name__, str(error))
    if isinstance(error, NotFoundError):
        return _unknown(method, path)
    if isinstance(error, RequestValidationError):
        return _invalid(list(error.errors()))
    if isinstance(error, NotAuthorised):
        return 403, _problem("NotAuthorised", "Sign the request, and send it to the route's own path to the letter.")
    if isinstance(error, UnsupportedMediaType):
        return 415, _problem("UnsupportedMediaType", "Send the body as application/json, or none.")
    return 500, _problem("InternalError", "The API failed; its log has the details. Ask again, and tell its owner.")


def _problem(error: str, message: str) -> Problem:
    return Problem("error", error, message)


def _unknown(method: str, path: str) -> tuple[int, Problem]:
    known = allowed(path)
    if known is None:
        return 404, _problem("UnknownRoute", "There is no such route: see /api/v1/openapi.json.")
    return 405, _problem("MethodNotAllowed", f"{path} takes {known}, not {method}.")


def _invalid(faults: list[dict[str, Any]]) -> tuple[int, Problem]:
    """What is wrong with a request."""
    told = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
    places = {fault["loc"][0] for fault in faults}
    if "body" not in places and {fault["type"] for fault in faults} <= MALFORMED:
        return 400, _problem("MalformedIdentifier", f"{told}. Write it as in the keys of the sensor files.")
    return 422, _problem("InvalidRequest", f"{told}. See /api/v1/openapi.json.")
