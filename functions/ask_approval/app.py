"""Ask for approval: from now on somebody waits, by a task's token; people are told how to decide."""

from typing import Any

from aws_lambda_powertools import Logger
from ratchet import wiring
from ratchet.catalog import load
from ratchet.instants import Clock, utc_now
from ratchet.registry.asking import Question, ask_people

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object, ports: Any = wiring, clock: Clock = utc_now) -> dict[str, Any]:
    """Event and result: docs/contracts.md; the task ends when its token comes back."""
    logger.append_keys(pipeline=event["pipeline"], run_ts=event["run_ts"])
    asked = {name: event[name] for name in ("run_ts", "package_arn", "token", "seconds")}
    answer = ask_people(ports, load(event["pipeline"]), clock, Question(**asked))
    logger.info("Asked for approval", answer=answer, package_arn=event["package_arn"])
    return {"status": answer}
