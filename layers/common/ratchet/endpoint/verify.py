"""The step Verify the endpoint: it must answer the bundle's reference rows as the framework did, and name its model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ratchet.catalog import Pipeline
from ratchet.endpoint import approved
from ratchet.endpoint.hosting import Hosting
from ratchet.errors import EndpointFailed
from ratchet.gate import checks
from ratchet.registry import package
from ratchet.serving.bundle import read_bundle
from ratchet.store import ObjectStore

ROWS_AT_ONCE = 64
JSON = "application/json"


def verify(store: ObjectStore, hosting: Hosting, pipeline: Pipeline, run_ts: str, endpoint: str, folder: Path) -> int:
    """How many reference rows the endpoint answered rightly, working in the empty `folder`.

    Raises EndpointFailed where an answer is missing, another model's, or not what it must be, BadBundle where the
    bundle is not the one approved; NotRegistered, Unavailable.
    """
    registered = package.registration(store, pipeline.keys, run_ts)
    archive = folder / "model.tar.gz"
    approved.fetch(store, registered, archive)
    features, expected = read_bundle(archive, folder / "bundle", pipeline.name).reference()
    answers = [
        _ask(hosting, endpoint, features[start : start + ROWS_AT_ONCE], run_ts)
        for start in range(0, len(features), ROWS_AT_ONCE)
    ]
    found = checks.parity(checks.parity_of(np.concatenate(answers), expected))
    if not found.passed:
        raise EndpointFailed(f"{endpoint} does not answer as it was trained to. {found.text}")
    return len(features)


def _ask(hosting: Hosting, endpoint: str, features: NDArray[np.float32], run_ts: str) -> NDArray[np.float64]:
    rows = [[None if np.isnan(value) else float(value) for value in row] for row in features]
    body = hosting.invoke(endpoint, json.dumps({"features": rows}).encode(), JSON)
    try:
        answers: list[dict[str, Any]] = json.loads(body)["predictions"]
        others = {str(answer["model_run_ts"]) for answer in answers} - {run_ts}
        values = np.array([float(answer["probability"]) for answer in answers]).reshape(-1, 1)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise EndpointFailed(f"{endpoint} answers {body[:200]!r}, which are no predictions.") from error
    if others:
        raise EndpointFailed(f"{endpoint} answers for {', '.join(sorted(others))}, not for {run_ts}.")
    return values
