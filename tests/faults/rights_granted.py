"""What the roles of the deployed template may do, held against what they need."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.faults.rights_resources import ANYTHING, Kinds, matches
from tests.faults.rights_template import Template

AWS_POLICY = "the policy "
"""Before the name of a policy of AWS's own, which counts as one action."""


class Right(NamedTuple):
    """An action (with its condition, if it has one) on a kind of resource."""

    action: str
    what: str


class Finding(NamedTuple):
    """Who may do more or less than is needed; `sid` names the statement that allows it, where it has a name."""

    who: str
    complaint: str
    action: str
    what: str
    sid: str = ""

    def __str__(self) -> str:
        return f"{self.who} {self.complaint} {self.action} on {self.what}"


@dataclass(frozen=True)
class Statement:
    """A statement of a policy."""

    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    sid: str = ""

    def reaches(self, action: str, example: str) -> bool:
        """Whether it speaks of this action on this resource."""
        named = any(matches(pattern, action) for pattern in self.actions)
        return named and any(matches(pattern, example) for pattern in self.resources)


def roles(template: Template) -> dict[str, list[Statement]]:
    """The statements of every role of the template."""
    policies = {**template.of_type("AWS::IAM::ManagedPolicy"), **template.of_type("AWS::IAM::Policy")}
    found = {}
    for role, properties in template.of_type("AWS::IAM::Role").items():
        own = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        named = properties.get("ManagedPolicyArns", [])
        held = [each for name, each in policies.items() if name in named or role in each.get("Roles", [])]
        documents = [*own, *(each["PolicyDocument"] for each in held)]
        of_aws = [_of_aws(name) for name in named if name not in policies]
        found[role] = [*(each for document in documents for each in read(document)), *of_aws]
    return found


def read(document: dict[str, Any]) -> Iterator[Statement]:
    """The statements of a policy's document."""
    for each in document["Statement"]:
        assert each.keys() <= {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}, each
        condition = f" if {json.dumps(each['Condition'])}" if "Condition" in each else ""
        actions = tuple(f"{action}{condition}" for action in listed(each["Action"]))
        yield Statement(each["Effect"] == "Allow", actions, tuple(listed(each["Resource"])), each.get("Sid", ""))


def listed(value: Any) -> list[Any]:
    """A value that may be written without its list."""
    return value if isinstance(value, list) else [value]


def _of_aws(arn: str) -> Statement:
    return Statement(True, (AWS_POLICY + arn.rpartition("/")[2],), (ANYTHING,))


def compare(who: str, statements: list[Statement], needed: Iterable[Right], kinds: Kinds) -> list[Finding]:
    """Where what the statements allow differs from what is needed."""
    wanted, denied = set(needed), [each for each in statements if not each.allows]
    found = []
    for statement in (each for each in statements if each.allows):
        for right in _allowed(statement, denied, kinds):
            if right not in wanted and Right(right.action, ANYTHING) not in wanted:
                found.append(Finding(who, "may, but need not,", *right, statement.sid))
    for right in sorted(wanted):
        if not all(_may(statements, denied, right.action, example) for example in kinds[right.what]):
            found.append(Finding(who, "needs, but may not,", *right))
    return list(dict.fromkeys(found))


def _allowed(statement: Statement, denied: list[Statement], kinds: Kinds) -> Iterator[Right]:
    """Every right of which the statement allows at least a part."""
    for action in statement.actions:
        for kind, examples in kinds.items():
            theirs = [example for example in examples if example == ANYTHING or _service(example) == _prefix(action)]
            if any(_may([statement], denied, action, example) for example in theirs):
                yield Right(action, kind)


def _may(statements: list[Statement], denied: list[Statement], action: str, example: str) -> bool:
    allowed = any(each.allows and each.reaches(action, example) for each in statements)
    return allowed and not any(each.reaches(action, example) for each in denied)


def _service(example: str) -> str:
    return example.split(":")[2]


def _prefix(action: str) -> str:
    return action.partition(":")[0]
