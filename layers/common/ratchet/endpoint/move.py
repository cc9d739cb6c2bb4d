"""The step Move the endpoint: one look at an endpoint, and the one call that brings it nearer to a configuration.

The machine calls it until the endpoint has arrived or failed; a call that is repeated finds what the last one began.
"""

from dataclasses import dataclass

from ratchet.endpoint.hosting import CHANGING, Endpoint, Hosting


@dataclass(frozen=True)
class Progress:
    """`in_service`, `gone`, `changing` (call again) or `failed`; `asked` is to be handed over with the next call."""

    status: str
    asked: bool
    reason: str = ""


def move(hosting: Hosting, name: str, config: str | None, *, asked: bool) -> Progress:
    """Brings an endpoint to a configuration, None: to its end. `asked`: whether that was asked of it before."""
    found = hosting.endpoint(name)
    if found is None:
        return _absent(hosting, name, config)
    if found.status in CHANGING:
        return Progress("changing", asked)
    if (found.status, found.config) == ("InService", config):
        return Progress("in_service", asked)
    if asked:
        return Progress("failed", True, f"{name} is {found.status} with {found.config}: {found.reason or 'no reason'}")
    return _begin(hosting, name, config, found)


def _absent(hosting: Hosting, name: str, config: str | None) -> Progress:
    if config is None:
        return Progress("gone", True)
    hosting.create_endpoint(name, config)
    return Progress("changing", True)


def _begin(hosting: Hosting, name: str, config: str | None, found: Endpoint) -> Progress:
    if config is not None and found.status == "InService" and _same_kind(found.config, config):
        hosting.update_endpoint(name, config)
        return Progress("changing", True)
    # One that failed takes no update, and no update turns instances into serverless or back: it is made anew.
    hosting.delete_endpoint(name)
    return Progress("changing", True)


def _same_kind(one: str, other: str) -> bool:
    """Whether both are serverless, or neither is; the ending of a name says so."""
    return one.rpartition("-")[2][:1] == other.rpartition("-")[2][:1]
