"""Channels of training jobs for any pipeline: `train.parquet` and its manifest, small, with a signal to learn."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pipelines.adclick import features as adclick
from pipelines.energy import features as energy
from pipelines.rul import features as rul
from ratchet.catalog import Pipeline, load
from ratchet.instants import iso
from ratchet.sources import MeterFiles, SensorFiles, TabularFiles
from ratchet.tables import training_file

RUN_TS = "2026-02-01T00-00-00Z"
START = datetime(2026, 1, 1, tzinfo=UTC)
VALIDATED = 0.2
MISSING = 0.05
"""Shares of rows in the validation part, and of inputs that are missing where the source may lack them."""
Labels = Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float64]]


def inputs(pipeline: Pipeline) -> list[str]:
    """The names of the inputs, as a manifest has them; those of tables have none."""
    source = pipeline.source
    if isinstance(source, SensorFiles):
        return rul.names(list(source.sensors), source.windows)
    if isinstance(source, MeterFiles):
        step = source.step_minutes
        windows, around = ([each // step for each in told] for told in (source.windows_minutes, source.around_minutes))
        season, horizon = source.season_minutes // step, source.horizon_minutes // step
        shape = energy.Shape(step, horizon, tuple(windows), season, source.seasons, tuple(around))
        return energy.names(shape)
    if isinstance(source, TabularFiles):
        return adclick.inputs(source.numbers, source.categories)
    return []


def outcome(kind: str, x: NDArray[np.float32], chance: np.random.Generator) -> NDArray[np.float64]:
    """What a row's inputs, of which the first three matter, come to: percent, hours up to the cap, kW, or a click."""
    signal = np.nan_to_num(x[:, :3]).astype(np.float64).sum(axis=1)
    noise = chance.normal(size=len(x))
    if kind == "sensors":
        return np.clip(np.round(60 + 40 * signal + 5 * noise), 0, 125)
    if kind == "tabular":
        return (signal + noise > 0).astype(np.float64)
    return 2 + signal / 4 + 0.2 * noise if kind == "meters" else signal + 0.1 * noise


def channel(name: str, folder: Path, rows: int, seed: int = 5) -> Path:
    """The folder, with so many rows of that pipeline."""
    pipeline, chance = load(name), np.random.default_rng(seed)
    data, kind = pipeline.data, pipeline.source.kind
    width, names = sum(data.features.values()), list(data.targets)
    x = chance.normal(size=(rows, width)).astype(np.float32)
    if kind != "tables":
        x[chance.random(x.shape) < MISSING] = np.nan
    y = np.repeat(outcome(kind, x, chance)[:, None], len(names), axis=1)
    edge = int(rows * (1 - VALIDATED))
    texts = {"part": np.array(["train"] * edge + ["validation"] * (rows - edge))}
    if data.group:
        texts["group"] = np.array([f"zone/{number % 7}" for number in range(rows)])
    at = np.arange(rows) // 7 * 3_600_000_000 + int(START.timestamp()) * 1_000_000
    declared = training_file.schema(names, width, *texts)
    with training_file.RowGroups(folder / "train.parquet", declared) as file:
        file.write(training_file.batch(declared, at, at + 3_600_000_000, y, x, texts))
    (folder / "manifest.json").write_text(json.dumps(manifest(pipeline, folder / "train.parquet", at, edge)))
    return folder


def manifest(pipeline: Pipeline, path: Path, at: NDArray[np.int64], edge: int) -> dict[str, Any]:
    """What training reads of a manifest."""
    known = inputs(pipeline)
    parts = {"train": at[:edge], "validation": at[edge:]}
    return {
        "pipeline": pipeline.name,
        "run_ts": RUN_TS,
        "targets": {name: {"unit": unit} for name, unit in pipeline.data.targets.items()},
        "intervals": {
            name: {"start": _instant(its[0]), "end": _instant(its[-1] + 3_600_000_000)} for name, its in parts.items()
        },
        "digests": {"train": f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"},
        "synthetic": True,
        "feature_dim": sum(pipeline.data.features.values()),
        "about": {"inputs": known} if known else {},
    }


def _instant(micros: np.int64) -> str:
    return iso(datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(micros)))
