"""Stage: the state `Stage` of endpoint.asl.yaml. Model and configuration, if the run's very package is approved."""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.catalog import load
from ratchet.endpoint.stage import stage
from ratchet.settings import settings

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, ports: Any = wiring) -> dict[str, Any]:
    """Event and result: docs/contracts.md."""
    logger.append_keys(pipeline=event["pipeline"], run_ts=event["run_ts"])
    given = (ports.store(), ports.registry(), ports.hosting(), load(event["pipeline"]), event)
    with tempfile.TemporaryDirectory() as folder:
        staged = asdict(stage(*given, stack=settings().stack, folder=Path(folder)))
    logger.info("Staged", **staged)
    return staged
