"""Requests and answers of SageMaker checked against botocore's own service model, constraints included.

botocore checks types, required and unknown members; patterns, enumerations and upper bounds are checked here as the
service would.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import botocore.session
from botocore.validate import ParamValidator


@lru_cache(maxsize=1)
def model() -> Any:
    """botocore's model of the SageMaker API."""
    return botocore.session.get_session().get_service_model("sagemaker")


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
    size = len(value) if isinstance(value, (str, list, dict)) else value
    if "max" in rules and not isinstance(value, bool) and isinstance(size, (int, float)) and size > rules["max"]:
        yield f"{path} must be at most {rules['max']}, not {size}"


def _python(pattern: str) -> str:
    # The models are written for Java, where `\p{L}` and its like are classes of letters.
    pattern = re.sub(r"\\p\{L\}", r"a-zA-Z", re.sub(r"\\p\{Z\}", r"\\s", re.sub(r"\\p\{N\}", r"0-9", pattern)))
    return f"^(?:{pattern})$"
