"""Extraction of rows with 512 floats to Parquet: ours beside supabase-py `.execute()` and pandas `to_parquet`.

Both read the same pages from a server in another process. Ours does its whole step: canary, landing per day, watermarks
moved by compare-and-swap. CPU time and memory include the imports.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.measure import Measured, measure

ROWS = (20_000, 100_000)
ROUNDS = 3
"""Each way runs this often, in turns; its cheapest round counts, since other work on the machine only ever adds."""
TARGET_CPU, TARGET_GROWTH = 2.5, 1.2
RESULTS = Path(__file__).parent / "results" / "extraction.json"
KEY = "sb_secret_benchmark"


def ours(url: str, out: Path, rows: int) -> None:
    """The step Extract of `returns`, the table with the embeddings alone, into a folder."""
    from ratchet import catalog, lease
    from ratchet.adapters.supabase import SupabaseSource
    from ratchet.extraction.extract import extract
    from ratchet.extraction.progress import Work
    from ratchet.instants import utc_now

    returns = catalog.load("returns")
    tables = {"ai_outputs": returns.source.tables["ai_outputs"]}
    pipeline = replace(returns, source=replace(returns.source, tables=tables))
    store, run = _folder_store(out), {"run_ts": "bench", "execution": "bench"}
    token = lease.take(store, pipeline.keys, _Nobody(), utc_now, ttl=timedelta(hours=1), **run).lease.token
    work = Work(store, SupabaseSource(url, KEY), pipeline, utc_now, token=token, out_of_time=lambda: False, **run)
    result = extract(work, None)
    assert (result.done, result.tables["ai_outputs"].rows) == (True, rows), result


def plain(url: str, out: Path, rows: int) -> None:
    """What a script does: pages by `.execute()`, one data frame, one file."""
    import pandas as pd
    from supabase import create_client

    client, found, last = create_client(url, KEY), [], None
    while True:
        query = client.table("ai_outputs").select("base_ts,embedding_a,embedding_b").order("base_ts").limit(1000)
        page = (query.gt("base_ts", last) if last else query).execute().data
        if not page:
            break
        found += page
        last = page[-1]["base_ts"]
    frame = pd.DataFrame(found)
    frame["base_ts"] = pd.to_datetime(frame["base_ts"], utc=True)
    assert len(frame) == rows
    frame.to_parquet(out / "ai_outputs.parquet")


WAYS: dict[str, Callable[[str, Path, int], None]] = {"ours": ours, "supabase-py + pandas": plain}


class _Nobody:
    """No other execution runs."""

    def is_running(self, execution: str) -> bool:
        return False

    def stop_leftovers(self, execution: str) -> list[str]:
        return []


def _folder_store(root: Path):  # type: ignore[no-untyped-def]
    """The object store port over a folder; what lies there is not held in memory."""
    from ratchet.store import Listed, PreconditionFailed, Stored

    class FolderStore:
        def get(self, key: str) -> Stored | None:
            path = root / key
            return Stored(path.read_bytes(), self._tag(path)) if path.exists() else None

        def put(
            self, key: str, body: bytes, *, if_match: str | None = None, if_none_match: bool = False, **_: object
        ) -> str:
            path = root / key
            if (if_none_match and path.exists()) or (if_match and (not path.exists() or self._tag(path) != if_match)):
                raise PreconditionFailed(key)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
            return self._tag(path)

        def list(self, prefix: str) -> Iterator[Listed]:
            for path in sorted((root / prefix).rglob("*.parquet")):
                yield Listed(str(path.relative_to(root)), path.stat().st_size, self._tag(path))

        def _tag(self, path: Path) -> str:
            return f"{path.stat().st_mtime_ns}-{path.stat().st_size}"

    return FolderStore()


@contextmanager
def page_server(rows: int) -> Iterator[str]:
    """The server of pages in a process of its own; its URL."""
    command = [sys.executable, "-m", "bench.page_server", str(rows)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait(10)


def run() -> dict[str, object]:
    """Measures both ways at both sizes in fresh processes, prints the table and saves it."""
    measured: dict[str, dict[int, Measured]] = {way: {} for way in WAYS}
    for rows in ROWS:
        with page_server(rows) as url:
            rounds: dict[str, list[Measured]] = {way: [] for way in WAYS}
            for way in list(WAYS) * ROUNDS:
                with tempfile.TemporaryDirectory() as out:
                    command = [sys.executable, "-m", "bench.extraction", way, url, out, str(rows)]
                    rounds[way].append(measure(command))
            for way, found in rounds.items():
                measured[way][rows] = min(found, key=lambda facts: facts.cpu_seconds)
    return _report(measured)


def _report(measured: Mapping[str, Mapping[int, Measured]]) -> dict[str, object]:
    small, large = ROWS
    print("extraction to Parquet, 512 floats a row             rows    rows/s   CPU ms/row   peak MiB")
    for way, sizes in measured.items():
        for rows, facts in sizes.items():
            cpu = facts.cpu_seconds / rows * 1000
            print(f"  {way:<42} {rows:>11,} {rows / facts.wall_seconds:>9,.0f} {cpu:>12.3f} {facts.peak_mib:>10.0f}")
    mine, other = measured["ours"], measured["supabase-py + pandas"]
    cpu = other[large].cpu_seconds / mine[large].cpu_seconds
    growth = mine[large].peak_mib / mine[small].peak_mib
    print(
        f"  CPU a row {cpu:.2f} times below at {large:,} rows (at least {TARGET_CPU}); our memory at {large:,} rows is"
    )
    print(f"  {growth:.2f} times that at {small:,} (at most {TARGET_GROWTH}), supabase-py's and pandas'", end=" ")
    print(f"{other[large].peak_mib / other[small].peak_mib:.2f} times")
    document: dict[str, object] = {
        "measured": {way: {str(rows): vars(facts) for rows, facts in sizes.items()} for way, sizes in measured.items()},
        "cpu_ratio": cpu,
        "memory_growth": growth,
        "met": cpu >= TARGET_CPU and growth <= TARGET_GROWTH,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    return document


if __name__ == "__main__":
    if len(sys.argv) == 5:
        WAYS[sys.argv[1]](sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    else:
        sys.exit(0 if run()["met"] else 1)
