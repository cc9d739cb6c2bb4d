"""Landed rows for tests: an embedding pair every 10 minutes, targets with a signal, as day files in a store."""

from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ratchet.catalog import Pipeline, load
from ratchet.extraction.watermark import Day, Watermark
from ratchet.instants import iso
from ratchet.store import encode
from ratchet.tables import landing_file

from tests.fakes import MemoryStore

START = datetime(2026, 1, 1, tzinfo=UTC)
STEP = np.timedelta64(10, "m")
EXECUTION = "arn:aws:states:eu-central-1:123456789012:execution:pipeline:one"
Columns = dict[str, Any]


def returns(**data: Any) -> Pipeline:
    """The pipeline `returns` with other values in its section `data`."""
    pipeline = load("returns")
    return replace(pipeline, data=replace(pipeline.data, **data))


def rows(count: int, seed: int = 7) -> tuple[Columns, Columns]:
    """`ai_outputs` and `simulations_10m` of that many consecutive slots: normed embeddings, percent returns."""
    generator = np.random.default_rng(seed)
    instants = np.datetime64(START.replace(tzinfo=None), "us") + np.arange(count) * STEP
    vectors = generator.normal(size=(2, count, 256)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    signal = vectors[0, :, 0] * 8
    targets: Columns = {
        "trend_return_pct": np.zeros(count),
        "mean_revert_return_pct": signal + generator.normal(size=count) * 0.1,
        "breakout_return_pct": generator.normal(size=count),
        "scalper_return_pct": generator.normal(size=count),
        "long_hold_return_pct": generator.normal(size=count),
    }
    targets["short_hold_return_pct"] = -targets["long_hold_return_pct"]
    embeddings = {"base_ts": instants, "embedding_a": vectors[0], "embedding_b": vectors[1]}
    return embeddings, {"ts": instants + STEP, **targets}


def land(store: MemoryStore, table: str, columns: Columns, synthetic: bool | None = True, changes: int = 1) -> None:
    """Writes the day files of a table and its watermark, as extraction does."""
    pipeline = load("returns")
    declared = pipeline.source.tables[table]
    days: NDArray[Any] = columns[declared.key].astype("datetime64[D]")
    landed: dict[str, Day] = {}
    for day in np.unique(days):
        chosen = {name: values[days == day] for name, values in columns.items()}
        body, key = landing_file.write(declared, chosen), pipeline.keys.landing(table, date.fromisoformat(str(day)))
        landed[str(day)] = Day(int((days == day).sum()), 0, store.put(key, body))
    facts = {"changes": changes, "rows": len(days), "synthetic": synthetic, "source": "simulated"}
    mark = Watermark(table, days=landed, **facts)
    store.put(pipeline.keys.watermark(table), encode(asdict(mark)))


def hold_lease(store: MemoryStore, token: int = 3) -> None:
    """Lets EXECUTION hold the lease with that token."""
    lease = {"state": "held", "execution": EXECUTION, "run_ts": "2026-02-01T00-00-00Z", "token": token}
    expires = {"taken_at": iso(START), "expires_at": iso(START + timedelta(days=365))}
    store.put(load("returns").keys.lease(), encode({**lease, **expires}))
