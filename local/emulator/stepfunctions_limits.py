"""The size limit of Step Functions: no input, output, result or set of variables above 262,144 bytes of JSON."""

from __future__ import annotations

import json
from typing import Any

from ministack.services import stepfunctions as sfn

from local.emulator.stepfunctions_rules import LIMIT_BYTES

# Neither is retried or caught, not even by States.ALL: the execution fails.
TERMINAL_ERRORS = frozenset({"States.DataLimitExceeded", "States.Runtime"})


def checked(value: Any, what: str) -> Any:
    """`value` itself, or `States.DataLimitExceeded` naming `what` when its JSON is larger than the limit."""
    size = len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
    if size > LIMIT_BYTES:
        raise sfn._ExecutionError(
            "States.DataLimitExceeded",
            f"The {what} has {size} bytes, more than the maximum of {LIMIT_BYTES}: pass a URI, not the data.",
        )
    return value


def install() -> None:
    """Keep Retry and Catch away from the terminal errors."""
    stock = sfn._error_matches

    def matches(error_equals: list[str], error: str) -> bool:
        return error not in TERMINAL_ERRORS and bool(stock(error_equals, error))

    sfn._error_matches = matches
