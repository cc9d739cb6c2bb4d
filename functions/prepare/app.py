"""Prepare: the state `Prepare` of pipeline.asl.yaml. Landed rows become a run's training and holdout data."""

import tempfile
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.catalog import load
from ratchet.instants import utc_now
from ratchet.store import ObjectStore
from ratchet.tables.prepare import Order, prepare

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, store: ObjectStore | None = None) -> dict[str, Any]:
    """One call to `prepare` in a folder that is empty before and gone after."""
    logger.append_keys(pipeline=event["pipeline"], run_ts=event["run_ts"])
    wanted = {name: event[name] for name in ("run_ts", "execution", "token", "limit", "skip_data_prep")}
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(store or wiring.store(), load(event["pipeline"]), Order(**wanted), utc_now, Path(folder))
    logger.info("Data prepared", extra={"status": prepared["status"], "rows": prepared["row_count"]})
    return prepared
