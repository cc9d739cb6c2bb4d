"""Policies of a topic, a queue and a function: which service may act on them, and on whose behalf.

Such a right is an action on the resource, and what it is about is the rule or alarm in whose name the service acts.
"""

from collections.abc import Iterator
from typing import Any

from tests.faults.rights_granted import Right, Statement, listed
from tests.faults.rights_resources import Kinds, arn, kind_of
from tests.faults.rights_template import ACCOUNT, STACK, Template

RULES, ALARMS = "the rules of the template", "the alarms of the template"
POLICIES = {"AWS::SNS::TopicPolicy": "Topics", "AWS::SQS::QueuePolicy": "Queues"}


def sources(template: Template) -> Kinds:
    """In whose name a service may act, by examples."""
    rules = [template.arn(name) for name in template.of_type("AWS::Events::Rule")]
    # CloudFormation names them.
    alarms = [arn("cloudwatch", f"alarm:{STACK}-{name}-A1B2C3") for name in template.of_type("AWS::CloudWatch::Alarm")]
    theirs = [each.replace(ACCOUNT, "999999999999") for each in (rules[0], alarms[0])]
    return {
        **{RULES: rules, ALARMS: alarms, "other accounts": theirs},
        "other rules": [arn("events", "rule/elsewhere"), arn("events", f"rule/{STACK}-other")],
        "other alarms": [arn("cloudwatch", "alarm:elsewhere")],
    }


def needed(template: Template, kinds: Kinds) -> set[Right]:
    """What the targets of rules and the actions of alarms take."""
    found = set()
    for rule in template.of_type("AWS::Events::Rule").values():
        for target in rule["Targets"]:
            found.add(Right(_on(kinds, "events", target["Arn"]), RULES))
            found.add(Right(_on(kinds, "events", target["DeadLetterConfig"]["Arn"]), RULES))
    for alarm in template.of_type("AWS::CloudWatch::Alarm").values():
        found |= {Right(_on(kinds, "cloudwatch", action), ALARMS) for action in alarm["AlarmActions"]}
    return found


def _on(kinds: Kinds, service: str, resource: str) -> str:
    actions = {"lambda": "lambda:InvokeFunction", "sns": "sns:Publish", "sqs": "sqs:SendMessage"}
    return f"{service}: {actions[resource.split(':')[2]]} on {kind_of(kinds, resource)}"


def granted(template: Template, kinds: Kinds) -> list[Statement]:
    """What the policies of topics, queues and functions allow."""
    documents = [each["PolicyDocument"] for kind in POLICIES for each in template.of_type(kind).values()]
    found = [made for document in documents for each in document["Statement"] for made in _statements(each, kinds)]
    for each in template.of_type("AWS::Lambda::Permission").values():
        about = f"{each['Principal'].partition('.')[0]}: {each['Action']} on {kind_of(kinds, each['FunctionName'])}"
        assert each["SourceAccount"] == ACCOUNT
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
