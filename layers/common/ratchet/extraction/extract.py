"""Extraction: every table from its watermark on, an overlap re-read, in pages, to the confirmed end or out of time.

Rows land per UTC day before the watermark moves, so a killed invocation repeats at most what it had not recorded.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from ratchet.extraction import watermark
from ratchet.extraction.buffer import Buffer
from ratchet.extraction.progress import Progress, Work, begin
from ratchet.extraction.reconcile import reconcile
from ratchet.extraction.source import MICROSECOND, pages
from ratchet.extraction.unreadable import hidden, hidden_after
from ratchet.extraction.watermark import Reading, Watermark
from ratchet.instants import iso

HELD_PAGES = 8
"""Pages that are held before they are landed and the watermark moves: the most that a killed invocation repeats."""


@dataclass(frozen=True)
class Extraction:
    """What an invocation did; not `done` means that it ran out of time and wants to be called again."""

    done: bool
    rows_read: int
    rows_changed: int
    tables: dict[str, Watermark]


def extract(work: Work, since: datetime | None) -> Extraction:
    """Reads what is new in every table; from `since` on where that is earlier than what would be read anyway.

    Raises SourceUnreadable when a table is empty though it cannot be, LeaseLost, and what the ports raise.
    """
    filled = check_tables(work)
    marker = work.source.marker()
    begun: list[Progress] = []
    done = True
    for name in work.declared.tables:
        begun.append(begin(work, name, marker))
        done = _read_new(begun[-1], since, filled=name in filled) and reconcile(begun[-1])
        if not done:
            break
    return Extraction(
        done,
        sum(progress.rows_read for progress in begun),
        sum(progress.rows_changed for progress in begun),
        {progress.mark.table: progress.mark for progress in begun},
    )


def check_tables(work: Work) -> list[str]:
    """The tables that have rows. Checks that every table can be read, and tells an empty one from one that hides them.

    An empty table is believed only where nothing of it ever landed and no row policy applies to the reader, an empty
    canary only where all tables are empty; otherwise SourceUnreadable.
    """
    declared = work.declared
    empty = [name for name, table in declared.tables.items() if not work.source.has_rows(name, table)]
    filled = [name for name in declared.tables if name not in empty]
    for name in empty:
        mark = watermark.read(work.store, work.pipeline.keys, name)[0]
        if mark.rows or mark.rejected:
            raise hidden_after(mark)
        if name == declared.canary and filled:
            raise hidden(name, f"although {', '.join(filled)} has rows")
        if work.source.filtered(name):
            raise hidden(name, "to this key")
    return filled


def _read_new(progress: Progress, since: datetime | None, *, filled: bool) -> bool:
    """Reads the table to its end; false when the time ended first."""
    work, buffer = progress.work, Buffer(progress.table)
    reading = progress.mark.reading
    resumed = reading if reading and reading.run_ts == work.run_ts else None
    if resumed and resumed.ended:
        return True
    start = cursor = resumed.cursor if resumed else _start(progress, since)
    limit = work.declared.page_rows
    for page in pages(work.source, progress.mark.table, progress.table, after=start, limit=limit, filled=filled):
        progress.rows_read += page.read
        keyless = buffer.add(page)
        if keyless:
            progress.land_keyless(keyless)
        if page.cursor is None:
            break
        cursor = page.cursor
        if work.out_of_time():
            progress.land(buffer.drain(), reading=Reading(work.run_ts, cursor, False))
            return False
        _land_held(progress, buffer, cursor)
    # A table just read from its first row to its last needs no comparison.
    compared = {"reconciled_at": iso(work.clock())} if start is None else {}
    progress.land(buffer.drain(), reading=Reading(work.run_ts, cursor, True), **compared)
    return True


def _land_held(progress: Progress, buffer: Buffer, cursor: str) -> None:
    """Once enough is held, lands the days that no later page can touch; of a day larger than that, what there is."""
    work, open_day = progress.work, buffer.last_day
    if open_day is None or buffer.rows < HELD_PAGES * work.declared.page_rows:
        return
    closed = buffer.drain(before=open_day)
    if closed:
        cursor = iso(datetime.combine(open_day, time(), UTC) - MICROSECOND)
    progress.land(closed or buffer.drain(), reading=Reading(work.run_ts, cursor, False))


def _start(progress: Progress, since: datetime | None) -> str | None:
    """The key after which a new run reads: the watermark less the overlap, or `since` where that is earlier.

    A watermark ahead of the clock comes of a row dated into the future and must not hide those of the present.
    """
    if progress.mark.instant is None:
        return iso(since - MICROSECOND) if since else None
    overlap = timedelta(minutes=progress.work.declared.overlap_minutes)
    start = min(progress.mark.instant, progress.work.clock()) - overlap
    return iso(min(start, since) - MICROSECOND if since else start)
