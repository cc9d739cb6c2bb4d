"""Join and write of 100,000 rows x 512 floats: our streaming merge beside polars, from the same landed day files.

polars in both its forms: tables in memory, which the targets name, and its streaming engine told which table is the
small one. Shown as well: the whole step, which also judges every row, splits, describes the targets and digests.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench.measure import Measured, measure

ROWS = 100_000
TARGET_CPU, TARGET_MEMORY = 0.7, 0.2
RESULTS = Path(__file__).parent / "results" / "join.json"
DAY_SLOTS = 144
POLARS_FILE: dict[str, Any] = {"compression": "zstd", "compression_level": 1, "row_group_size": 1000}


def land(folder: Path, rows: int) -> None:
    """Writes both tables as day files, as extraction does: normed embeddings, random returns."""
    from ratchet.catalog import load
    from ratchet.tables import landing_file

    generator = np.random.default_rng(11)
    tables = load("returns").source.tables
    start = np.datetime64("2024-01-01", "us")
    for first in range(0, rows, DAY_SLOTS):
        count = min(DAY_SLOTS, rows - first)
        base = start + (first + np.arange(count)) * np.timedelta64(10, "m")
        pair = generator.normal(size=(2, count, 256)).astype(np.float32)
        pair /= np.linalg.norm(pair, axis=2, keepdims=True)
        named = [name for name in tables["simulations_10m"].columns if name != "ts"]
        columns = {
            "ai_outputs": {"base_ts": base, "embedding_a": pair[0], "embedding_b": pair[1]},
            "simulations_10m": {
                "ts": base + np.timedelta64(10, "m"),
                **{name: np.round(generator.normal(size=count), 2) for name in named},
            },
        }
        for table, values in columns.items():
            path = folder / table / f"dt={base[0].astype('datetime64[D]')}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(landing_file.write(tables[table], values))


def ours(folder: Path, out: Path) -> None:
    """The same work as polars': join, inputs A then B, write."""
    from pipelines.returns import features
    from ratchet.catalog import load
    from ratchet.tables import contract, dataset, training_file
    from ratchet.tables.join import matches, micros
    from ratchet.tables.numbers import to_numpy

    pipeline = load("returns")
    left, right = dataset.sides(pipeline, _days(folder))
    names = list(pipeline.data.targets)
    declared = training_file.schema(names, features.WIDTH)
    with training_file.RowGroups(out / "train.parquet", declared) as file:
        for match in matches(left, right):
            a, b = (contract.vectors(match.left.column(name))[0] for name in pipeline.data.features)
            targets = np.stack([to_numpy(match.right.column(name)) for name in names], axis=1)
            ts, inputs = micros(match.right.column("ts")), features.arrays(a, b)
            file.write(training_file.batch(declared, match.instants, ts, targets, inputs, {}))
        assert file.rows == ROWS


def step(folder: Path, out: Path) -> None:
    """All that the step Prepare does between download and upload: contract, split, targets and digests besides."""
    from ratchet.catalog import load
    from ratchet.tables import dataset

    pipeline, days = load("returns"), _days(folder)
    made = dataset.build(pipeline, days, dataset.window(pipeline, days, 0, datetime.now(UTC)), out)
    assert made.counts["joined"] == ROWS, made.counts
    made.digests()


def _days(folder: Path) -> dict[str, list[Path]]:
    return {table.name: sorted(table.iterdir()) for table in folder.iterdir()}


def polars(folder: Path, out: Path) -> None:
    """The same join with tables in memory, written as one file with the same codec and row groups."""
    import polars as pl

    embeddings = pl.read_parquet(folder / "ai_outputs" / "*.parquet")
    targets = pl.read_parquet(folder / "simulations_10m" / "*.parquet")
    joined = (
        targets.with_columns(base_ts=pl.col("ts") - pl.duration(minutes=10))
        .join(embeddings, on="base_ts", how="inner", maintain_order="left")
        .with_columns(features=pl.concat_arr("embedding_a", "embedding_b"))
        .drop("embedding_a", "embedding_b")
    )
    assert len(joined) == ROWS
    joined.write_parquet(out / "train.parquet", **POLARS_FILE)


def streaming(folder: Path, out: Path) -> None:
    """The same join by polars' streaming engine, the wide table on the side that it streams."""
    import polars as pl

    targets = pl.scan_parquet(folder / "simulations_10m" / "*.parquet")
    labels = targets.with_columns(base_ts=pl.col("ts") - pl.duration(minutes=10))
    joined = (
        pl.scan_parquet(folder / "ai_outputs" / "*.parquet")
        .join(labels, on="base_ts", how="inner", maintain_order="left")
        .with_columns(features=pl.concat_arr("embedding_a", "embedding_b"))
        .drop("embedding_a", "embedding_b")
    )
    joined.sink_parquet(out / "train.parquet", **POLARS_FILE)
    assert pl.scan_parquet(out / "train.parquet").select(pl.len()).collect().item() == ROWS


WAYS: dict[str, Callable[[Path, Path], None]] = {"polars": polars, "streaming": streaming, "ours": ours, "step": step}
ROUNDS = 5


def _median(rounds: list[Measured]) -> Measured:
    return Measured(*(median(values) for values in zip(*(vars(each).values() for each in rounds), strict=True)))


def _measure(scratch: Path) -> dict[str, Measured]:
    """The medians of several rounds, the ways in turn, so that all meet the same neighbours."""
    rounds: dict[str, list[Measured]] = {way: [] for way in WAYS}
    for way in list(WAYS) * ROUNDS:
        out = scratch / way
        out.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "bench.join", way, str(scratch / "landing"), str(out)]
        rounds[way].append(measure(command))
    return {way: _median(measured) for way, measured in rounds.items()}


def run() -> dict[str, object]:
    """Measures all ways in fresh processes, prints the table and saves it."""
    with tempfile.TemporaryDirectory() as scratch:
        land(Path(scratch) / "landing", ROWS)
        measured = _measure(Path(scratch))
        sizes = {way: (Path(scratch) / way / "train.parquet").stat().st_size / 2**20 for way in WAYS}
    print(f"join and write of {ROWS:,} rows x 512 floats   CPU s   peak MiB   wall s   file MiB")
    for way, facts in measured.items():
        print(
            f"  {way:<42} {facts.cpu_seconds:7.2f} {facts.peak_mib:10.0f} {facts.wall_seconds:8.2f} {sizes[way]:10.0f}"
        )
    ratios = {way: _ratios(measured["ours"], measured[way]) for way in ("polars", "streaming")}
    for way, ratio in ratios.items():
        targets = (
            f"CPU {ratio['cpu']:.2f} (at most {TARGET_CPU}), memory {ratio['memory']:.2f} (at most {TARGET_MEMORY})"
        )
        print(f"  ours to {way}: {targets}")
    document: dict[str, object] = {
        "rows": ROWS,
        "measured": {way: vars(facts) | {"file_mib": sizes[way]} for way, facts in measured.items()},
        "ratios": ratios,
        "load": os.getloadavg()[0],
        "met": ratios["polars"]["cpu"] <= TARGET_CPU and ratios["polars"]["memory"] <= TARGET_MEMORY,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    return document


def _ratios(one: Measured, other: Measured) -> dict[str, float]:
    return {"cpu": one.cpu_seconds / other.cpu_seconds, "memory": one.peak_mib / other.peak_mib}


if __name__ == "__main__":
    if len(sys.argv) == 4:
        WAYS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        sys.exit(0 if run()["met"] else 1)
