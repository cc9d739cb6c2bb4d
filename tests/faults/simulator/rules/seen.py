"""What has been seen of a world, how a rule is broken, and how one looks at the bucket without taking part."""

import hashlib
import json
from datetime import datetime
from functools import lru_cache
from typing import Any

from ratchet.extraction import watermark
from ratchet.extraction.source import instant_of
from ratchet.extraction.watermark import Watermark
from ratchet.instants import parse_instant
from ratchet.store import Stored

from tests.faults.simulator import stand_ins
from tests.faults.simulator.functions import PIPELINE

KEYS = PIPELINE.keys
instant_at = lru_cache(4096)(parse_instant)


class Violation(AssertionError):
    """A rule was broken."""

    def __init__(self, rule: str, detail: str = "") -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule, self.detail = rule, detail


def require(held: bool, rule: str, detail: object = "") -> None:
    """Raises Violation."""
    if not held:
        raise Violation(rule, str(detail))


# The same few documents and files are looked at again and again; what these return is shared, to be read only.


@lru_cache(4096)
def parsed(body: bytes) -> Any:
    """A document."""
    return json.loads(body)


@lru_cache(4096)
def marked(body: bytes) -> Watermark:
    """A watermark."""
    return watermark._parse(parsed(body), "the watermark")


@lru_cache(4096)
def rows_of(name: str, body: bytes | None) -> dict[datetime, float]:
    """A landing file as instants and versions."""
    if body is None:
        return {}
    table = PIPELINE.source.tables[name]
    columns = stand_ins.read_rows(table, body, "")
    instants = [instant_of(value) for value in columns[table.key]]
    require(instants == sorted(set(instants)), "landed rows are in order and unique", name)
    (values,) = (column for key, column in columns.items() if key != table.key)
    return dict(zip(instants, values.reshape(len(instants), -1)[:, 0].tolist(), strict=True)) if instants else {}


@lru_cache(4096)
def sha256(body: bytes) -> str:
    """The digest of an object."""
    return hashlib.sha256(body).hexdigest()


class Look:
    """The bucket for whoever only looks: no turns, no faults."""

    def __init__(self, world: Any) -> None:
        self._world = world

    def get(self, key: str) -> Stored | None:
        found: Stored | None = self._world.bucket.objects.get(key)
        return found

    def uri(self, key: str) -> str:
        return f"s3://{self._world.bucket.name}/{key}"

    def key_of(self, uri: str) -> str:
        return uri.removeprefix(f"s3://{self._world.bucket.name}/")

    def json(self, key: str) -> Any:
        found = self.get(key)
        return parsed(found.body) if found else None

    def mark(self, table: str) -> Watermark:
        """The watermark of a table."""
        found = self.get(KEYS.watermark(table))
        return marked(found.body) if found else Watermark(table)


class Seen:
    """Remembers what has been seen of a world."""

    def __init__(self, world: Any) -> None:
        self.world, self.store = world, Look(world)
        self.chain: list[int] = []
        self.service: list[str] = []
        self.scales: dict[str, float] = {}
        self.landed: dict[str, dict[datetime, float]] = {name: {} for name in PIPELINE.source.tables}
        self.rejected: dict[str, set[datetime]] = {name: set() for name in PIPELINE.source.tables}
        self.first_seen: dict[tuple[str, str], tuple[dict[datetime, float | None], datetime | None]] = {}
        self.bad_bundles: set[str] = set()
        self.kept: set[str] = set()
        self.failed_runs: dict[str, None] = {}
        self.movers: dict[str, str] = {}
        """Who last moved the pointer, and who the endpoint."""
        self.verified: set[str] = set()
        self.served_before: set[str] = set()
        """Configurations whose answers were right, and those that were in service."""
        self.data_moved = False
        """Whether rows changed at the source, or anything in the landing area."""

    def copy_to(self, other: "Seen") -> None:
        """Hands over what has been seen so far."""
        other.chain, other.service, other.scales = list(self.chain), list(self.service), dict(self.scales)
        other.kept, other.served_before = set(self.kept), set(self.served_before)
        other.landed = {name: dict(rows) for name, rows in self.landed.items()}
        other.rejected = {name: set(rows) for name, rows in self.rejected.items()}
