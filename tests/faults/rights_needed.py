"""What a function needs: its calls of ports, made by the product's own adapters, as the rights that AWS asks for."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from inspect import Parameter, signature, unwrap
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock
from urllib.parse import parse_qs

from ratchet import wiring
from ratchet.errors import Unavailable
from ratchet.settings import Settings

from local.emulator.s3_permissions import further_checks
from tests.faults import rights_aws
from tests.faults.rights_aws import Asked
from tests.faults.rights_called import READERS, Call
from tests.faults.rights_granted import Right
from tests.faults.rights_kinds import SENSOR_FILES
from tests.faults.rights_resources import NAMES, SENSOR_NAMES, Kinds, kind_of
from tests.faults.rights_template import BUCKET, STACK

OUTSIDE = {"source", "prediction_table"}
"""Ports whose methods ask a database; only to make them AWS is asked."""
SIZES = ("serverless", "ml.m5.large")
"""What endpoints run on: a stack may be told another any day."""
IN_PARTS = 9 << 20
"""Bytes of a file that goes up in parts."""
ACTIONS = {
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:UploadPart": "s3:PutObject",
    "s3:CompleteMultipartUpload": "s3:PutObject",
}
"""Operations that are not called as the action they need (Amazon S3, required permissions for API operations)."""


def rights(calls: Iterable[Call], told: Settings, kinds: Kinds) -> set[Right]:
    """The rights that these calls need of a function that is told so."""
    found: set[Right] = set()
    for call in calls:
        port = "store" if call.port in READERS else call.port
        # All have the same bucket, and much to ask of it.
        settings = Settings(BUCKET, STACK) if port == "store" else told
        for asked in _asked(port, call.method, call.options, settings, kinds["packages"][0]):
            if asked.about:
                found.add(Right(asked.operation, kind_of(kinds, asked.about)))
            else:
                found |= set(_in_the_bucket(asked, call))
    return found


def _in_the_bucket(asked: Asked, call: Call) -> Iterator[Right]:
    """What a request to S3 needs, of an object that may not be there."""
    key, _, query = asked.uri.partition("?")
    names = SENSOR_NAMES if call.kind == SENSOR_FILES else NAMES
    yield Right(ACTIONS.get(asked.operation, asked.operation), call.kind if key.strip("/") else names)
    headers, subresources = dict.fromkeys(asked.headers, "given"), set(parse_qs(query, True))
    for action, resource in further_checks(asked.method, f"/bucket{key}", headers, subresources, exists=False):
        yield Right(action, names if resource == "arn:aws:s3:::bucket" else call.kind)


@cache
def _asked(port: str, method: str, options: frozenset[str], told: Settings, package: str) -> frozenset[Asked]:
    """What AWS is asked for a call, in all that may come of it: a part of a file may fail to go up."""
    found: set[Asked] = set()
    for failing, size, execution in _cases(port, method):
        own = {"arn": package, "name": _name(port, method), "execution": execution}
        with rights_aws.noted(failing) as asked, TemporaryDirectory() as folder:
            with mock.patch.object(wiring, "settings", return_value=replace(told, endpoint_kind=size)):
                adapter = unwrap(getattr(wiring, port))()
            if method and port not in OUTSIDE:
                values = {**VALUES, **own, "path": Path(folder, "file")}
                _call(getattr(adapter, method), options, values, fails=bool(failing))
        found |= asked
    return frozenset(found)


def _cases(port: str, method: str) -> Iterator[tuple[str, str, str]]:
    """What a call may meet: the operation that fails, what endpoints run on, whose execution it is about."""
    failing = ("", "s3:UploadPart") if method == "upload" else ("",)
    sizes, holders = SIZES if port == "hosting" else SIZES[:1], rights_aws.PARENTS
    return product(failing, sizes, holders if port == "executions" else holders[:1])


def _name(port: str, method: str) -> str:
    """What is named so: an execution, a job, an endpoint, or its model and configuration."""
    if port == "hosting":
        return rights_aws.ENDPOINT if method.endswith("endpoint") else rights_aws.CONFIG
    return rights_aws.JOB.rpartition("/")[2] if port == "training_jobs" else rights_aws.RUN


VALUES: dict[str, Any] = {
    **{"key": "key", "prefix": "key", "body": b"", "tags": {"a": "b"}, "document": {}},
    **{"if_match": '"e"', "if_none_match": True, "content_type": "application/json"},
    **{"token": "t", "model_uri": "s3://b/m", "evaluation_uri": "s3://b/e", "facts": {"a": "b"}, "about": "a"},
    **{"status": "Approved", "why": "w", "output": {}, "subject": "s", "message": "m", "records": [{"a": "b"}]},
    **{"config": rights_aws.CONFIG, "model": rights_aws.CONFIG, "endpoint": rights_aws.ENDPOINT},
}
"""By the name of the parameter."""


def _call(method: Any, options: frozenset[str], values: dict[str, Any], *, fails: bool) -> None:
    taken = signature(method).parameters.values()
    given = {each.name: values[each.name] for each in taken if each.default is Parameter.empty or each.name in options}
    if "path" in given:
        given["path"].write_bytes(bytes(IN_PARTS))
    try:
        answer = method(**given)
        # A generator asks while it is read.
        list(answer if isinstance(answer, Iterator) else ())
    except Unavailable:
        assert fails
