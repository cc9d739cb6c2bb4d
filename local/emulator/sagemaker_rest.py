"""The calls of SageMaker's two runtimes, which are REST: `sagemaker-runtime` and `sagemaker-featurestore-runtime`.

Boundary: between HTTP and a call's name, request and answer, all by the shapes of botocore's service models.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from local.emulator.sagemaker_shapes import model

_SERVICES = ("sagemaker-runtime", "sagemaker-featurestore-runtime")
_JSON = "application/json"


def operation(method: str, path: str) -> tuple[Any, dict[str, str]] | None:
    """botocore's model of the operation behind a request, and what its path names; None where there is none."""
    for verb, pattern, found in _routes():
        matched = pattern.fullmatch(unquote(path)) if verb == method else None
        if matched:
            return found, matched.groupdict()
    return None


@lru_cache(maxsize=1)
def _routes() -> list[tuple[str, re.Pattern[str], Any]]:
    models = [model(service).operation_model(name) for service in _SERVICES for name in model(service).operation_names]
    return [(found.http["method"], _pattern(found.http["requestUri"]), found) for found in models]


def _pattern(uri: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>.+)", uri.split("?")[0]))


def request(
    found: Any, names: Mapping[str, str], headers: Mapping[str, str], query: Mapping[str, Any], body: bytes
) -> dict[str, Any]:
    """The request as its operation's input shape has it. ValueError where the body is no JSON."""
    shape = found.input_shape
    payload = shape.serialization.get("payload")
    given: dict[str, Any] = {payload: body} if payload else json.loads(body or b"{}")
    for name, member in shape.members.items():
        value = _located(member, name, names, headers, query)
        if value is not None:
            given[name] = value
    return given


def _located(
    member: Any, name: str, names: Mapping[str, str], headers: Mapping[str, str], query: Mapping[str, Any]
) -> Any:
    """A member that is not in the body but in the path, the headers or the query."""
    place, key = member.serialization.get("location"), member.serialization.get("name", name)
    if place == "uri":
        return names[key]
    if place == "header":
        return headers.get(key.lower())
    if place != "querystring" or key not in query:
        return None
    values = query[key] if isinstance(query[key], list) else [query[key]]
    return values if member.type_name == "list" else values[0]


def answer(found: Any, told: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
    """Headers and body of an answer."""
    shape = found.output_shape
    if shape is None:
        return {"Content-Type": _JSON}, b""
    places = {name: member.serialization for name, member in shape.members.items() if name in told}
    headers = {place["name"]: str(told[name]) for name, place in places.items() if place.get("location") == "header"}
    payload = shape.serialization.get("payload")
    if payload:
        return headers, told[payload]
    rest = {name: told[name] for name, place in places.items() if "location" not in place}
    return {"Content-Type": _JSON, **headers}, json.dumps(rest, default=_text).encode()


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def refusal(code: str, message: str, members: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
    """Headers and body of an error."""
    headers = {"Content-Type": _JSON, "x-amzn-errortype": code}
    return headers, json.dumps({"Message": message, **members}).encode()
