"""Write the features: a landed part's records go into the feature group, as far as this invocation's time reaches."""

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.catalog import load
from ratchet.extraction.progress import stop_before
from ratchet.instants import Clock, utc_now
from ratchet.tabular.feature_group import write

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: Any, ports: Any = wiring, clock: Clock = utc_now) -> dict[str, Any]:
    """Event and result: docs/contracts.md."""
    logger.append_keys(pipeline=event["pipeline"], part=event["part"])
    out_of_time = stop_before(lambda: context.get_remaining_time_in_millis() / 1000)
    given = (ports.store(), ports.feature_group(), load(event["pipeline"]), event["part"], clock)
    written = asdict(write(*given, writer=event["execution"], out_of_time=out_of_time))
    logger.info("Features written", **written)
    return written
