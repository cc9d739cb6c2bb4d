"""Confirm training: the state `Confirm training` of release.asl.yaml. A job's end becomes a bundle or a named error."""

import tempfile
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.catalog import load
from ratchet.training import confirm

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, ports: Any = wiring) -> dict[str, Any]:
    """Event and result: docs/contracts.md."""
    logger.append_keys(pipeline=event["pipeline"], run_ts=event["run_ts"])
    pipeline, name, error = load(event["pipeline"]), event["job_name"], event["error"]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        confirmed = confirm(ports.store(), ports.training_jobs(), pipeline, event["run_ts"], name, error, work)
    logger.info("Training confirmed", status=confirmed["status"], job_name=name, bundle_uri=confirmed["bundle_uri"])
    return confirmed
