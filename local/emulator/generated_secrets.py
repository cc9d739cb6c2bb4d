"""Secrets that CloudFormation generates, by Secrets Manager's own rules; ministack's provisioner drops most of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

_FLAGS = {
    *("ExcludeLowercase", "ExcludeNumbers", "ExcludePunctuation", "ExcludeUppercase"),
    *("IncludeSpace", "RequireEachIncludedType"),
}

Properties = dict[str, Any]


def as_request(wanted: Properties) -> Properties:
    """GenerateSecretString as the request of GetRandomPassword: a template's parameters are text."""
    flags = {name: str(wanted[name]).lower() == "true" for name in _FLAGS if name in wanted}
    return {
        "ExcludeCharacters": wanted.get("ExcludeCharacters", ""),
        "PasswordLength": int(wanted.get("PasswordLength", 32)),
        **flags,
    }


def secret(wanted: Properties, password: str) -> str:
    """The secret's text: the password alone, or in the template under its key. ValueError where that is no object."""
    if "SecretStringTemplate" not in wanted:
        return password
    told = json.loads(wanted["SecretStringTemplate"])
    if not isinstance(told, dict) or "GenerateStringKey" not in wanted:
        raise ValueError("SecretStringTemplate must be a JSON object, and GenerateStringKey the key for the password.")
    return json.dumps({**told, wanted["GenerateStringKey"]: password})


def _generated(wanted: Properties, random_password: Callable[[Properties], tuple[int, Any, bytes]]) -> str:
    status, _, body = random_password(as_request(wanted))
    told = json.loads(body)
    if status >= 400:
        raise ValueError(f"GenerateSecretString: {told.get('message', told)}")
    return secret(wanted, told["RandomPassword"])


def install() -> None:
    """Generate at the one place through which CloudFormation reads a secret's text."""
    from ministack.services import secretsmanager
    from ministack.services.cloudformation import provisioners

    stock = provisioners._sm_secret_string

    def secret_string(properties: Properties) -> Any:
        wanted = properties.get("GenerateSecretString")
        if properties.get("SecretString") or not wanted:
            return stock(properties)
        return _generated(wanted, secretsmanager._get_random_password)

    provisioners._sm_secret_string = secret_string
