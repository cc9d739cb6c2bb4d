"""What a function needs: its calls of ports, made by the product's own adapters, as the rights that AWS asks for."""

from collections.abc import Iterable, Iterator
from functools import cache
from inspect import Parameter, signature, unwrap
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


def rights(calls: Iterable[Call], secret: str, kinds: Kinds) -> set[Right]:
    """The rights that these calls need where the source's credentials stand at `secret`."""
    found: set[Right] = set()
    for call in calls:
        port = "store" if call.port in READERS else call.port
        for asked in _asked(port, call.method, call.options, secret if port in OUTSIDE else ""):
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
def _asked(port: str, method: str, options: frozenset[str], secret: str) -> frozenset[Asked]:
    """What AWS is asked for a call, in all that may come of it: a part of a file may fail to go up."""
    found: set[Asked] = set()
    for failing in ("", "s3:UploadPart") if method == "upload" else ("",):
        with rights_aws.noted(failing) as asked, TemporaryDirectory() as folder:
            settings = Settings(BUCKET, STACK, secret=secret, api_machine=rights_aws.MACHINE)
            with mock.patch.object(wiring, "settings", return_value=settings):
                adapter = unwrap(getattr(wiring, port))()
            if method and port not in OUTSIDE:
                name = rights_aws.RUN if port == "machine" else rights_aws.JOB.rpartition("/")[2]
                _call(getattr(adapter, method), options, Path(folder, "file"), name, fails=bool(failing))
        found |= asked
    return frozenset(found)


def _call(method: Any, options: frozenset[str], file: Path, name: str, *, fails: bool) -> None:
    values = {
        **{"key": "key", "prefix": "key", "body": b"", "path": file, "tags": {"a": "b"}},
        **{"if_match": '"e"', "if_none_match": True, "execution": rights_aws.PARENT},
        **{"name": name, "document": {}},
    }
    taken = signature(method).parameters.values()
    given = {each.name: values[each.name] for each in taken if each.default is Parameter.empty or each.name in options}
    if "path" in given:
        file.write_bytes(bytes(IN_PARTS))
    try:
        answer = method(**given)
        # A generator asks while it is read.
        list(answer if isinstance(answer, Iterator) else ())
    except Unavailable:
        assert fails
