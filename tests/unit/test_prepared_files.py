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
    "ts": pa.array([900_000_000, 1_200_000_000], pa.timestamp("us", "UTC")),
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


def test_groups_and_the_answers_of_baselines_are_read_where_asked_for(tmp_path):
    path = written(tmp_path / "h", group=pa.array(["a/1", "b/22"]), baseline_last_week=pa.array([0.25, 0.75]))
    (batch,) = holdout.read(path, ["up"], grouped=True, baselines=["last_week"])
    assert batch.ends.tolist() == [15, 20]
    assert batch.groups is not None
    assert batch.groups.tolist() == ["a/1", "b/22"]
    assert {name: values.tolist() for name, values in batch.baselines.items()} == {"last_week": [0.25, 0.75]}
    (plain,) = holdout.read(path, ["up"])
    assert (plain.groups, plain.baselines) == (None, {})


def test_a_feature_that_is_missing_stays_missing(tmp_path):
    values = np.array([1, np.nan, 3, 4, 5, 6, 7, np.nan], "f4")
    (batch,) = holdout.read(written(tmp_path / "h", features=pa.FixedSizeListArray.from_arrays(values, 4)), ["up"])
    np.testing.assert_array_equal(batch.features, values.reshape(2, 4))


BASELINE = pa.array([0.5, 1.5])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"baseline_naive": BASELINE}, "lacks group"),
        ({"baseline_naive": BASELINE, "group": pa.array([1, 2])}, "lacks group"),
        ({"baseline_naive": BASELINE, "group": pa.array(["a", None])}, "nulls"),
        ({"group": pa.array(["a", "b"])}, "lacks baseline_naive"),
        ({"group": pa.array(["a", "b"]), "baseline_naive": pa.array([1, 2])}, "lacks baseline_naive"),
        ({"group": pa.array(["a", "b"]), "baseline_naive": pa.array([0.5, np.nan])}, "without an answer of naive"),
        ({"group": pa.array(["a", "b"]), "baseline_naive": pa.array([0.5, None])}, "nulls"),
    ],
)
def test_a_holdout_without_sound_groups_or_baselines_is_named(changes, words, tmp_path):
    with pytest.raises(ContractError, match=words):
        list(holdout.read(written(tmp_path / "h", **changes), ["up"], grouped=True, baselines=["naive"]))


@pytest.mark.parametrize(
    "changes",
    [
        *CHANGES.values(),
        *({"up": None}, {"base_ts": None}, {"base_ts": pa.array([0, 1])}, {"ts": None}),
        {"features": pa.array([[1.0, None, 1.0, 1.0], [1.0] * 4], pa.list_(pa.float32(), 4))},
    ],
    ids=[*CHANGES, "no target", "no instants", "instants that are numbers", "no ends", "a feature that is null"],
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


def channel(folder, about=None, **changes):
    body = written(folder / "train.parquet", **changes).read_bytes()
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    manifest = {"digests": {"train": digest}, "targets": {"up": {}}, "feature_dim": 4}
    manifest |= {"about": about} if about else {}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_training_rows_are_read_in_numbers(tmp_path):
    data = training_data.read(channel(tmp_path))
    assert (data.targets, data.x["train"].shape, data.y["validation"].tolist()) == (["up"], (1, 4), [[1.5]])
    assert (data.starts["validation"].tolist(), data.ends["validation"].tolist()) == ([600_000_000], [1_200_000_000])
    assert (data.inputs, data.groups) == ([], None)


def test_training_rows_may_lack_inputs_and_have_groups_and_names(tmp_path):
    holes = pa.FixedSizeListArray.from_arrays(pa.array(np.full(8, np.nan, "f4")), 4)
    about = {"inputs": ["a", "b", "c", "d"]}
    data = training_data.read(channel(tmp_path, about, features=holes, group=pa.array(["one", "two"])))
    assert np.isnan(data.x["train"]).all()
    assert data.inputs == about["inputs"]
    assert {part: each.tolist() for part, each in data.groups.items()} == {"train": ["one"], "validation": ["two"]}


def test_a_manifest_that_names_other_inputs_is_refused(tmp_path):
    with pytest.raises(BadInput, match="names 3 inputs for 4"):
        training_data.read(channel(tmp_path, {"inputs": ["a", "b", "c"]}))


@pytest.mark.parametrize(
    "changes",
    [
        *CHANGES.values(),
        *({"up": None}, {"part": None}, {"ts": None}, {"part": pa.array([0, 1])}, {"group": pa.array([0, 1])}),
        {"features": pa.FixedSizeListArray.from_arrays(pa.array([*[1.0] * 7, None], pa.float32()), 4)},
    ],
    ids=[
        *(*CHANGES, "no target", "no parts", "no ends", "parts that are numbers", "groups that are numbers"),
        "null for an input",
    ],
)
def test_training_rows_that_are_not_as_declared_are_named(changes, tmp_path):
    with pytest.raises(BadInput, match="other columns than its manifest says"):
        training_data.read(channel(tmp_path, **changes))


def test_a_column_that_is_there_twice_is_named(tmp_path):
    path = channel(tmp_path) / "train.parquet"
    table = pq.read_table(path)
    pq.write_table(table.append_column("features", table["features"]), path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["digests"]["train"] = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BadInput, match="other columns than its manifest says"):
        training_data.read(tmp_path)


@pytest.mark.parametrize("body", [b"[", b"[]", b"{}", b"\xff", b"[" * 100_000])
def test_a_manifest_that_is_none_is_named(body, tmp_path):
    (channel(tmp_path) / "manifest.json").write_bytes(body)
    with pytest.raises(BadInput, match="no manifest of a prepared run"):
        training_data.read(tmp_path)
