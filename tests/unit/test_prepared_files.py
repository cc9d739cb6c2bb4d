"""Prepared rows as evaluation and training read them: what is not as declared is named, with the data's own remedy."""

import hashlib
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ratchet.errors import BadInput, ContractError
from ratchet.tables import holdout, training_data

INSTANTS = pa.array([0, 600_000_000], pa.timestamp("us", "UTC"))
FEATURES = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(8, "f4")), 4)
SOUND = {
    "base_ts": INSTANTS,
    "up": pa.array([0.5, 1.5]),
    "part": pa.array(["train", "validation"]),
    "features": FEATURES,
}
CHANGES = {
    "a target of another type": {"up": pa.array([1, 2])},
    "a missing value": {"up": pa.array([0.5, None])},
    "features of no fixed size": {"features": pa.array([[1.0], [2.0, 3.0]], pa.list_(pa.float32()))},
    "one feature for all": {"features": pa.array([1.0, 2.0], pa.float32())},
    "features of another type": {"features": pa.FixedSizeListArray.from_arrays(pa.array(np.ones(8)), 4)},
    "a row without features": {"features": pa.array([None, [1.0] * 4], pa.list_(pa.float32(), 4))},
}


def written(path, **changes):
    columns = {**SOUND, **changes}
    pq.write_table(pa.table({name: values for name, values in columns.items() if values is not None}), path)
    return path


def test_the_holdout_is_read_in_numbers(tmp_path):
    (batch,) = holdout.read(written(tmp_path / "h"), ["up"])
    assert (batch.minutes.tolist(), batch.realised.tolist(), batch.features.shape) == ([0, 10], [[0.5], [1.5]], (2, 4))


@pytest.mark.parametrize(
    "changes",
    [*CHANGES.values(), {"up": None}, {"base_ts": None}, {"base_ts": pa.array([0, 1])}],
    ids=[*CHANGES, "no target", "no instants", "instants that are numbers"],
)
def test_a_holdout_that_is_not_as_declared_is_named(changes, tmp_path):
    with pytest.raises(ContractError, match="prepare the data again"):
        list(holdout.read(written(tmp_path / "h", **changes), ["up"]))


@pytest.mark.parametrize("use", [holdout.count, lambda path: list(holdout.read(path, ["up"]))], ids=["counted", "read"])
def test_a_holdout_that_is_no_parquet_is_named(use, tmp_path):
    path = written(tmp_path / "h")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ContractError, match="cannot be read"):
        use(path)


def channel(folder, **changes):
    body = written(folder / "train.parquet", **changes).read_bytes()
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    manifest = {"digests": {"train": digest}, "targets": {"up": {}}, "feature_dim": 4}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_training_rows_are_read_in_numbers(tmp_path):
    data = training_data.read(channel(tmp_path))
    assert (data.targets, data.x["train"].shape, data.y["validation"].tolist()) == (["up"], (1, 4), [[1.5]])


@pytest.mark.parametrize(
    "changes",
    [*CHANGES.values(), {"up": None}, {"part": None}, {"part": pa.array([0, 1])}],
    ids=[*CHANGES, "no target", "no parts", "parts that are numbers"],
)
def test_training_rows_that_are_not_as_declared_are_named(changes, tmp_path):
    with pytest.raises(BadInput, match="other columns than its manifest says"):
        training_data.read(channel(tmp_path, **changes))


@pytest.mark.parametrize("body", [b"[", b"[]", b"{}", b"\xff", b"[" * 100_000])
def test_a_manifest_that_is_none_is_named(body, tmp_path):
    (channel(tmp_path) / "manifest.json").write_bytes(body)
    with pytest.raises(BadInput, match="no manifest of a prepared run"):
        training_data.read(tmp_path)
