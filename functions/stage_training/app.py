"""Stage training: the state `Stage training` of release.asl.yaml. Start a job, wait for one, or nothing to do."""

import tempfile
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.catalog import load
from ratchet.settings import settings
from ratchet.source_archive import Archive, installed
from ratchet.training import stage
from ratchet.training_request import Run

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, ports: Any = wiring) -> dict[str, Any]:
    """Event and result: docs/contracts.md."""
    logger.append_keys(pipeline=event["pipeline"], run_ts=event["run_ts"])
    run = Run(event["run_ts"], event["train_uri"], event["attempt"])
    pipeline, code = load(event["pipeline"]), Archive(installed())
    with tempfile.TemporaryDirectory() as folder:
        staged = stage(ports.store(), ports.training_jobs(), pipeline, settings(), run, code, Path(folder))
    logger.info("Training staged", status=staged["status"], job_name=staged["job_name"], code=code.digest)
    return staged
