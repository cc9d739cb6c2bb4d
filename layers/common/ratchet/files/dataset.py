"""Rows to `train.parquet` and `holdout.parquet`, with the facts for the manifest. Local files out."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ratchet import targets
from ratchet.catalog import Data, Pipeline
from ratchet.errors import ContractError
from ratchet.files import salted
from ratchet.files.kind import Examples
from ratchet.files.split import parts_of
from ratchet.instants import iso
from ratchet.tables import training_file
from ratchet.tables.dataset import Dataset, instant
from ratchet.tables.split import PARTS

BATCH = 10_000


def write(pipeline: Pipeline, examples: Examples, folder: Path, *, sample: int = 0, seed: str = "") -> Dataset:
    """Writes both files into `folder`; of a `sample` above 0 so many rows, the same ones for the same seed.

    Raises BadConfiguration, ContractError for inputs of another number.
    """
    data, rows = pipeline.data, len(examples.base_ts)
    width = sum(data.features.values())
    if examples.features.shape != (rows, width) or len(examples.about["inputs"]) != width:
        raise ContractError(
            f"The rows have {examples.features.shape[1]} inputs; data.features in pipeline.yaml says {width}."
        )
    empty = np.empty(0, np.int8)
    codes = _parts_of(examples, data) if rows else empty
    embargoed = int((codes == -1).sum())
    if sample:
        codes = _sampled(codes, sample, seed)
    chosen = {part: np.flatnonzero(codes == code) for code, part in enumerate(PARTS)}
    files = {name: folder / f"{name}.parquet" for name in ("train", "holdout")}
    learned = np.flatnonzero((codes == 0) | (codes == 1))
    told = np.array(PARTS)[codes[learned]]
    schema = _write(files["train"], pipeline, examples, learned, {"part": told}, {})
    _write(files["holdout"], pipeline, examples, chosen["holdout"], {}, examples.baselines)
    counts: dict[str, Any] = {"rows": rows, "left_out": examples.left_out, "embargoed": embargoed}
    counts |= {part: len(which) for part, which in chosen.items()}
    intervals = {part: _interval(examples, which) for part, which in chosen.items() if len(which)}
    values = examples.targets[chosen["train"]]
    quantiles = bool(pipeline.gate.quantiles)
    described = targets.describe(data.targets, values, quantiles=quantiles) if len(values) else {}
    return Dataset(files, counts, intervals, described, schema)


def _parts_of(examples: Examples, data: Data) -> NDArray[np.int8]:
    """Of a salt, by the hash of their groups; otherwise by time."""
    if data.salt is not None:
        return salted.parts_of(examples.groups, data)
    return parts_of(examples.base_ts, examples.ends, examples.lives, data)


def _sampled(codes: NDArray[np.int8], count: int, seed: str) -> NDArray[np.int8]:
    """The parts of so many rows at random among those that have one; all others have none."""
    rows = np.flatnonzero(codes >= 0)
    chance = np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8]))
    kept = chance.choice(rows, min(count, len(rows)), replace=False)
    sampled = np.full_like(codes, -1)
    sampled[kept] = codes[kept]
    return sampled


def _write(
    path: Path,
    pipeline: Pipeline,
    examples: Examples,
    rows: NDArray[np.int64],
    texts: dict[str, NDArray[np.str_]],
    numbers: dict[str, NDArray[np.float64]],
) -> dict[str, str]:
    """The chosen rows, in order; the types of the columns."""
    if pipeline.data.group:
        texts = {**texts, "group": examples.groups[rows]}
    baselines = {f"baseline_{name}": values[rows] for name, values in numbers.items()}
    declared = training_file.schema([*pipeline.data.targets, *baselines], sum(pipeline.data.features.values()), *texts)
    values = np.column_stack([examples.targets[rows], *baselines.values()])
    with training_file.RowGroups(path, declared) as writer:
        for start in range(0, len(rows), BATCH):
            some, here = rows[start : start + BATCH], slice(start, start + BATCH)
            told = {name: each[here] for name, each in texts.items()}
            columns = (examples.base_ts[some], examples.ends[some], values[here], examples.features[some])
            writer.write(training_file.batch(declared, *columns, told))
    return {column.name: str(column.type) for column in declared}


def _interval(examples: Examples, rows: NDArray[np.int64]) -> dict[str, str]:
    """From the first instant to the end of the last label."""
    return {
        "start": iso(instant(int(examples.base_ts[rows[0]]))),
        "end": iso(instant(int(examples.ends[rows].max()))),
    }
