"""Objects into a bucket, several at a time, and the marker that says what they are. Knows the store's port alone."""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from ratchet.store import ObjectStore, encode

from local.seeding.destinations import Marker

Progress = Callable[[str], None]
Clear = Callable[[], None]
"""Deletes what was there before. A seed calls it once, when nothing but the store can fail any more."""
AT_ONCE = 8
EVERY = 50
"""Objects from one line of progress to the next."""


def upload(store: ObjectStore, objects: Iterable[tuple[str, bytes]], progress: Progress) -> int:
    """Writes objects (key, body) as they are made, a few of them in memory; returns how many.

    Whatever ends it, Ctrl-C included, leaves no thread behind. Raises Unavailable.
    """
    pool = ThreadPoolExecutor(AT_ONCE)
    waiting: deque[Future[str]] = deque()
    written = 0
    try:
        for key, body in objects:
            waiting.append(pool.submit(store.put, key, body))
            if len(waiting) > 2 * AT_ONCE:
                waiting.popleft().result()
            written += 1
            if written % EVERY == 0:
                progress(f"{written} files written")
        for each in waiting:
            each.result()
    finally:
        pool.shutdown(cancel_futures=True)
    return written


def marker_key(prefix: str) -> str:
    """Where the marker lies that speaks for everything below a source's prefix."""
    return f"{prefix}ratchet_seed.json"


def mark(store: ObjectStore, prefix: str, marker: Marker) -> None:
    """Says what lies below the prefix."""
    store.put(marker_key(prefix), encode({"synthetic": marker.synthetic, "source": marker.source}))
