"""Proving an earlier champion anew before it returns to service: same bytes, loads, answers as its framework."""

from pathlib import Path
from tempfile import TemporaryDirectory

from ratchet.errors import BadBundle, GraphDiffers
from ratchet.evaluation.candidates import fetch
from ratchet.gate import checks
from ratchet.pointer import Pointer
from ratchet.store import ObjectStore


def prove(store: ObjectStore, pipeline: str, champion: Pointer) -> None:
    """Loads the bundle of a history entry and runs its reference rows. Raises BadBundle when it is not as it was."""
    with TemporaryDirectory() as folder:
        candidate = fetch(store, champion.model_uri, Path(folder) / "candidate", pipeline)
        if candidate.sha256 != champion.sha256:
            raise BadBundle(f"{champion.model_uri} is not the bundle that was promoted (its digest differs).")
        features, expected = candidate.bundle.reference()
        parity = checks.parity(checks.parity_of(candidate.model.predict(features), expected))
    if not parity.passed:
        raise GraphDiffers(f"{champion.model_uri}: {parity.text}")
