"""Plan the batch: the byte ranges of a file, each an event for scoring."""

from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.catalog import load
from ratchet.serving.ranges import plan
from ratchet.serving.request import parse_file

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, ports: Any = wiring) -> dict[str, Any]:
    """Event and result: docs/contracts.md."""
    request = parse_file(event)
    logger.append_keys(pipeline=request.pipeline)
    ranges = plan(load(request.pipeline), ports.store(), request.input_uri, request.output_uri)
    logger.info("Batch planned", input_uri=request.input_uri, ranges=len(ranges))
    return {"ranges": ranges}
