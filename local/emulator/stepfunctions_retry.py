"""Retry and Catch, the same for Task, Parallel and Map: MaxDelaySeconds, JitterStrategy and the choice of a catcher."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from ministack.services import stepfunctions as sfn

from local.emulator import stepfunctions_scope as scopes

# Nobody wants to sit through AWS's longest waits on a laptop.
LONGEST_WAIT_SECONDS = 60.0

Step = tuple[Any, str | None]


def delay(retrier: dict[str, Any], retries: int, draw: Callable[[], float] = random.random) -> float:
    """Seconds before retry number `retries` + 1; `draw` gives the jitter in [0, 1)."""
    seconds = float(retrier.get("IntervalSeconds", 1)) * float(retrier.get("BackoffRate", 2.0)) ** retries
    seconds = min(seconds, float(retrier.get("MaxDelaySeconds", seconds)), LONGEST_WAIT_SECONDS)
    return seconds * draw() if retrier.get("JitterStrategy") == "FULL" else seconds


def with_retry_and_catch(
    state: dict[str, Any], data: Any, ctx: dict[str, Any], attempt: Callable[[], Step], failed: Callable[[Any], None]
) -> Step:
    """The outcome of `attempt` under the state's Retry and Catch; `failed` is told each error."""
    counts: dict[int, int] = {}
    entered = ctx["State"]
    while True:
        ctx["State"] = {**entered, "RetryCount": sum(counts.values())}
        try:
            return attempt()
        except sfn._ExecutionError as error:
            failed(error)
            retrier, index = sfn._find_matching_retrier(state.get("Retry", []), error.error, counts)
            if retrier is None:
                return _caught(state, data, ctx, error)
            scopes.current().sleep(scopes.scaled(delay(retrier, counts.get(index, 0))))
            counts[index] = counts.get(index, 0) + 1


def _caught(state: dict[str, Any], data: Any, ctx: dict[str, Any], error: Any) -> Step:
    catcher = sfn._find_matching_catcher(state.get("Catch", []), error.error)
    if catcher is None:
        raise error
    output = {"Error": error.error, "Cause": error.cause}
    language = sfn._state_query_language(state, ctx)
    return sfn._apply_catcher(catcher, data, ctx, language, output), catcher["Next"]
