"""Taking a target away whole: what CloudFormation leaves behind goes too, and what stays is named."""

import shutil
from typing import Any

from botocore.exceptions import ClientError, WaiterError

from cli import hosted
from cli.buckets import empty
from cli.errors import CommandError
from cli.executions import switch_schedules
from cli.output import Progress
from cli.targets import Target

WAIT = {"Delay": 5, "MaxAttempts": 240}
NAMED = {
    **{"LandingBucketName": "bucket", "SensorBucketName": "bucket", "ModelPackageGroupName": "model package group"},
    **{"FeatureGroupName": "feature group", "EndpointRoleArn": "role", "KmsKeyArn": "key", "SupabaseSecret": "secret"},
}
"""Parameters that name what is there already, and what that is."""


def destroy_laptop() -> dict[str, list[str]]:
    """Stops every process and removes the state; the tools stay installed for the next `up`."""
    from local import postgres
    from local.laptop import down
    from local.paths import default_paths

    paths = default_paths()
    stopped = [f"process {name}" for name in down(paths)]
    if paths.state.exists():
        # It may keep its data elsewhere, and with other keys they would be of no use.
        postgres.forget(paths)
        shutil.rmtree(paths.state)
        stopped.append(f"{paths.state} (data, models, logs)")
    kept = [f"{paths.root / 'envs'} (installed tools)"] if (paths.root / "envs").exists() else []
    return {"removed": stopped, "kept": kept}


def destroy_stack(target: Target, progress: Progress) -> dict[str, list[str]]:
    """Removes what a stack's pipelines made, the stack, and the landing bucket if the stack made it.

    What was only named stays. A destruction that died goes on where it was. Raises CommandError when something cannot
    be deleted, or there is no such stack, nor anything left of it.
    """
    formation, removed = target.client("cloudformation"), list[str]()
    standing = _standing(formation, target.stack)
    if standing:
        _quiet(target, progress)
        removed += _empty_sagemaker(target, progress)
        removed += _delete(formation, standing["StackId"], target.stack, progress)
    stack_id = standing["StackId"] if standing else _deleted(formation, target.stack)
    # Last: until the stack is gone, its functions write there.
    removed += _remove_buckets(target.client("s3"), _buckets(formation, stack_id), progress) if stack_id else []
    if not removed:
        raise CommandError(f"There is no stack '{target.stack}', and nothing is left of one.")
    return {"removed": removed, "kept": _named(standing.get("Parameters", [])) if standing else []}


def _standing(formation: Any, stack: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = formation.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        return None
    return found


def _named(parameters: list[dict[str, str]]) -> list[str]:
    given = {each["ParameterKey"]: each.get("ParameterValue") for each in parameters}
    return [f"{kind} {given[name]}, which the stack did not make" for name, kind in NAMED.items() if given.get(name)]


def _deleted(formation: Any, stack: str) -> str | None:
    """The newest of the stacks of that name that are gone: CloudFormation remembers them for 90 days."""
    pages = formation.get_paginator("list_stacks").paginate(StackStatusFilter=["DELETE_COMPLETE"])
    gone = [each for page in pages for each in page["StackSummaries"] if each["StackName"] == stack]
    return str(max(gone, key=lambda each: each["CreationTime"])["StackId"]) if gone else None


def _quiet(target: Target, progress: Progress) -> None:
    """No schedule fires and nothing runs any more that could make again what is being removed."""
    progress("Switching the schedules off")
    switch_schedules(target, "DISABLED")
    states = target.client("stepfunctions")
    for machine in sorted(arn for name, arn in target.outputs.items() if name.endswith("MachineArn")):
        pages = states.get_paginator("list_executions").paginate(stateMachineArn=machine, statusFilter="RUNNING")
        for execution in [each["executionArn"] for page in pages for each in page["executions"]]:
            progress(f"Stopping {execution.rpartition(':')[2]}")
            states.stop_execution(executionArn=execution, error="Destroyed", cause="The stack is being removed.")


def _empty_sagemaker(target: Target, progress: Progress) -> list[str]:
    """In the order in which one thing is made of the other; CloudFormation deletes no package group with packages."""
    sagemaker, stack, group = target.client("sagemaker"), target.stack, target.output("ModelPackageGroup")
    own = target.output("ModelPackageGroupIsOurs") == "true"
    progress("Removing endpoints, models and packages")
    removed = [f"endpoint {name}" for name in hosted.remove_endpoints(sagemaker, stack)]
    removed += [f"endpoint configuration {name}" for name in hosted.remove_configs(sagemaker, stack)]
    removed += [f"model {name}" for name in hosted.remove_models(sagemaker, stack)]
    removed += [f"log group {name}" for name in hosted.remove_logs(target.client("logs"), stack)]
    count = hosted.remove_packages(sagemaker, group, stack, whole=own)
    return removed + ([f"{count} model packages of the group {group}"] if count else [])


def _delete(formation: Any, stack_id: str, stack: str, progress: Progress) -> list[str]:
    progress("Deleting the stack")
    formation.delete_stack(StackName=stack_id)
    try:
        formation.get_waiter("stack_delete_complete").wait(StackName=stack_id, WaiterConfig=WAIT)
    except WaiterError as error:
        raise CommandError(f"CloudFormation could not delete {stack}; its events say why ({error}).") from error
    return [f"stack {stack}"]


def _buckets(formation: Any, stack_id: str) -> list[str]:
    """Those that a stack made, and kept when it was deleted."""
    pages = formation.get_paginator("describe_stack_events").paginate(StackName=stack_id)
    skipped = [each for page in pages for each in page["StackEvents"] if each["ResourceStatus"] == "DELETE_SKIPPED"]
    return sorted({each["PhysicalResourceId"] for each in skipped if each["ResourceType"] == "AWS::S3::Bucket"})


def _remove_buckets(s3: Any, buckets: list[str], progress: Progress) -> list[str]:
    """Those that are still there, with all that is in them."""
    there, removed = {each["Name"] for each in s3.list_buckets()["Buckets"]}, []
    for bucket in [bucket for bucket in buckets if bucket in there]:
        progress(f"Emptying {bucket}")
        count = empty(s3, bucket)
        s3.delete_bucket(Bucket=bucket)
        removed.append(f"bucket {bucket} with {count} object versions")
    return removed
