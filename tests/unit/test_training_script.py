"""What training scripts share: how a job reads what it was told, and what it leaves for the gate."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pipelines.energy.train import Load
from pipelines.rul.train import HoursLeft, weights
from ratchet.errors import BadBundle
from ratchet.script import REFERENCE_ROWS, Job, spread, started
from ratchet.serving.bundle_document import check_document
from ratchet.tables.training_data import read

from tests.channels import RUN_TS, channel

KNOBS = {"rounds": 10, "rate": 0.5, "deep": False, "sizes": "1,2"}


def told(*arguments: str, environment: dict[str, str] | None = None) -> Job:
    with started(KNOBS, {"json": "json"}, environment or {}, arguments, rounds=1) as job:
        return job


def test_hyperparameters_are_texts_of_the_types_of_their_defaults() -> None:
    assert vars(told().knobs) == KNOBS
    job = told("--rounds", "7", "--rate", "1e-3", "--deep", "True", "--sizes", "3", "--run_ts", "r")
    assert vars(job.knobs) == {"rounds": 7, "rate": 0.001, "deep": True, "sizes": "3"}
    assert job.recorded == {"run_ts": "r", "train_uri": "", "code_version": ""}


def test_folders_are_those_of_the_environment_or_sagemakers_own() -> None:
    assert (told().channel, told().model_dir) == (Path("/opt/ml/input/data/train"), Path("/opt/ml/model"))
    given = {"SAGEMAKER_BASE_DIR": "/base", "SM_CHANNEL_TRAIN": "/rows", "SM_OUTPUT_DATA_DIR": "/out"}
    job = told(environment=given)
    found = (job.channel, job.model_dir, job.output_dir, job.checkpoint_dir)
    assert found == (Path("/rows"), Path("/base/model"), Path("/out"), Path("/base/checkpoints"))


def test_a_dry_run_is_short_and_its_folders_are_gone_with_it() -> None:
    with started(KNOBS, {}, {}, ["--dry-run", "--rounds", "7"], rounds=1) as job:
        assert job.knobs.rounds == 1
        assert job.model_dir == job.output_dir == job.checkpoint_dir
        assert job.model_dir.is_dir()
    assert not job.model_dir.exists()


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    with started(KNOBS, {}, {"SAGEMAKER_BASE_DIR": str(tmp_path)}, ["--train", str(tmp_path)], rounds=1) as job:
        yield job


def answer(x: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.nan_to_num(x[:, :1]).astype(np.float64)


def test_a_job_leaves_a_bundles_members_and_its_metrics(job: Job) -> None:
    data = read(channel("rul", job.channel, 2000))
    facts = {"unit": "each its own", "packages": ("numpy",), "device": "cpu"}
    job.leave(data, {"model.onnx": b"graph"}, answer, {"loss": 1.0}, **facts)
    document = check_document((job.model_dir / "bundle.json").read_bytes(), "rul")
    assert (document["run_ts"], document["about"]["inputs"]) == (RUN_TS, data.inputs)
    assert document["hyperparameters"] == KNOBS
    assert document["train_mean"]["remaining_hours"] == pytest.approx(data.y["train"].mean(dtype=np.float64))
    assert (job.model_dir / "model.onnx").read_bytes() == b"graph"
    assert json.loads((job.output_dir / "metrics.json").read_text()) == {"loss": 1.0}
    with np.load(job.model_dir / "reference.npz") as arrays:
        asked = data.x["validation"]
        assert len(arrays["features"]) == REFERENCE_ROWS
        np.testing.assert_array_equal(arrays["features"][[0, -1]], asked[[0, -1]])
        np.testing.assert_array_equal(arrays["predictions"], answer(arrays["features"]))
        assert arrays["predictions"].dtype == np.float32


def test_what_a_bundle_is_about_must_be_an_object(job: Job) -> None:
    data = read(channel("rul", job.channel, 100))
    job.leave(data, {}, answer, {}, unit="none", packages=(), device="cpu")
    document = json.loads((job.model_dir / "bundle.json").read_text())
    with pytest.raises(BadBundle, match="'about' is of the wrong type"):
        check_document(json.dumps({**document, "about": ["inputs"]}).encode(), "rul")
    del document["about"]
    assert "about" not in check_document(json.dumps(document).encode(), "rul")


@pytest.mark.parametrize(("rows", "most", "chosen"), [(3, 5, [0, 1, 2]), (9, 3, [0, 4, 8]), (1, 4, [0])])
def test_rows_are_picked_evenly_from_the_first_to_the_last(rows: int, most: int, chosen: list[int]) -> None:
    assert spread(np.arange(rows, dtype=np.float32), most).tolist() == chosen


def test_rare_hours_count_more_up_to_a_limit_and_all_together_as_many() -> None:
    hours = np.array([125.0] * 900 + [60.0] * 90 + [0.0, 4.9, 5.0])
    found = weights(hours, 0.5)
    assert found.mean() == pytest.approx(1)
    common, less, two, one = found[0], found[900], found[-2], found[-1]
    assert common < less < two
    assert found[-3] == two
    assert less / common == pytest.approx(np.sqrt(900 / 90))
    assert two == one == found.max()


def test_hours_are_measured_in_hours_and_without_r2_where_they_do_not_vary() -> None:
    answers, outcomes = np.array([[1.0], [3.0]]), np.array([[0.0], [5.0]], np.float32)
    found = HoursLeft().measure(answers, outcomes)
    assert found == {"validation_rmse": 1.581, "validation_mae": 1.5, "validation_r2": 0.6}
    assert HoursLeft().measure(answers, np.ones((2, 1), np.float32))["validation_r2"] is None


def test_quantiles_are_measured_by_their_own_losses_and_what_lies_between_the_outer_ones() -> None:
    answers = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    outcomes = np.repeat([[2.5], [5.0]], 3, axis=1).astype(np.float32)
    recipe = Load((0.1, 0.5, 0.9), ("low", "mid", "high"))
    found: dict[str, Any] = recipe.measure(answers, outcomes)
    pinball = {"low": 0.1 * (1.5 + 4) / 2, "mid": 0.5 * (0.5 + 3) / 2, "high": (0.1 * 0.5 + 0.9 * 2) / 2}
    assert found == {"validation_mae": 1.75, "validation_coverage": 0.5, "validation_pinball": pytest.approx(pinball)}
    assert recipe.loss(answers, outcomes) == pytest.approx(sum(pinball.values()) / 3)
