"""All that an application leaves behind where people or machines may look, as text under the name of its place."""

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq

from local.paths import Paths
from tests.laptop_target import LaptopTarget

Trace = tuple[str, bytes]
"""What kind of place it is, and what stands there."""


def left_behind(laptop: LaptopTarget) -> Iterator[Trace]:
    """Every trace but the secret itself, the database and the target's own keys."""
    for kind in (logs, executions, jobs, objects, functions, stack, alarms, services):
        yield from kind(laptop)


def pages(client: Any, operation: str, **given: Any) -> Iterator[dict[str, Any]]:
    yield from client.get_paginator(operation).paginate(**given)


def text(document: Any) -> bytes:
    return json.dumps(document, default=str, ensure_ascii=False).encode()


def logs(laptop: LaptopTarget) -> Iterator[Trace]:
    client = laptop.client("logs")
    for group in (found for page in pages(client, "describe_log_groups") for found in page["logGroups"]):
        of = {"logGroupName": group["logGroupName"]}
        for stream in (found for page in pages(client, "describe_log_streams", **of) for found in page["logStreams"]):
            token: dict[str, str] = {}
            while True:
                given = {**of, "logStreamName": stream["logStreamName"], "startFromHead": True, **token}
                page = client.get_log_events(**given)
                if not page["events"]:
                    break
                yield "log", "\n".join(event["message"] for event in page["events"]).encode()
                token = {"nextToken": page["nextForwardToken"]}


def executions(laptop: LaptopTarget) -> Iterator[Trace]:
    client = laptop.client("stepfunctions")
    for machine in (found for page in pages(client, "list_state_machines") for found in page["stateMachines"]):
        arn = machine["stateMachineArn"]
        for page in pages(client, "list_executions", stateMachineArn=arn):
            for execution in page["executions"]:
                of = {"executionArn": execution["executionArn"]}
                yield "execution", text(client.describe_execution(**of))
                yield (
                    "history",
                    b"\n".join(text(page["events"]) for page in pages(client, "get_execution_history", **of)),
                )


def jobs(laptop: LaptopTarget) -> Iterator[Trace]:
    for name in laptop.jobs():
        yield "job", text(laptop.client("sagemaker").describe_training_job(TrainingJobName=name))


def objects(laptop: LaptopTarget) -> Iterator[Trace]:
    client, bucket = laptop.client("s3"), laptop.store.bucket
    for row in laptop.store.list(""):
        stored = laptop.store.get(row.key)
        assert stored
        tags = client.get_object_tagging(Bucket=bucket, Key=row.key)["TagSet"]
        yield "object", text([row.key, tags, client.head_object(Bucket=bucket, Key=row.key)["Metadata"]])
        yield from (("object", part) for part in unpacked(row.key, stored.body))


def unpacked(name: str, body: bytes) -> Iterator[bytes]:
    """An object and what is packed in it: archives, gzip, the rows and the metadata of Parquet."""
    yield body
    if name.endswith(".tar.gz"):
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            for member in archive.getmembers():
                if opened := archive.extractfile(member):
                    yield from unpacked(member.name, opened.read())
    elif name.endswith(".gz"):
        yield from unpacked(name.removesuffix(".gz"), gzip.decompress(body))
    elif name.endswith(".parquet"):
        table = pq.read_table(io.BytesIO(body))
        yield text([table.to_pylist(), table.schema.to_string()])


def functions(laptop: LaptopTarget) -> Iterator[Trace]:
    client = laptop.client("lambda")
    for page in pages(client, "list_functions"):
        yield "function", text([client.get_function(FunctionName=one["FunctionName"]) for one in page["Functions"]])


def stack(laptop: LaptopTarget) -> Iterator[Trace]:
    client, name = laptop.client("cloudformation"), laptop.target.stack
    yield "stack", text(client.describe_stacks(StackName=name))
    yield "stack", text(client.describe_stack_events(StackName=name))
    yield "stack", text(client.get_template(StackName=name))


def alarms(laptop: LaptopTarget) -> Iterator[Trace]:
    client = laptop.client("cloudwatch")
    yield "alarm", text([client.describe_alarms(), client.describe_alarm_history(), client.list_metrics()])


def services(laptop: LaptopTarget) -> Iterator[Trace]:
    """What the target's own processes log; Supabase Lite logs its keys, for whoever may enter the folder."""
    folder = Paths(laptop.home).logs
    assert folder.stat().st_mode & 0o077 == 0
    for path in folder.iterdir():
        if path.name != "supabase.log":
            yield "service", path.read_bytes()
