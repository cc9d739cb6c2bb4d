"""Extract: new rows of every source table into the landing area, as far as this invocation's time reaches."""

from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.catalog import load
from ratchet.disk import named_when_full
from ratchet.extraction.extract import extract
from ratchet.extraction.progress import Work, stop_before
from ratchet.instants import Clock, parse_instant, utc_now

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: Any, ports: Any = wiring, clock: Clock = utc_now) -> dict[str, Any]:
    """Event and result: docs/contracts.md."""
    logger.append_keys(pipeline=event["pipeline"], run_ts=event["run_ts"])
    since = parse_instant(event["since_ts"]) if event.get("since_ts") else None
    out_of_time = stop_before(lambda: context.get_remaining_time_in_millis() / 1000)
    run = {name: event[name] for name in ("run_ts", "execution", "token")}
    work = Work(ports.store(), ports.source(), load(event["pipeline"]), clock, out_of_time=out_of_time, **run)
    with named_when_full("ExtractFunction"):
        result = extract(work, since)
    facts: dict[str, Any] = {"done": result.done, "rows_read": result.rows_read, "rows_changed": result.rows_changed}
    tables = {name: mark.summary() for name, mark in result.tables.items()}
    logger.info("Rows extracted", tables=tables, **facts)
    return {**facts, "tables": tables}
