"""Queues that overhear what an application tells people and other applications."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.laptop_target import LaptopTarget


@dataclass(frozen=True)
class Queue:
    """A queue; what is read is gone."""

    sqs: Any
    url: str
    arn: str

    def read(self) -> list[str]:
        """The bodies of all that has come."""
        bodies: list[str] = []
        while received := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages", []):
            bodies += [message["Body"] for message in received]
            for message in received:
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return bodies


@contextmanager
def queue(laptop: LaptopTarget, name: str, service: str) -> Iterator[Queue]:
    """A queue that a service of AWS may write to."""
    sqs = laptop.client("sqs")
    allowed = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sqs:SendMessage", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    url = sqs.create_queue(QueueName=name, Attributes={"Policy": policy})["QueueUrl"]
    try:
        yield Queue(
            sqs, url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        )
    finally:
        sqs.delete_queue(QueueUrl=url)


@contextmanager
def messages(laptop: LaptopTarget, name: str) -> Iterator[Queue]:
    """What people are told: all that goes to the stack's topic."""
    sns, topic = laptop.client("sns"), laptop.target.output("OutcomesTopicArn")
    with queue(laptop, name, "sns.amazonaws.com") as made:
        subscribed = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=made.arn, ReturnSubscriptionArn=True)
        try:
            yield made
        finally:
            sns.unsubscribe(SubscriptionArn=subscribed["SubscriptionArn"])


@contextmanager
def events(laptop: LaptopTarget, name: str) -> Iterator[Queue]:
    """Every event on the account's bus."""
    bus = laptop.client("events")
    with queue(laptop, name, "events.amazonaws.com") as made:
        bus.put_rule(Name=name, EventPattern=json.dumps({"source": [{"prefix": ""}]}))
        bus.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": made.arn}])
        try:
            yield made
        finally:
            bus.remove_targets(Rule=name, Ids=["queue"])
            bus.delete_rule(Name=name)
