"""Keeps every status change of the machines, as EventBridge delivers it, in the bucket."""

import json
import os
from typing import Any

import boto3


def handler(event: dict[str, Any], context: Any) -> None:
    """Write the event's detail under the execution's name."""
    detail = event["detail"]
    key = f"status/{detail['name']}.json"
    boto3.client("s3").put_object(Bucket=os.environ["BUCKET"], Key=key, Body=json.dumps(detail).encode())
