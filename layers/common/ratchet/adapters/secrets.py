"""The secret of a source: JSON in Secrets Manager, or in an SSM SecureString.

Never cached: it is asked for once per invocation at most, and a corrected secret must count at once.
"""

import json
from collections.abc import Callable
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from ratchet.errors import BadConfiguration, RatchetError, Unavailable

ABSENT = {"ResourceNotFoundException", "ParameterNotFound", "ParameterVersionNotFound"}
REFUSED = {"AccessDeniedException", "AccessDenied", "DecryptionFailure", "InvalidKeyId", "UnrecognizedClientException"}
Fetch = Callable[[str], str]


def read_secret(name: str, fetch: Fetch | None = None) -> dict[str, str]:
    """The fields of a secret: `url` and `key`, or `db_url`. Raises BadConfiguration for what it lacks, Unavailable.

    `fetch` gets a secret's text by its name.
    """
    if not name:
        raise BadConfiguration("RATCHET_SECRET is not set: name the secret with the source's url and key.")
    return _parse((fetch or fetch_text)(name), name)


def read_project(name: str, fetch: Fetch | None = None) -> tuple[str, str]:
    """The Supabase project's URL and key, beside which the secret may name the database. Raises as `read_secret`."""
    secret = read_secret(name, fetch)
    missing = [field for field in ("url", "key") if not secret.get(field)]
    if missing:
        raise BadConfiguration(
            f"The secret {name} lacks {' and '.join(missing)}, by which predictions go to a table of Supabase: add "
            "what is missing beside db_url, or remove serving.upsert_table from pipeline.yaml."
        )
    return secret["url"], secret["key"]


def read_field(name: str, field: str, fetch: Fetch | None = None) -> str:
    """One field of a secret of the stack's own. Raises BadConfiguration where it is not there, Unavailable."""
    try:
        return str(json.loads((fetch or fetch_text)(name))[field])
    except (ValueError, KeyError, TypeError) as error:
        raise BadConfiguration(f"The secret {name} has no {field}: deploy the stack again, which makes it.") from error


def fetch_text(name: str) -> str:
    """The text of a secret: a Secrets Manager name or ARN, or `ssm:/name`. Raises BadConfiguration, Unavailable."""
    try:
        if name.startswith("ssm:"):
            found = boto3.client("ssm").get_parameter(Name=name.removeprefix("ssm:"), WithDecryption=True)
            return str(found["Parameter"]["Value"])
        return str(boto3.client("secretsmanager").get_secret_value(SecretId=name).get("SecretString", ""))
    except ClientError as error:
        raise translated(error, name) from error
    except BotoCoreError as error:
        raise Unavailable(f"The secret {name} cannot be fetched: {error}") from error


def translated(error: ClientError, name: str) -> RatchetError:
    """AWS's error as one of ours: BadConfiguration or Unavailable."""
    code = error.response.get("Error", {}).get("Code", "")
    if code in ABSENT:
        return BadConfiguration(f'There is no secret {name}: create it with {{"url": …, "key": …}} or {{"db_url": …}}.')
    if code in REFUSED:
        return BadConfiguration(f"The function may not read the secret {name} ({code}): deploy with its name or ARN.")
    return Unavailable(f"The secret {name} cannot be fetched: {code}.")


def _parse(text: str, name: str) -> dict[str, str]:
    try:
        document: Any = json.loads(text)
    except ValueError as error:
        raise BadConfiguration(f'The secret {name} is no JSON: write it as {{"url": …, "key": …}}.') from error
    if not isinstance(document, dict):
        raise BadConfiguration(f'The secret {name} is no JSON object: write it as {{"url": …, "key": …}}.')
    secret = {str(field): str(value).strip() for field, value in document.items() if value is not None}
    missing = [field for field in ("url", "key") if not secret.get(field)]
    if missing and not secret.get("db_url"):
        raise BadConfiguration(f"The secret {name} lacks {' and '.join(missing)} (or db_url for direct access).")
    return secret
