"""Rules of Step Functions that are arithmetic alone: how long a retry waits, which items make a batch."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

LIMIT_BYTES = 262_144
# Nobody wants to sit through AWS's longest waits on a laptop.
LONGEST_WAIT_SECONDS = 60.0


def delay(retrier: dict[str, Any], retries: int, draw: Callable[[], float] = random.random) -> float:
    """Seconds before retry number `retries` + 1; `draw` gives the jitter in [0, 1)."""
    seconds = float(retrier.get("IntervalSeconds", 1)) * float(retrier.get("BackoffRate", 2.0)) ** retries
    seconds = min(seconds, float(retrier.get("MaxDelaySeconds", seconds)), LONGEST_WAIT_SECONDS)
    return seconds * draw() if retrier.get("JitterStrategy") == "FULL" else seconds


def batched(items: list[Any], batcher: dict[str, Any], fixed: Any) -> list[dict[str, Any]]:
    """Items packed as ItemBatcher says: by MaxItemsPerBatch and MaxInputBytesPerBatch, each with the BatchInput."""
    most = int(batcher.get("MaxItemsPerBatch", len(items) or 1))
    limit = int(batcher.get("MaxInputBytesPerBatch", LIMIT_BYTES))
    shared = {} if fixed is None else {"BatchInput": fixed}
    batches: list[dict[str, Any]] = []
    for item in items:
        last = batches[-1]["Items"] if batches else None
        if last is None or len(last) >= most or len(json.dumps({**shared, "Items": [*last, item]})) > limit:
            batches.append({**shared, "Items": []})
        batches[-1]["Items"].append(item)
    return batches
