"""The secret of a source: JSON in Secrets Manager, or in an SSM SecureString. Cached, since it is asked for often."""

import json
import time
from collections.abc import Callable
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from ratchet.errors import BadConfiguration, RatchetError, Unavailable

SECONDS = 300
ABSENT = {"ResourceNotFoundException", "ParameterNotFound", "ParameterVersionNotFound"}
REFUSED = {"AccessDeniedException", "AccessDenied", "DecryptionFailure", "InvalidKeyId", "UnrecognizedClientException"}
Fetch = Callable[[str], str]


class Secrets:
    """Secrets by name, each fetched at most every five minutes."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float] = time.monotonic) -> None:
        """`fetch` gets a secret's text; `clock` gives seconds."""
        self._fetch = fetch
        self._clock = clock
        self._cache: dict[str, tuple[float, dict[str, str]]] = {}

    def read(self, name: str) -> dict[str, str]:
        """The secret's fields. Raises BadConfiguration naming what is missing, Unavailable."""
        cached = self._cache.get(name)
        if cached and self._clock() - cached[0] < SECONDS:
            return cached[1]
        if not name:
            raise BadConfiguration("RATCHET_SECRET is not set: name the secret with the source's url and key.")
        secret = _parse(self._fetch(name), name)
        self._cache[name] = (self._clock(), secret)
        return secret


def fetch(name: str) -> str:
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


_secrets = Secrets(fetch)


def read_secret(name: str) -> dict[str, str]:
    """The fields of a secret: `url` and `key`, or `db_url`. Raises BadConfiguration, Unavailable."""
    return _secrets.read(name)
