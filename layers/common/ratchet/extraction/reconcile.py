"""Reconciliation: counts per UTC day against the source; a day that differs is read whole, its deletions included.

It finds what an overlap cannot: rows that arrived very late or were deleted, landing objects that were damaged, and
rows set aside that were mended within a month, which no count shows; `sinceTs` has older ones read again.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from ratchet.extraction.buffer import Buffer
from ratchet.extraction.landing import Batch
from ratchet.extraction.progress import Progress
from ratchet.extraction.source import MICROSECOND, pages
from ratchet.extraction.watermark import Day
from ratchet.instants import iso, parse_instant

WINDOW = timedelta(days=31)
DAY = timedelta(days=1)


def reconcile(progress: Progress) -> bool:
    """Compares a table with its source where that is due; false when the time ended first.

    Raises Unavailable when the source shows no rows any more: a row policy that went missing erases nothing.
    """
    if not _due(progress):
        return True
    first, last = _span(progress)
    for start, end in _windows(progress, first, last):
        for day in _differing(progress, start, end):
            progress.land({day: _whole_day(progress, day)}, reconciling=(day + DAY).isoformat())
            if progress.work.out_of_time():
                return False
        if progress.work.out_of_time() and end <= last:
            progress.move(reconciling=end.date().isoformat())
            return False
    progress.move(reconciling=None, reconciled_at=iso(progress.work.clock()))
    return True


def _due(progress: Progress) -> bool:
    mark = progress.mark
    if mark.instant is None:
        return False
    if mark.reconciled_at is None or mark.reconciling is not None:
        return True
    hours = timedelta(hours=progress.work.declared.reconcile_hours)
    return progress.work.clock() - parse_instant(mark.reconciled_at) >= hours


def _span(progress: Progress) -> tuple[datetime, datetime]:
    """From the earliest row of either side, or where an earlier invocation stopped, to the watermark."""
    mark = progress.mark
    last = mark.instant or progress.work.clock()
    if mark.reconciling:
        return _midnight(date.fromisoformat(mark.reconciling)), last
    earliest = next(pages(progress.work.source, mark.table, progress.table, after=None, limit=1))
    days = [date.fromisoformat(day) for day in mark.days]
    if earliest.cursor is not None:
        days.append(parse_instant(earliest.cursor).date())
    return _midnight(min(days)), last


def _windows(progress: Progress, first: datetime, last: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Of the future, which rows dated wrongly may stretch by decades, the windows alone in which rows have landed."""
    landed = [_midnight(date.fromisoformat(day)) for day in progress.mark.days]
    while first <= last:
        end = first + WINDOW
        if first <= progress.work.clock() or any(first <= day < end for day in landed):
            yield first, end
        first = end


def _differing(progress: Progress, start: datetime, end: datetime) -> list[date]:
    """The days of a window on which the source and the landing area do not agree, or may not."""
    mark = progress.mark
    end = min(end, (mark.instant or end) + MICROSECOND)
    counts = progress.work.source.counts(mark.table, progress.table, start=start, end=end)
    landed = {day: progress.mark.days.get(day.isoformat()) for day in _days(start, end)}
    return [
        day
        for day, state in landed.items()
        if (state.rows + state.rejected if state else 0) != counts.get(day, 0)
        or (state and (_damaged(progress, day) or _mended(progress, day, state)))
    ]


def _damaged(progress: Progress, day: date) -> bool:
    """Whether the landing object is not the one that the watermark names."""
    key = progress.area.keys.landing(progress.mark.table, day)
    return progress.area.tags.get(key) != progress.mark.days[day.isoformat()].etag


def _mended(progress: Progress, day: date, state: Day) -> bool:
    """Whether rows of the day were set aside that may have been mended since."""
    return state.rejected > 0 and _midnight(day) > progress.work.clock() - WINDOW


def _whole_day(progress: Progress, day: date) -> Batch:
    start = _midnight(day)
    work, buffer = progress.work, Buffer(progress.table)
    for page in pages(
        work.source,
        progress.mark.table,
        progress.table,
        after=iso(start - MICROSECOND),
        before=iso(start + DAY),
        limit=work.declared.page_rows,
        filled=True,
    ):
        buffer.add(page)
        progress.rows_read += page.read
    return buffer.whole(day)


def _days(start: datetime, end: datetime) -> Iterator[date]:
    day = start.date()
    while _midnight(day) < end:
        yield day
        day += DAY


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
