"""Prepare: the state `Prepare` of pipeline.asl.yaml. Landed rows become a run's training and holdout data."""

import tempfile
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.catalog import load
from ratchet.instants import Clock, utc_now
from ratchet.tables.material import Order
from ratchet.tables.prepare import prepare

logger = Logger()
ORDER = ("run_ts", "execution", "token", "limit", "skip_data_prep", "month", "sample")


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, ports: Any = wiring, clock: Clock = utc_now) -> dict[str, Any]:
    """Event and result: docs/contracts.md."""
    logger.append_keys(pipeline=event["pipeline"], run_ts=event["run_ts"])
    order = Order(**{name: event[name] for name in ORDER})
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(ports.store(), load(event["pipeline"]), order, clock, Path(folder))
    logger.info("Data prepared", status=prepared["status"], reason=prepared["reason"], rows=prepared["row_count"])
    return prepared
