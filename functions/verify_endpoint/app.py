"""Verify the endpoint: it answers the bundle's reference rows as the framework did, and names its model."""

import tempfile
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.catalog import load
from ratchet.endpoint.verify import verify

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, ports: Any = wiring) -> dict[str, Any]:
    """Event and result: docs/contracts.md."""
    logger.append_keys(pipeline=event["pipeline"], run_ts=event["run_ts"], endpoint=event["endpoint"])
    given = (ports.store(), ports.hosting(), load(event["pipeline"]), event["run_ts"], event["endpoint"])
    with tempfile.TemporaryDirectory() as folder:
        rows = verify(*given, Path(folder))
    logger.info("Verified", rows=rows)
    return {"rows": rows}
