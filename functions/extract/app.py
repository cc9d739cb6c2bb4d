"""Extract: what is new at the source into the landing area, as far as this invocation's time reaches."""

from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.catalog import load
from ratchet.disk import named_when_full
from ratchet.extraction.step import Step
from ratchet.instants import Clock, utc_now

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: Any, ports: Any = wiring, clock: Clock = utc_now) -> dict[str, Any]:
    """Event and result: docs/contracts.md."""
    logger.append_keys(pipeline=event["pipeline"], run_ts=event.get("run_ts"), part=event.get("part"))
    step = Step(load(event["pipeline"]), event, lambda: context.get_remaining_time_in_millis() / 1000, clock)
    with named_when_full("ExtractFunction"):
        result = step.run(ports)
    logger.info("Extracted", **result)
    return result
