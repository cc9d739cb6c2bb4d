"""Retry and Catch, the same for Task, Parallel and Map: MaxDelaySeconds, JitterStrategy and the choice of a catcher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ministack.services import stepfunctions as sfn

from local.emulator import stepfunctions_scope as scopes
from local.emulator.stepfunctions_rules import delay

Step = tuple[Any, str | None]


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
