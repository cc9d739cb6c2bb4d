"""What a stack's pipelines made in SageMaker, of which CloudFormation knows nothing, found and removed.

Endpoints, configurations and models are the stack's where their name begins with the stack's and their tag
`ratchet:stack` names it; packages where their own facts do. What is gone already is no error.
"""

import time
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError
from ratchet import catalog
from ratchet.adapters.sagemaker_errors import is_absent
from ratchet.endpoint.hosting import CHANGING, candidate_name

from cli.errors import CommandError

STACK_TAG = "ratchet:stack"
POLL_SECONDS, POLLS = 2, 900


def remove_endpoints(sagemaker: Any, stack: str) -> list[str]:
    """Deletes the stack's endpoints and waits until they are gone; their names.

    Raises CommandError for one that stays.
    """
    names = set(_ours(sagemaker, "Endpoint", stack))
    asked: set[str] = set()
    for _ in range(POLLS):
        told = {each["EndpointName"]: each["EndpointStatus"] for each in _listed(sagemaker, "Endpoint", stack)}
        if not names & told.keys():
            return sorted(names)
        # One that is changing refuses to be deleted until it stands.
        for name in {name for name in names - asked if told.get(name, "Deleting") not in CHANGING}:
            sagemaker.delete_endpoint(EndpointName=name)
            asked.add(name)
        time.sleep(POLL_SECONDS)
    stay = ", ".join(sorted(names & told.keys()))
    raise CommandError(f"{stay} cannot be deleted: `aws sagemaker describe-endpoint` says why; mend it and run again.")


def remove_configs(sagemaker: Any, stack: str) -> list[str]:
    """Deletes the stack's endpoint configurations; their names."""
    names = _ours(sagemaker, "EndpointConfig", stack)
    for name in names:
        sagemaker.delete_endpoint_config(EndpointConfigName=name)
    return names


def remove_models(sagemaker: Any, stack: str) -> list[str]:
    """Deletes the stack's models; their names."""
    names = _ours(sagemaker, "Model", stack)
    for name in names:
        sagemaker.delete_model(ModelName=name)
    return names


def remove_logs(logs: Any, stack: str) -> list[str]:
    """Deletes the log groups that SageMaker made for the stack's endpoints; their names."""
    served = [each for each in map(catalog.load, catalog.names()) if each.serving.endpoint]
    endpoints = [f"{stack}-{each.name}" for each in served]
    removed = []
    for endpoint in [name for each in endpoints for name in (each, candidate_name(each))]:
        group = f"/aws/sagemaker/Endpoints/{endpoint}"
        try:
            logs.delete_log_group(logGroupName=group)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            continue
        removed.append(group)
    return removed


def remove_packages(sagemaker: Any, group: str, stack: str, *, whole: bool) -> int:
    """Deletes the packages of a group that are the stack's, or all of them (`whole`); how many."""
    arns = list(_packages(sagemaker, group))
    # Found before any goes, so that a page's place in the list stays what it is.
    wanted = [arn for arn in arns if whole or _facts(sagemaker, arn).get("stack") == stack]
    for arn in wanted:
        sagemaker.delete_model_package(ModelPackageName=arn)
    return len(wanted)


def _ours(sagemaker: Any, kind: str, stack: str) -> list[str]:
    found = [(each[f"{kind}Name"], each[f"{kind}Arn"]) for each in _listed(sagemaker, kind, stack)]
    return [name for name, arn in found if _tags(sagemaker, arn).get(STACK_TAG) == stack]


def _listed(sagemaker: Any, kind: str, stack: str) -> Iterator[dict[str, Any]]:
    call = {"Endpoint": "list_endpoints", "EndpointConfig": "list_endpoint_configs", "Model": "list_models"}[kind]
    for page in sagemaker.get_paginator(call).paginate(NameContains=f"{stack}-"):
        yield from (each for each in page[f"{kind}s"] if each[f"{kind}Name"].startswith(f"{stack}-"))


def _tags(sagemaker: Any, arn: str) -> dict[str, str]:
    try:
        pages = list(sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn))
    except ClientError as error:
        if not is_absent(error):
            raise
        pages = []
    return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}


def _packages(sagemaker: Any, group: str) -> Iterator[str]:
    try:
        for page in sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group):
            yield from (package["ModelPackageArn"] for package in page["ModelPackageSummaryList"])
    except ClientError as error:
        if not is_absent(error):
            raise


def _facts(sagemaker: Any, arn: str) -> dict[str, str]:
    told: dict[str, Any] = sagemaker.describe_model_package(ModelPackageName=arn)
    return dict(told.get("CustomerMetadataProperties", {}))
