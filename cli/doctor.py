"""Checks of a deployed stack: quotas, the bucket's settings, the secret, the schedules."""

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from ratchet import catalog
from ratchet.errors import RatchetError
from ratchet.retention import EXPIRES
from ratchet.sources import TabularFiles

from cli.targets import Target
from local.doctor import Check

TRAINING_QUOTA = "for training job usage"
SPOT_QUOTA = "for spot training job usage"
CPU_INSTANCE = "ml.m5.xlarge"


def check_aws(target: Target) -> list[Check]:
    """All checks of a stack; one that cannot be made is a finding of its own."""
    checks: list[tuple[str, Callable[[Target], Check]]] = [
        ("stack", _stack),
        ("training quota", _quota),
        ("bucket versioning", _versioning),
        ("bucket policy", _tls),
        ("bucket events", _events),
        ("bucket lifecycle", _lifecycle),
        ("secret", _secret),
        ("schedules", _schedules),
        ("feature group", _feature_group),
    ]
    return [_made(name, check, target) for name, check in checks]


def _made(name: str, check: Callable[[Target], Check], target: Target) -> Check:
    try:
        return check(target)
    except (ClientError, BotoCoreError, RatchetError) as error:
        return Check(name, False, str(error), "Fix what the message says, or ask for the permission to look.")


def _stack(target: Target) -> Check:
    return Check("stack", True, f"{target.stack} with {len(target.outputs)} outputs")


def _quota(target: Target) -> Check:
    instance = target.output("TrainInstanceType")
    pages = target.client("service-quotas").get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
    spot = target.output("TrainSpot") == "true"
    wanted = f"{instance} {SPOT_QUOTA if spot else TRAINING_QUOTA}"
    quotas = {quota["QuotaName"]: quota["Value"] for page in pages for quota in page["Quotas"]}
    value = quotas.get(wanted)
    remedy = f"Deploy with TrainInstanceType={CPU_INSTANCE}, or ask Service Quotas for '{wanted}'."
    if value is None:
        return Check("training quota", False, f"no quota is named '{wanted}'", remedy)
    return Check("training quota", value >= 1, f"{value:.0f} of {instance}", remedy)


def _versioning(target: Target) -> Check:
    state = target.client("s3").get_bucket_versioning(Bucket=target.output("LandingBucket")).get("Status", "off")
    remedy = "Switch versioning on: aws s3api put-bucket-versioning."
    return Check("bucket versioning", state == "Enabled", state, remedy)


def _tls(target: Target) -> Check:
    client, bucket = target.client("s3"), target.output("LandingBucket")
    try:
        statements = json.loads(client.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucketPolicy":
            raise
        statements = []
    denies = [_denies_plain_http(statement) for statement in statements]
    remedy = "Add a policy that denies aws:SecureTransport = false."
    return Check("bucket policy", any(denies), "TLS only" if any(denies) else "allows plain HTTP", remedy)


def _denies_plain_http(statement: dict[str, Any]) -> bool:
    condition = statement.get("Condition", {}).get("Bool", {})
    return statement["Effect"] == "Deny" and str(condition.get("aws:SecureTransport")).lower() == "false"


def _events(target: Target) -> Check:
    answer = target.client("s3").get_bucket_notification_configuration(Bucket=target.output("LandingBucket"))
    on = "EventBridgeConfiguration" in answer
    return Check("bucket events", on, "sent to EventBridge" if on else "off", "Switch EventBridge on for the bucket.")


def _lifecycle(target: Target) -> Check:
    remedy = "Add lifecycle rules that expire objects tagged ratchet:retention=run; the template's bucket has them."
    client, bucket = target.client("s3"), target.output("LandingBucket")
    try:
        rules = client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchLifecycleConfiguration":
            raise
        rules = []
    tagged = any(_expires_runs(rule) for rule in rules)
    return Check("bucket lifecycle", tagged, "runs expire" if tagged else "runs are kept for ever", remedy)


def _expires_runs(rule: dict[str, Any]) -> bool:
    """Whether a rule is for objects that carry the tag of runs, and no other; S3 tells of one tag in two ways."""
    told = rule.get("Filter", {})
    both = told.get("And", {})
    tags = [told["Tag"]] if "Tag" in told else both.get("Tags", [])
    whole = not both.get("Prefix") and rule.get("Status", "Enabled") == "Enabled" and "Expiration" in rule
    return whole and {tag["Key"]: tag["Value"] for tag in tags} == EXPIRES


def _secret(target: Target) -> Check:
    name = target.output("SupabaseSecret")
    if name.startswith("ssm:"):
        answer = target.client("ssm").get_parameter(Name=name.removeprefix("ssm:"), WithDecryption=True)
        text = answer["Parameter"]["Value"]
    else:
        text = target.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]
    try:
        told = json.loads(text)
        missing = set() if told.get("db_url") else {"url", "key"} - set(told)
    except ValueError:
        missing = {"JSON"}
    remedy = 'Store {"url": "https://…", "key": "…"} or {"db_url": "postgresql://…"} there.'
    return Check(
        "secret", not missing, f"{name}: " + (f"lacks {', '.join(missing)}" if missing else "readable"), remedy
    )


def _schedules(target: Target) -> Check:
    client = target.client("scheduler")
    states = {name: client.get_schedule(Name=name)["State"] for name in target.output("ScheduleNames").split(",")}
    on = all(state == "ENABLED" for state in states.values())
    return Check(
        "schedules", on, ", ".join(f"{name} {state.lower()}" for name, state in states.items()), "ratchet resume"
    )


def _feature_group(target: Target) -> Check:
    """Whether records are taken: an existing group was made by somebody else."""
    from ratchet.tabular.feature_group import definitions

    name = target.output("FeatureGroup")
    if name == "off":
        return Check("feature group", True, "off")
    told = target.client("sagemaker").describe_feature_group(FeatureGroupName=name)
    has = {each["FeatureName"]: each["FeatureType"] for each in told["FeatureDefinitions"]}
    sources = [loaded.source for loaded in map(catalog.load, catalog.names())]
    wanted = {
        key: kind for each in sources if isinstance(each, TabularFiles) for key, kind in definitions(each).items()
    }
    lacking = sorted(key for key, kind in wanted.items() if has.get(key) != kind)
    state = told["FeatureGroupStatus"]
    faults = [f"lacks {', '.join(f'{key} ({wanted[key]})' for key in lacking)}"] if lacking else []
    faults += [f"is {state}"] if state != "Created" else []
    remedy = (
        "Name a group with the features of the one in template.yaml, or deploy with FeatureGroupMode=create or off."
    )
    return Check("feature group", not faults, f"{name} {' and '.join(faults) or 'takes records'}", remedy)
