"""AWS's Service Authorization Reference, as cfn-lint carries it: which resources an action knows."""

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

from tests.faults.rights_resources import ANYTHING


def known(action: str, arns: list[str]) -> list[str]:
    """Those of the ARNs that a right to the action may name: a policy that names another allows nothing."""
    service, _, name = action.partition(":")
    told = _reference()[service]
    kinds = told["Actions"][name.lower()].get("Resources", [])
    formats = [_pattern(text) for kind in kinds for text in told["Resources"][kind.lower()]["ARNFormats"]]
    return [arn for arn in arns if any(each.fullmatch(arn) for each in formats)] if formats else [ANYTHING]


@cache
def _reference() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((files("cfnlint") / "data/AdditionalSpecs/Policies.json").read_text())
    return found


def _pattern(text: str) -> re.Pattern[str]:
    """Of an ARN's format, which ends in `.*`."""
    return re.compile(re.sub(r"\$\{\w+\}", "[^:]*", text))
