"""Callers of the deployed scoring function: what they send, what came of each call, what its processes hold."""

import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from botocore.config import Config
from ratchet.instants import iso, utc_now

from tests.laptop_target import LaptopTarget

SCORERS, MOST_ROWS, SLOT_SHARE = 8, 16, 0.05
FEATURES = np.random.default_rng(1).choice([-0.0625, 0.0625], (60, 512)).astype(np.float32)
"""Source rows: pairs of unit vectors whose numbers are short as text."""


@dataclass(frozen=True)
class Call:
    """A call and what came of it; `rows` are the numbers of the rows it sent, None where it asked for slots."""

    began: float
    ended: float
    rows: list[int] | None
    answer: Any
    error: str | None

    @property
    def runs(self) -> set[str]:
        """The runs that its answer names."""
        return {each["model_run_ts"] for each in ([self.answer] if self.rows is None else self.answer)}


class Scoring:
    """The deployed function, and the table that its slots come from."""

    def __init__(self, laptop: LaptopTarget) -> None:
        target = laptop.target
        # A repeated request would hide an error.
        config = Config(retries={"total_max_attempts": 1}, max_pool_connections=2 * SCORERS, read_timeout=300)
        self.client = target.session.client("lambda", endpoint_url=target.endpoint_url, config=config)
        self.laptop, self.function = laptop, target.output("ScoreFunction")
        self.calls: list[Call] = []
        self.fed: dict[str, int] = {}

    def call(self, rows: list[int] | None) -> Call:
        """Has rows scored, or the slots that are new."""
        event = {"pipeline": "returns"} | ({} if rows is None else {"rows": [sent(row) for row in rows]})
        payload, began = json.dumps(event), time.monotonic()
        reply = self.client.invoke(FunctionName=self.function, Payload=payload)
        answer, ended = json.loads(reply["Payload"].read()), time.monotonic()
        return Call(began, ended, rows, answer, answer["errorType"] if "FunctionError" in reply else None)

    def call_until(self, over: Event, seed: int) -> None:
        """Calls, one after the other, until it is over."""
        rng = random.Random(seed)
        while not over.is_set():
            rows = rng.sample(range(len(FEATURES)), rng.randint(1, MOST_ROWS))
            self.calls.append(self.call(None if rng.random() < SLOT_SHARE else rows))

    def call_at_once(self) -> list[Call]:
        """As many calls as there are scorers at the same time, the first of them for slots."""
        with ThreadPoolExecutor(SCORERS) as pool:
            return list(pool.map(self.call, [None, *([row] for row in range(1, SCORERS))]))

    def feed(self) -> None:
        """A new row in the source's table; at most one a second."""
        base_ts, row = iso(utc_now().replace(microsecond=0)), len(self.fed) % len(FEATURES)
        if base_ts in self.fed:
            return
        values = ", ".join(f"'{{{','.join(map(str, half))}}}'" for half in np.split(FEATURES[row], 2))
        self.laptop.sql(f"insert into ai_outputs (base_ts, embedding_a, embedding_b) values ('{base_ts}', {values})")
        self.fed[base_ts] = row


def sent(row: int) -> dict[str, Any]:
    """A row as a client sends it; its instant tells which it is."""
    numbers = FEATURES[row].tolist()
    return {"base_ts": f"2026-01-01T00:{row:02d}:00Z", "embedding_a": numbers[:256], "embedding_b": numbers[256:]}


def predictions(rows: list[int], scale: int) -> list[list[float]]:
    """What the model that multiplies by `scale` says of rows, to the last bit."""
    told: list[list[float]] = (FEATURES[rows, :6] * np.float32(scale)).tolist()
    return told


@dataclass(frozen=True)
class Held:
    """What a process of the function held at one moment: memory, open files, what lay in its temporary folder."""

    mib: float
    files: int
    scratch: list[str]

    @classmethod
    def by(cls, process: Path) -> "Held":
        """Raises OSError when the process is gone."""
        memory = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        variables = dict(entry.split("=", 1) for entry in (process / "environ").read_text().split("\0") if entry)
        scratch = [entry.name for entry in Path(variables["TMPDIR"]).iterdir() if entry.name != "output.log"]
        return cls(int(memory["VmRSS"].split()[0]) / 1024, len(list((process / "fd").iterdir())), scratch)
