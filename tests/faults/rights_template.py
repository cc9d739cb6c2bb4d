"""The template as it is deployed: loops written out, SAM's transform done, references and parameters filled in."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.contract.application import RESOURCES, TEMPLATE

PROGRAM = Path(__file__).with_name("rights_sam.py")
PARTITION, REGION, ACCOUNT, STACK, BUCKET = "aws", "us-east-1", "123456789012", "stack", "landing"
PSEUDO = {
    **{"AWS::Partition": PARTITION, "AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::StackName": STACK},
    "AWS::URLSuffix": "amazonaws.com",
}
ARNS = {
    "AWS::Lambda::Function": "lambda:{region}:{account}:function:{name}",
    "AWS::StepFunctions::StateMachine": "states:{region}:{account}:stateMachine:{name}",
    "AWS::SNS::Topic": "sns:{region}:{account}:{name}",
    "AWS::SQS::Queue": "sqs:{region}:{account}:{name}",
    "AWS::IAM::Role": "iam::{account}:role/{name}",
    "AWS::Events::Rule": "events:{region}:{account}:rule/{name}",
    "AWS::SecretsManager::Secret": "secretsmanager:{region}:{account}:secret:{name}-a1B2c3",
}
KNOWN_BY_ARN = {"AWS::SNS::Topic", "AWS::StepFunctions::StateMachine", "AWS::SecretsManager::Secret"}
"""Types whose `Ref` is the ARN."""
NAMES = ("StateMachineName", "LogGroupName", "Name")
"""Properties that name a resource; others are named by their logical ids here."""


def translated(python: Path, resources: dict[str, Any] = RESOURCES) -> dict[str, Any]:
    """The resources that SAM makes of the template's; `python` is the interpreter of SAM's environment."""
    template = json.dumps({**TEMPLATE, "Resources": resources, "Outputs": {}})
    made = subprocess.run([python, PROGRAM], input=template, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(made.stdout)["Resources"]
    return found


class Template:
    """Transformed resources with these parameters; the others have their defaults."""

    def __init__(self, resources: dict[str, Any], **parameters: str) -> None:
        defaults = {name: str(each["Default"]) for name, each in TEMPLATE["Parameters"].items()}
        self.parameters = {**defaults, **parameters}
        self.resources = {name: each for name, each in resources.items() if self.makes(each)}
        self._filled: dict[str, dict[str, Any]] = {}

    def makes(self, resource: dict[str, Any]) -> bool:
        """Whether the condition of a resource holds, where it has one."""
        return "Condition" not in resource or self._holds({"Condition": resource["Condition"]})

    def of_type(self, kind: str) -> dict[str, Any]:
        """The properties of the resources of a type, by logical id, filled in."""
        if kind not in self._filled:
            found = {name: each for name, each in self.resources.items() if each["Type"] == kind}
            self._filled[kind] = {name: self.filled(each["Properties"]) for name, each in found.items()}
        return self._filled[kind]

    def environment(self, function: str) -> dict[str, str]:
        """What a function is told."""
        told: dict[str, str] = self.of_type("AWS::Lambda::Function")[function]["Environment"]["Variables"]
        return told

    def arn(self, name: str) -> str:
        """The ARN of a resource."""
        return f"arn:{PARTITION}:" + ARNS[self.resources[name]["Type"]].format(
            region=REGION, account=ACCOUNT, name=self._name(name)
        )

    def _name(self, name: str) -> str:
        if self.resources[name]["Type"] == "AWS::S3::Bucket":
            return BUCKET
        properties = self.resources[name].get("Properties", {})
        return next((str(self.filled(properties[key])) for key in NAMES if key in properties), name)

    def filled(self, value: Any) -> Any:
        """A value with its functions done."""
        if isinstance(value, list):
            return [self.filled(each) for each in value]
        if not isinstance(value, dict):
            return value
        function = next(iter(value), "")
        if function in FUNCTIONS:
            return FUNCTIONS[function](self, value[function])
        return {key: self.filled(each) for key, each in value.items()}

    def _ref(self, name: str) -> str:
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self.parameters:
            return self.parameters[name]
        kind = self.resources[name]["Type"]
        if kind == "AWS::Lambda::Alias":
            alias = self.resources[name]["Properties"]
            return f"{self.arn(alias['FunctionName']['Ref'])}:{alias['Name']}"
        return self.arn(name) if kind in KNOWN_BY_ARN else self._name(name)

    def _attribute(self, given: list[str]) -> str:
        name, attribute = given
        if attribute == "ApiEndpoint":
            return f"https://{name}.execute-api.{REGION}.amazonaws.com"
        return {"Arn": self.arn, "Id": self.arn, "Name": self._name, "QueueName": self._name}[attribute](name)

    def _substituted(self, given: Any) -> str:
        text, values = given if isinstance(given, list) else (given, {})

        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name in values:
                return str(self.filled(values[name]))
            return self._attribute(name.split(".")) if "." in name else self._ref(name)

        return re.sub(r"\$\{([^!}][^}]*)\}", value, text)

    def _chosen(self, given: list[Any]) -> Any:
        condition, yes, no = given
        return self.filled(yes if self._holds({"Condition": condition}) else no)

    def _holds(self, condition: dict[str, Any]) -> bool:
        ((name, given),) = condition.items()
        if name == "Condition":
            return self._holds(TEMPLATE["Conditions"][given])
        if name == "Fn::Not":
            return not self._holds(given[0])
        left, right = self.filled(given)
        return bool(left == right)

    def _looked_up(self, given: list[Any]) -> Any:
        table, row, column, *otherwise = given
        found = TEMPLATE["Mappings"][table].get(self.filled(row), {}).get(self.filled(column))
        return self.filled(otherwise[0]["DefaultValue"]) if found is None and otherwise else found

    def _selected(self, given: list[Any]) -> Any:
        index, values = given
        return self.filled(values)[int(index)]


FUNCTIONS: dict[str, Any] = {
    "Ref": Template._ref,
    "Fn::GetAtt": Template._attribute,
    "Fn::Sub": Template._substituted,
    "Fn::If": Template._chosen,
    "Fn::FindInMap": Template._looked_up,
    "Fn::Select": Template._selected,
    "Fn::Split": lambda template, given: template.filled(given[1]).split(given[0]),
}
