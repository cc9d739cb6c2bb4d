"""Every pipeline's `train.py` for real, in the training environment: what it writes, and how it fails."""

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from ratchet import catalog
from ratchet.gate import checks
from ratchet.serving.bundle import Bundle, read_bundle, write_bundle

from tests.channels import RUN_TS, channel
from tests.training_scripts import TRAIN_URI, train

ROWS = 1500
SHORT = {
    "returns": ["--epochs", "5"],
    "rul": ["--rounds", "60", "--bags", "2"],
    "energy": ["--rounds", "60"],
    "adclick": ["--rounds", "60"],
}
"""Values that train less than those of pipeline.yaml, and enough to learn."""
UNSTABLE = {
    "returns": ["--lr", "1e30"],
    **{name: ["--learning_rate", "1e300"] for name in ("rul", "energy", "adclick")},
}
MEMBERS = {"bundle.json", "model.onnx", "reference.npz"}


@dataclass(frozen=True)
class Trained:
    """A pipeline's channel, where its script wrote, what it said, and the bundle."""

    pipeline: catalog.Pipeline
    channel: Path
    base: Path
    log: str
    bundle: Bundle

    @property
    def manifest(self) -> dict[str, Any]:
        return dict(json.loads((self.channel / "manifest.json").read_text()))


@pytest.fixture(scope="module", params=catalog.names())
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    name: str = request.param
    rows, base = channel(name, tmp_path_factory.mktemp(name), ROWS), tmp_path_factory.mktemp("ml")
    code, log = train(name, rows, base, *SHORT[name])
    assert code == 0, log
    write_bundle(base / "model", base / "model.tar.gz")
    return Trained(catalog.load(name), rows, base, log, read_bundle(base / "model.tar.gz", base / "read", name))


def test_the_model_folder_is_a_bundle_of_this_run_and_this_data(trained: Trained) -> None:
    document, manifest = trained.bundle.document, trained.manifest
    assert not MEMBERS - {path.name for path in (trained.base / "model").iterdir()}
    told = (document["run_ts"], document["train_uri"], document["data_digest"], document["synthetic"])
    assert told == (RUN_TS, TRAIN_URI, manifest["digests"]["train"], True)
    intervals = manifest["intervals"]
    assert (document["training"], document["validation"]) == (intervals["train"], intervals["validation"])
    assert document["about"] == manifest["about"]
    targets = {target["name"]: target["unit"] for target in document["targets"]}
    assert list(targets.items()) == list(trained.pipeline.data.targets.items())
    assert list(document["hyperparameters"]) == sorted(trained.pipeline.training.hyperparameters)


def answers(bundle: Bundle, features: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(bundle.model_path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["predictions"], {"features": features})[0])


@pytest.mark.parametrize("count", [1, 3, 256])
def test_the_graph_agrees_with_the_framework_at_any_batch_size(trained: Trained, count: int) -> None:
    features, predictions = trained.bundle.reference()
    found = answers(trained.bundle, features[:count])
    assert checks.parity(checks.parity_of(found, predictions[:count])).passed
    assert len(np.unique(predictions[:, 0])) > 100


def test_the_signal_is_learned(trained: Trained) -> None:
    """And SageMaker finds both losses in the log, as the job's metric definitions have it."""
    losses = re.findall(r"train_loss=(\S+) validation_loss=(\S+)", trained.log)
    assert losses
    assert np.isfinite(np.array(losses, float)).all()
    features, predictions = trained.bundle.reference()
    signal = np.nan_to_num(features[:, :3]).sum(axis=1)
    assert np.corrcoef(signal, predictions[:, len(predictions[0]) // 2])[0, 1] > 0.8


def test_metrics_lie_beside_the_bundle_and_explain_trees(trained: Trained) -> None:
    metrics = json.loads((trained.base / "output" / "data" / "metrics.json").read_text())
    assert metrics == trained.bundle.document["metrics"]
    assert metrics["train_rows"] + metrics["validation_rows"] == ROWS
    inputs = trained.manifest["about"].get("inputs", [])
    importance = metrics.get("importance", {})
    assert sorted(importance) == sorted(inputs)
    assert set(sorted(importance, key=lambda name: -importance[name])[:3]) == set(inputs[:3])


def test_the_same_rows_give_the_same_bundle_to_the_last_byte(trained: Trained, tmp_path: Path) -> None:
    code, log = train(trained.pipeline.name, trained.channel, tmp_path, *SHORT[trained.pipeline.name])
    assert code == 0, log
    write_bundle(tmp_path / "model", tmp_path / "model.tar.gz")
    assert (tmp_path / "model.tar.gz").read_bytes() == (trained.base / "model.tar.gz").read_bytes()


def test_a_loss_that_is_no_number_ends_the_job_with_the_remedy_and_without_a_model(
    trained: Trained, tmp_path: Path
) -> None:
    name = trained.pipeline.name
    code, log = train(name, trained.channel, tmp_path, *SHORT[name], *UNSTABLE[name])
    assert code != 0
    assert "FloatingPointError: The loss" in log
    assert re.search(r"lower (lr|learning_rate)", log)
    assert not (tmp_path / "model").exists()


def test_rows_that_are_not_those_of_the_manifest_are_refused(trained: Trained, tmp_path: Path) -> None:
    shutil.copytree(trained.channel, tmp_path / "channel")
    manifest = trained.manifest
    manifest["digests"]["train"] = f"sha256:{hashlib.sha256(b'other').hexdigest()}"
    (tmp_path / "channel" / "manifest.json").write_text(json.dumps(manifest))
    code, log = train(trained.pipeline.name, tmp_path / "channel", tmp_path)
    assert code != 0
    assert "is not the file that its manifest describes" in log


def test_a_dry_run_keeps_nothing(trained: Trained, tmp_path: Path) -> None:
    code, log = train(trained.pipeline.name, trained.channel, tmp_path, "--dry-run")
    assert code == 0, log
    assert "train_loss=" in log
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["rul", "energy", "adclick"])
def test_a_search_is_told_in_the_bundle_and_chooses_the_knobs(name: str, tmp_path: Path) -> None:
    rows = channel(name, tmp_path, 600)
    code, log = train(name, rows, tmp_path, "--rounds", "5", "--trials", "2", "--min_data_in_leaf", "20")
    assert code == 0, log
    document = json.loads((tmp_path / "model" / "bundle.json").read_text())
    found = document["metrics"]["search"]
    assert [each["number"] for each in found["trials"]] == [0, 1]
    assert found["trials"][0]["params"]["min_data_in_leaf"] == 20
    best = min(found["trials"], key=lambda each: each["value"])
    assert found["chosen"] == best["params"]
    assert found["chosen"].items() <= document["hyperparameters"].items()
    assert document["hyperparameters"]["bags"] == catalog.load(name).training.hyperparameters["bags"]
