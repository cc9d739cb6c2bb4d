"""Acting as a role inside the emulator: what a service does with the role it was given (`RoleArn`).

AWS's services assume such roles without anybody's key; so does this module, by registering the session at ministack's
STS directly. With AUTH on, the role's policies then decide what the client may do.
"""

from __future__ import annotations

import hashlib
import os
import time
from functools import lru_cache
from typing import Any

import boto3
from botocore.config import Config
from ministack.services import sts

SESSION_SECONDS = 12 * 3600


def endpoint() -> str:
    """The emulator's own address."""
    return f"http://127.0.0.1:{os.environ.get('GATEWAY_PORT', '4566')}"


def credentials(role_arn: str, session: str) -> dict[str, str]:
    """Credentials of the role as `aws_access_key_id`, `aws_secret_access_key`, `aws_session_token`."""
    account, role = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
    digest = hashlib.sha256(f"{role_arn}/{session}".encode()).hexdigest()
    keys = {
        "aws_access_key_id": f"ASIA{digest[:16].upper()}",
        "aws_secret_access_key": digest[16:56],
        "aws_session_token": hashlib.sha256(digest.encode()).hexdigest(),
    }
    record = {
        "Arn": f"arn:aws:sts::{account}:assumed-role/{role}/{session}",
        "UserId": f"{role}:{session}",
        "SecretAccessKey": keys["aws_secret_access_key"],
        "SessionToken": keys["aws_session_token"],
        "AccountId": account,
        "PrincipalType": "AssumedRole",
        "Expiration": time.time() + SESSION_SECONDS,
    }
    sts.register_session(keys["aws_access_key_id"], record)
    return keys


def client(service: str, role_arn: str, session: str, region: str) -> Any:
    """A boto3 client of the emulator that acts as the role; its calls are not retried by the SDK."""
    credentials(role_arn, session)
    return _client(service, role_arn, session, region, endpoint())


@lru_cache(maxsize=64)
def _client(service: str, role_arn: str, session: str, region: str, address: str) -> Any:
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, max_pool_connections=64)
    keys = credentials(role_arn, session)
    return boto3.session.Session().client(
        service,
        endpoint_url=address,
        region_name=region,
        config=config,
        aws_access_key_id=keys["aws_access_key_id"],
        aws_secret_access_key=keys["aws_secret_access_key"],
        aws_session_token=keys["aws_session_token"],
    )
