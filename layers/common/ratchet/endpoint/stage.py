"""The step Stage the endpoint: model and configuration for a run's bundle, if its very package is approved.

The only place where a model is made that could be served, so what it refuses is never deployed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ratchet import lease, pointer
from ratchet.catalog import Pipeline
from ratchet.endpoint import approved
from ratchet.endpoint.hosting import Hosting, candidate_name, config_name, endpoint_name
from ratchet.registry import package
from ratchet.registry.package import Registration, Registry
from ratchet.store import ObjectStore


@dataclass(frozen=True)
class Staged:
    """`staged`, `in_service` (nothing to do), or `not_approved` and why.

    `config` is to come into service in place of `previous`; on `candidate` it is tried first, where that is not null.
    """

    status: str
    reason: str
    endpoint: str
    config: str | None = None
    previous: str | None = None
    candidate: str | None = None


def stage(
    store: ObjectStore,
    registry: Registry,
    hosting: Hosting,
    pipeline: Pipeline,
    event: dict[str, Any],
    *,
    stack: str,
    folder: Path,
) -> Staged:
    """What the machine is to do for the run in the event (docs/contracts.md), working in the empty `folder`.

    Raises NotRegistered, BadBundle where the bytes are not those approved, LeaseLost for a run that is neither in
    service nor holds the lease.
    """
    run_ts, name = event["run_ts"], endpoint_name(stack, pipeline.name)
    registered = package.registration(store, pipeline.keys, run_ts)
    refused = package.check(registry.find(registered.package_arn), registered, stack)
    if refused:
        return Staged("not_approved", f"Run {run_ts} is not deployed: {refused}.", name)
    _check_right(store, pipeline, registered, event)
    approved.fetch(store, registered, folder / "model.tar.gz")
    config = config_name(name, run_ts, registered.sha256, hosting.kind)
    found = hosting.endpoint(name)
    previous = found.config if found else None
    if found and (found.status, found.config) == ("InService", config):
        return Staged("in_service", f"Run {run_ts} is served already.", name, config, previous)
    hosting.create_model(config, registered.bundle_uri)
    hosting.create_config(config, config)
    # Instances change over with alarms of their own; a serverless endpoint knows no such thing.
    candidate = candidate_name(name) if hosting.kind.startswith("serverless") else None
    return Staged("staged", f"Run {run_ts} is approved.", name, config, previous, candidate)


def _check_right(store: ObjectStore, pipeline: Pipeline, registered: Registration, event: dict[str, Any]) -> None:
    champion = pointer.read(store, pipeline.keys)
    if champion and (champion[0].run_ts, champion[0].sha256) == (registered.run_ts, registered.sha256):
        return
    lease.check(store, pipeline.keys, execution=event.get("execution") or "", token=event.get("token") or 0)
