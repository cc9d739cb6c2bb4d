"""Which routes there are, as the gateway, the function and `ratchet serve` know them. Standard library only."""

import re

HEALTH = "/health"
PREDICT = "/api/v1/predict"
RETRAIN = "/api/v1/retrain"
RUN = "/api/v1/runs/{name}"
DOCUMENT = "/api/v1/openapi.json"
METHODS = {HEALTH: "GET", PREDICT: "GET", RETRAIN: "POST", RUN: "GET", DOCUMENT: "GET"}
"""Each route's only method."""
GUARDED = f"POST {RETRAIN}"
"""The route that the gateway knows by this key and always asks a signature for."""
DEFAULT = "$default"
"""The key of the route by which the gateway hands over all others, those that do not exist included."""


def route_key(method: str, path: str) -> str:
    """The key of the gateway's route for a request, which matches paths to the letter."""
    return GUARDED if f"{method} {path}" == GUARDED else DEFAULT


def allowed(path: str) -> str | None:
    """The method that a path takes, None where no route has it."""
    for template, method in METHODS.items():
        if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)), path):
            return method
    return None
