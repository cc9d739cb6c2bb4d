"""The watermark of a table: where extraction stands and what has landed. Moved last, by compare-and-swap."""

from dataclasses import dataclass, field
from datetime import date, datetime

from ratchet.errors import ForeignDocument, Unavailable
from ratchet.instants import parse_instant
from ratchet.keys import Keys
from ratchet.records import record
from ratchet.store import Document, ObjectStore, create, decode, encode, replace


@dataclass(frozen=True)
class Day:
    """What has landed of a UTC day: rows, rows set aside, and the landing object's tag."""

    rows: int
    rejected: int
    etag: str


@dataclass(frozen=True)
class Reading:
    """How far a run has read: the next invocation of the same run goes on after `cursor`."""

    run_ts: str
    cursor: str | None
    ended: bool


@dataclass(frozen=True)
class Watermark:
    """`landing/<table>/watermark.json`; `changes` grows whenever landed rows change, `reconciling` is the next day."""

    table: str
    watermark: str | None = None
    changes: int = 0
    rows: int = 0
    days: dict[str, Day] = field(default_factory=dict)
    reconciled_at: str | None = None
    reconciling: str | None = None
    synthetic: bool | None = None
    source: str | None = None
    updated_at: str | None = None
    token: int = 0
    reading: Reading | None = None

    @property
    def instant(self) -> datetime | None:
        """The greatest key that has landed."""
        return parse_instant(self.watermark) if self.watermark else None

    @property
    def rejected(self) -> int:
        """Rows set aside on all days."""
        return sum(day.rejected for day in self.days.values())

    def summary(self) -> Document:
        """What a step says about the table."""
        return {"rows": self.rows, "rejected": self.rejected, "watermark": self.watermark}


def read(store: ObjectStore, keys: Keys, table: str) -> tuple[Watermark, str | None]:
    """The watermark of a table and its tag; a blank one without a tag before the first run. Raises ForeignDocument."""
    key = keys.watermark(table)
    stored = store.get(key)
    if stored is None:
        return Watermark(table), None
    return _parse(decode(stored, key), key), stored.etag


def move(store: ObjectStore, keys: Keys, watermark: Watermark, etag: str | None) -> str:
    """Replaces the version `etag` (None: creates it), returns the new tag. Raises Unavailable when another moved it."""
    key, body = keys.watermark(watermark.table), encode(_document(watermark))
    written = create(store, key, body) if etag is None else replace(store, key, body, etag)
    if written is None:
        raise Unavailable(f"Another process moved {key} meanwhile; the table is read anew from there.")
    return written


def _document(watermark: Watermark) -> Document:
    """As `asdict` has it, which copies every day: a tenth of a long extraction's time."""
    reading = watermark.reading
    days = {name: vars(day) for name, day in watermark.days.items()}
    return {**vars(watermark), "days": days, "reading": vars(reading) if reading else None}


def _parse(document: Document, key: str) -> Watermark:
    try:
        days = {date.fromisoformat(day): landed for day, landed in document["days"].items()}
        reconciling = document["reconciling"] and date.fromisoformat(document["reconciling"])
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ForeignDocument(
            f"{key} is no watermark of Ratchet's; move it away, the table will be read anew."
        ) from error
    nested = {
        "days": {day.isoformat(): record(Day, landed, key) for day, landed in days.items()},
        "reading": record(Reading, document["reading"], key) if document.get("reading") else None,
        "reconciling": reconciling.isoformat() if reconciling else None,
    }
    return record(Watermark, {**document, **nested}, key, instants=("watermark", "reconciled_at"))
