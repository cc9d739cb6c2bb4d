"""Requests and answers of SageMaker checked against botocore's own service model, constraints included.

botocore checks types, required and unknown members; patterns, enumerations and upper bounds are checked here as the
service would.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import groupby
from typing import Any

import botocore.session
from botocore.validate import ParamValidator


@lru_cache
def model(service: str = "sagemaker") -> Any:
    """botocore's model of the SageMaker API, or of one of its runtimes."""
    return botocore.session.get_session().get_service_model(service)


def repeated(request: Mapping[str, Any], describe: str) -> dict[str, Any]:
    """The members of a request that the Describe call of what it made shows again."""
    members = model().operation_model(describe).output_shape.members
    return {name: request[name] for name in members if name in request}


def problems(value: Any, shape: Any) -> str:
    """What is wrong with `value` for the shape, in one line; empty when nothing is."""
    report = ParamValidator().validate(value, shape).generate_report()
    return " ".join(report.split("\n")) if report else "; ".join(_violations(value, shape, ""))


def _violations(value: Any, shape: Any, path: str) -> Iterator[str]:
    if shape.type_name == "structure":
        for name, member in value.items():
            yield from _violations(member, shape.members[name], f"{path}.{name}".lstrip("."))
    elif shape.type_name == "list":
        for index, item in enumerate(value):
            yield from _violations(item, shape.member, f"{path}[{index}]")
    elif shape.type_name == "map":
        for key, item in value.items():
            yield from _violations(item, shape.value, f"{path}[{key}]")
    yield from _broken_bounds(value, shape.metadata, path)


def _broken_bounds(value: Any, rules: dict[str, Any], path: str) -> Iterator[str]:
    if isinstance(value, str):
        if "pattern" in rules and not re.search(_python(rules["pattern"]), value):
            yield f"{path} must match {rules['pattern']}, not {value!r}"
        if rules.get("enum") and value not in rules["enum"]:
            yield f"{path} must be one of {', '.join(rules['enum'])}, not {value!r}"
    size = len(value) if isinstance(value, (str, bytes, list, dict)) else value
    if "max" in rules and not isinstance(value, bool) and isinstance(size, (int, float)) and size > rules["max"]:
        yield f"{path} must be at most {rules['max']}, not {size}"


def _python(pattern: str) -> str:
    """A pattern of the models, which are written for Java: its classes of characters and ends as Python has them."""
    parts = re.sub(r"\[(?:\\.|[^\]\\])*\]|\\p\{\w+\}", lambda found: _class(found[0]), pattern)
    # Some models repeat the end of the text.
    ended = re.sub(r"\$\{\d+,\d+\}", "$", parts).replace(r"\z", r"\Z")
    return rf"\A(?:{ended})\Z"


def _class(text: str) -> str:
    inside = re.sub(r"\\p\{(\w+)\}", lambda found: _characters(found[1]), text)
    return inside if text.startswith("[") else f"[{inside}]"


@lru_cache
def _characters(name: str) -> str:
    """The ranges of `\\p{name}`: ASCII, Print (of ASCII), or a class of Unicode such as L for letters."""
    if name in ("ASCII", "Print"):
        return {"ASCII": r"\x00-\x7f", "Print": r"\x20-\x7e"}[name]
    codes = (code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)).startswith(name))
    runs = (list(run) for _, run in groupby(enumerate(codes), lambda pair: pair[1] - pair[0]))
    return "".join(rf"\U{run[0][1]:08x}-\U{run[-1][1]:08x}" for run in runs)
