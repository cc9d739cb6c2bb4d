"""State machine definitions in YAML become JSON when CloudFormation provisions them; ministack stores them unparsed."""

from __future__ import annotations

import json
from typing import Any

import yaml


class _PlainLoader(yaml.SafeLoader):
    """YAML without timestamps, which JSON has none of: a date stays the text it was."""


_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def as_json(definition: str) -> str:
    """The definition as JSON text. ValueError names the line where it is neither JSON nor YAML."""
    try:
        json.loads(definition)
    except ValueError:
        return json.dumps(_parsed(definition))
    return definition


def _parsed(definition: str) -> dict[str, Any]:
    try:
        machine = yaml.load(definition, Loader=_PlainLoader)  # noqa: S506 - a SafeLoader with less
    except yaml.YAMLError as error:
        raise ValueError(f"The state machine's definition is neither JSON nor YAML: {error}") from error
    if not isinstance(machine, dict):
        raise ValueError("The state machine's definition is not a mapping with `StartAt` and `States`.")
    return machine


def install() -> None:
    """Convert at the one place through which CloudFormation reads a definition."""
    from ministack.services.cloudformation import provisioners

    stock = provisioners._sfn_definition
    provisioners._sfn_definition = lambda properties: as_json(stock(properties))
