"""Does what the event asks, so that a test sees how the runtime behaves."""

import json
import os
import time
from typing import Any

import boto3
from sample_layer import GREETING, OutOfPaper

STARTED = time.time_ns()
calls = 0


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Run `event["do"]`; the answer says where and in which process it ran."""
    global calls
    calls += 1
    print(f"probe {event.get('do')}")
    return {"value": ACTIONS[event.get("do", "greet")](event), "started": STARTED, "calls": calls}


def _raise(event: dict[str, Any]) -> None:
    raise OutOfPaper("the tray is empty")


def _put(event: dict[str, Any]) -> str:
    conditions = {key: event[key] for key in ("IfMatch", "IfNoneMatch") if key in event}
    body = event.get("body", "x").encode()
    return str(boto3.client("s3").put_object(Bucket=event["bucket"], Key=event["key"], Body=body, **conditions)["ETag"])


def _measure(event: dict[str, Any]) -> None:
    told = {"Namespace": "Probe", "Dimensions": [["colour"]], "Metrics": [{"Name": event["name"], "Unit": "Count"}]}
    print(json.dumps({"_aws": {"Timestamp": 0, "CloudWatchMetrics": [told]}, "colour": "red", event["name"]: [2.0]}))


def _allocate(event: dict[str, Any]) -> int:
    return len(bytearray(event["megabytes"] << 20))


ACTIONS: dict[str, Any] = {
    "greet": lambda event: GREETING,
    "raise": _raise,
    "sleep": lambda event: time.sleep(event["seconds"]),
    "exit": lambda event: os._exit(3),
    "allocate": _allocate,
    "measure": _measure,
    "put": _put,
    "environment": lambda event: dict(os.environ),
    "who": lambda event: boto3.client("sts").get_caller_identity()["Arn"],
    "version": lambda event: os.environ["AWS_LAMBDA_FUNCTION_VERSION"],
    "look alike": lambda event: {"errorType": "NotReally", "errorMessage": "a result"},
    "pid": lambda event: os.getpid(),
}
