"""The bundle of a registration: the very bytes that were approved."""

from pathlib import Path

from ratchet.errors import BadBundle
from ratchet.evaluation.candidates import digest
from ratchet.registry.package import Registration
from ratchet.store import ObjectStore


def fetch(store: ObjectStore, registered: Registration, archive: Path) -> None:
    """Downloads it. Raises BadBundle where it is gone or another one."""
    if store.download(store.key_of(registered.bundle_uri), archive) is None or digest(archive) != registered.sha256:
        raise BadBundle(f"{registered.bundle_uri} is not the bundle that was approved; run the pipeline again.")
