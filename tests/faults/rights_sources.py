"""Policies of a topic, a queue and a function: which service may act on them, and on whose behalf.

Such a right is an action on the resource, and what it is about is the rule or alarm in whose name the service acts.
"""

import re
from collections.abc import Iterator
from typing import Any

from tests.faults.rights_granted import Right, Statement, listed
from tests.faults.rights_resources import Kinds, arn, kind_of
from tests.faults.rights_template import ACCOUNT, STACK, Template

ALARMS = "the alarms of the template"
POLICIES = {"AWS::SNS::TopicPolicy": "Topics", "AWS::SQS::QueuePolicy": "Queues"}


def sources(template: Template) -> Kinds:
    """In whose name a service may act, by examples."""
    rules = _rules(template)
    # CloudFormation names them.
    alarms = [arn("cloudwatch", f"alarm:{STACK}-{name}-A1B2C3") for name in template.of_type("AWS::CloudWatch::Alarm")]
    routes: Kinds = {}
    for route, function in _routes(template):
        routes.setdefault(_to(function), []).append(route)
    first = next(iter(routes.values()))[0]
    theirs = [each.replace(ACCOUNT, "999999999999") for each in (next(iter(rules.values()))[0], alarms[0], first)]
    return {
        **{**rules, **routes, ALARMS: alarms, "other accounts": theirs},
        "other rules": [arn("events", "rule/elsewhere"), arn("events", f"rule/{STACK}-other")],
        "other alarms": [arn("cloudwatch", "alarm:elsewhere")],
        "other routes": [arn("execute-api", "elsewhere/$default/$default"), f"{first}/elsewhere"],
    }


def _rules(template: Template) -> Kinds:
    """The rules of the template, those of the same targets together."""
    found: Kinds = {}
    for name, rule in template.of_type("AWS::Events::Rule").items():
        found.setdefault(_kind_of(rule), []).append(template.arn(name))
    return found


def _kind_of(rule: dict[str, Any]) -> str:
    return f"the rules of the template that {' and '.join(target['Id'] for target in rule['Targets'])}"


def _routes(template: Template) -> Iterator[tuple[str, str]]:
    """The routes of HTTP APIs, and the functions that they call."""
    for name, each in template.of_type("AWS::ApiGatewayV2::Api").items():
        for path, methods in each["Body"]["paths"].items():
            for method, operation in methods.items():
                route = path if path == "$default" else f"{method.upper()}{re.sub(r'{[a-z]+}', 'x', path)}"
                called = operation["x-amazon-apigateway-integration"]["uri"].partition("/functions/")[2]
                yield arn("execute-api", f"{name}/$default/{route}"), called.removesuffix("/invocations")


def _to(function: str) -> str:
    return f"the routes to {function.split(':')[-2]}"


def needed(template: Template, kinds: Kinds) -> set[Right]:
    """What the targets of rules, the actions of alarms and the routes of APIs take."""
    found = set()
    for rule in template.of_type("AWS::Events::Rule").values():
        for target in rule["Targets"]:
            # Of a machine EventBridge takes a role, which rights_services.py looks at.
            if "RoleArn" not in target:
                found.add(Right(_on(kinds, "events", target["Arn"]), _kind_of(rule)))
            found.add(Right(_on(kinds, "events", target["DeadLetterConfig"]["Arn"]), _kind_of(rule)))
    for alarm in template.of_type("AWS::CloudWatch::Alarm").values():
        found |= {Right(_on(kinds, "cloudwatch", action), ALARMS) for action in alarm["AlarmActions"]}
    return found | {Right(_on(kinds, "apigateway", function), _to(function)) for _, function in _routes(template)}


def _on(kinds: Kinds, service: str, resource: str) -> str:
    actions = {"lambda": "lambda:InvokeFunction", "sns": "sns:Publish", "sqs": "sqs:SendMessage"}
    return f"{service}: {actions[resource.split(':')[2]]} on {kind_of(kinds, resource)}"


def granted(template: Template, kinds: Kinds) -> list[Statement]:
    """What the policies of topics, queues and functions allow."""
    documents = [each["PolicyDocument"] for kind in POLICIES for each in template.of_type(kind).values()]
    found = [made for document in documents for each in document["Statement"] for made in _statements(each, kinds)]
    for each in template.of_type("AWS::Lambda::Permission").values():
        about = f"{each['Principal'].partition('.')[0]}: {each['Action']} on {kind_of(kinds, each['FunctionName'])}"
        assert each.get("SourceAccount", ACCOUNT) == ACCOUNT
        assert f":{ACCOUNT}:" in each["SourceArn"]
        found.append(Statement(True, (about,), (each["SourceArn"],)))
    return found


def _statements(each: dict[str, Any], kinds: Kinds) -> Iterator[Statement]:
    assert each["Effect"] == "Allow"
    conditions = each.get("Condition", {"ArnLike": {"aws:SourceArn": "*"}})
    assert conditions.keys() == {"ArnLike"}
    for principal in listed(each["Principal"]["Service"]):
        service, on = principal.partition(".")[0], kind_of(kinds, each["Resource"])
        for action in listed(each["Action"]):
            patterns = tuple(listed(conditions["ArnLike"]["aws:SourceArn"]))
            yield Statement(True, (f"{service}: {action} on {on}",), patterns, each.get("Sid", ""))
