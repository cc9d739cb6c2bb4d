"""The application as the contract tests see it: the template with its loops expanded, and every state machine in it."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ratchet.catalog import names

ROOT = Path(__file__).parents[2]
TEMPLATE_TEXT = (ROOT / "template.yaml").read_text()
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/app.py"))


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags, refusing a key that stands twice."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    twice = {key for key in keys if keys.count(key) > 1}
    assert not twice, f"{sorted(twice)} stand twice near {node.start_mark}"
    return dict(zip(keys, [loader.construct_object(value, deep=True) for _, value in node.value], strict=True))


def _tagged(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = node.value
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = _mapping(loader, node)
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in {"Ref", "Condition"} else f"Fn::{tag}": value}


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.add_multi_constructor("!", _tagged)


def parse(text: str) -> Any:
    """A template or a state machine from its text."""
    return yaml.load(text, _Loader)


def expand(section: dict[str, Any]) -> dict[str, Any]:
    """A section of the template with `Fn::ForEach` written out."""
    plain: dict[str, Any] = {}
    for name, value in section.items():
        if not name.startswith("Fn::ForEach::"):
            plain[name] = value
            continue
        variable, members, body = value
        for member in members:
            plain.update(_filled(body, variable, member))
    return plain


def _filled(value: Any, variable: str, member: str) -> Any:
    if isinstance(value, dict):
        if value == {"Ref": variable}:
            return member
        return {_filled(key, variable, member): _filled(each, variable, member) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, variable, member) for each in value]
    return value.replace(f"${{{variable}}}", member) if isinstance(value, str) else value


TEMPLATE = parse(TEMPLATE_TEXT)
RESOURCES = expand(TEMPLATE["Resources"])
OUTPUTS = expand(TEMPLATE["Outputs"])


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    """The resources of a type, by logical id."""
    return {name: resource for name, resource in RESOURCES.items() if resource["Type"] == kind}


def logical_id(step: str) -> str:
    """The logical id of the function in `functions/<step>`."""
    return "".join(part.capitalize() for part in step.split("_")) + "Function"


def lint(template: Path) -> str:
    """What cfn-lint says about a template; nothing when it is in order."""
    cfn_lint = Path(sys.executable).with_name("cfn-lint")
    command = [str(cfn_lint), "--regions", "us-east-1", "--format", "parseable", "--", str(template)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (told.returncode == 0) == (told.stdout + told.stderr == ""), "cfn-lint did not run as it should"
    return told.stdout + told.stderr


@dataclass(frozen=True)
class Machine:
    """One deployed state machine."""

    name: str
    resource: dict[str, Any]

    @property
    def path(self) -> Path:
        """Its definition's file."""
        return ROOT / str(self.resource["Properties"]["DefinitionUri"])

    @property
    def substitutions(self) -> dict[str, Any]:
        """What the template fills in."""
        filled: dict[str, Any] = self.resource["Properties"]["DefinitionSubstitutions"]
        return filled

    @property
    def definition(self) -> dict[str, Any]:
        """The parsed definition, with its placeholders but for those that stand for numbers."""
        text = self.path.read_text()
        for name, value in self.substitutions.items():
            parameter = TEMPLATE["Parameters"].get(value.get("Ref"), {}) if isinstance(value, dict) else {}
            if parameter.get("Type") == "Number":
                text = text.replace(f"${{{name}}}", str(parameter["Default"]))
        parsed: dict[str, Any] = parse(text)
        return parsed

    def filled(self) -> str:
        """The definition as JSON with every placeholder filled by something of its kind."""
        text = json.dumps(self.definition)
        for name in self.substitutions:
            arn = f"arn:aws:lambda:us-east-1:123456789012:function:{name}"
            text = text.replace(f"${{{name}}}", arn if name.endswith("FunctionArn") else _sample(name))
        return text


def _sample(name: str) -> str:
    kinds = {"MachineArn": "states:us-east-1:123456789012:stateMachine:x", "TopicArn": "sns:us-east-1:123456789012:x"}
    return next((f"arn:aws:{rest}" for end, rest in kinds.items() if name.endswith(end)), names()[0])


DEPLOYED_MACHINES = [Machine(name, resource) for name, resource in of_type("AWS::Serverless::StateMachine").items()]
# A missing file is one test's failure, not an error of collecting them all.
MACHINES = [machine for machine in DEPLOYED_MACHINES if machine.path.exists()]


def states(definition: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every state of a definition, those inside Map and Parallel included."""
    for name, state in definition["States"].items():
        yield name, state
        inner = [state[key] for key in ("ItemProcessor", "Iterator") if key in state] + state.get("Branches", [])
        for each in inner:
            yield from states(each)


def tasks() -> list[tuple[Machine, str, dict[str, Any]]]:
    """Every Task of every machine."""
    return [(m, name, state) for m in MACHINES for name, state in states(m.definition) if state["Type"] == "Task"]


def placeholders(text: str) -> set[str]:
    """The names in `${...}`."""
    return set(re.findall(r"\$\{([A-Za-z]+)\}", text))
