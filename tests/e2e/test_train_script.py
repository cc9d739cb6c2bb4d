"""`train.py` of returns for real, in the training environment: what it writes, how it resumes, how it fails."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow.parquet as pq
import pytest
from ratchet.keys import Keys
from ratchet.serving.bundle import Bundle, read_bundle, write_bundle
from ratchet.tables.prepare import Order, prepare

from tests.fakes import Clock, MemoryStore
from tests.landed import EXECUTION, START, hold_lease, land, returns, rows

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".ratchet" / "envs" / "training" / "bin" / "python"
SCRIPT = ROOT / "layers" / "common" / "pipelines" / "returns" / "train.py"
RUN_TS = "2026-02-01T00-00-00Z"


@pytest.fixture(autouse=True, scope="module")
def training_environment() -> None:
    assert PYTHON.is_file(), "The training environment is missing: `make test` and `ratchet up` make it"


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """5,000 joined rows, prepared as the step does it."""
    store, folder = MemoryStore(), tmp_path_factory.mktemp("channel")
    for table, columns in zip(("ai_outputs", "simulations_10m"), rows(5000), strict=True):
        land(store, table, columns)
    hold_lease(store)
    prepare(store, returns(), Order(RUN_TS, EXECUTION, 3), Clock(START), tmp_path_factory.mktemp("work"))
    for key in (Keys("").train(RUN_TS), Keys("").manifest(RUN_TS)):
        store.download(key, folder / Path(key).name)
    return folder


def start(channel: Path, base: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "layers" / "common"),
        "PYTHONUNBUFFERED": "1",
        "SAGEMAKER_BASE_DIR": str(base),
        "SM_CHANNEL_TRAIN": str(channel),
        "SM_MODEL_DIR": str(base / "model"),
        "SM_OUTPUT_DATA_DIR": str(base / "output" / "data"),
    }
    command = [str(PYTHON), str(SCRIPT), "--run_ts", RUN_TS, "--train_uri", "s3://bucket/x", *arguments]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, env=environment, **output)  # type: ignore[call-overload, no-any-return]


def train(channel: Path, base: Path, *arguments: str) -> tuple[int, str]:
    process = start(channel, base, *arguments)
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


@pytest.fixture(scope="module")
def trained(channel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    base = tmp_path_factory.mktemp("ml")
    started = time.monotonic()
    code, log = train(channel, base)
    assert code == 0, log
    write_bundle(base / "model", base / "model.tar.gz")
    bundle = read_bundle(base / "model.tar.gz", base / "read", "returns")
    return {"base": base, "log": log, "bundle": bundle, "seconds": time.monotonic() - started}


def test_five_thousand_rows_take_less_than_a_minute(trained: dict[str, Any]) -> None:
    assert trained["seconds"] < 60


def test_the_model_folder_is_a_bundle_of_this_run_and_this_data(trained: dict[str, Any], channel: Path) -> None:
    document = trained["bundle"].document
    manifest = json.loads((channel / "manifest.json").read_text())
    assert document["run_ts"] == RUN_TS
    assert document["data_digest"] == manifest["digests"]["train"]
    assert document["synthetic"] is True
    assert (document["training"], document["validation"]) == (
        manifest["intervals"]["train"],
        manifest["intervals"]["validation"],
    )
    assert [target["name"] for target in document["targets"]] == list(returns().data.targets)
    means = {name: facts["mean"] for name, facts in manifest["targets"].items()}
    assert document["train_mean"] == pytest.approx(means, abs=1e-6)


def session(bundle: Bundle) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(bundle.model_path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("count", [1, 3, 256])
def test_the_graph_agrees_with_the_framework_at_any_batch_size(trained: dict[str, Any], count: int) -> None:
    features, predictions = trained["bundle"].reference()
    answered = session(trained["bundle"]).run(["predictions"], {"features": features[:count]})[0]
    np.testing.assert_allclose(answered, predictions[:count], atol=1e-5)


def test_the_model_has_learned_the_signal_and_a_constant_target_is_exact(trained: dict[str, Any]) -> None:
    metrics = trained["bundle"].document["metrics"]["validation_mse_per_target"]
    assert metrics["mean_revert_return_pct"] < 0.5 * rows(5000)[1]["mean_revert_return_pct"].var()
    assert metrics["trend_return_pct"] == 0.0


def test_the_best_weights_are_kept_not_the_last(trained: dict[str, Any], channel: Path) -> None:
    metrics = trained["bundle"].document["metrics"]
    assert metrics["best_epoch"] < metrics["epochs"]
    table = pq.read_table(channel / "train.parquet").combine_chunks()
    chosen = np.asarray(table["part"].to_pylist()) == "validation"
    features = table["features"].chunk(0).flatten().to_numpy().reshape(-1, 512)[chosen]
    names = [target["name"] for target in trained["bundle"].document["targets"]]
    realised = np.column_stack([table[name].to_numpy() for name in names])[chosen]
    answered = session(trained["bundle"]).run(["predictions"], {"features": features})[0]
    assert np.square(answered - realised).mean() == pytest.approx(metrics["validation_mse"], rel=1e-4)
    lines = [line for line in trained["log"].splitlines() if line.startswith(f"epoch {metrics['best_epoch']}/")]
    assert f"validation_loss={metrics['best_validation_loss']:.6f}" in lines[0]


def test_a_killed_run_resumes_after_its_last_epoch_and_ends_with_the_same_weights(
    channel: Path, trained: dict[str, Any], tmp_path: Path
) -> None:
    process = start(channel, tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch 3/"):
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    assert not (tmp_path / "model").exists()
    code, log = train(channel, tmp_path)
    assert code == 0, log
    resumed = next(line for line in log.splitlines() if line.startswith("resumed after epoch"))
    epoch = int(resumed.rsplit(" ", 1)[1])
    assert epoch >= 3
    assert next(line for line in log.splitlines() if line.startswith("epoch ")).startswith(f"epoch {epoch + 1}/")
    with np.load(tmp_path / "model" / "reference.npz") as arrays:
        np.testing.assert_array_equal(arrays["predictions"], trained["bundle"].reference()[1])


def test_a_checkpoint_of_other_hyperparameters_is_not_resumed(channel: Path, tmp_path: Path) -> None:
    train(channel, tmp_path, "--epochs", "1")
    code, log = train(channel, tmp_path, "--epochs", "2", "--hidden_dims", "16", "--use_layernorm", "True")
    assert code == 0, log
    assert "starting over" in log
    assert json.loads((tmp_path / "output" / "data" / "metrics.json").read_text())["epochs"] == 2


def test_a_loss_that_is_no_number_ends_the_job_with_the_remedy_and_without_a_model(
    channel: Path, tmp_path: Path
) -> None:
    code, log = train(channel, tmp_path, "--lr", "1e30", "--epochs", "5")
    assert code != 0
    assert "FloatingPointError: The loss in epoch" in log
    assert "lower lr" in log
    assert not (tmp_path / "model").exists()


def test_rows_that_are_not_those_of_the_manifest_are_refused(channel: Path, tmp_path: Path) -> None:
    shutil.copytree(channel, tmp_path / "channel")
    manifest = json.loads((channel / "manifest.json").read_text())
    manifest["digests"]["train"] = f"sha256:{hashlib.sha256(b'other').hexdigest()}"
    (tmp_path / "channel" / "manifest.json").write_text(json.dumps(manifest))
    code, log = train(tmp_path / "channel", tmp_path)
    assert code != 0
    assert "is not the file that its manifest describes" in log


def test_a_dry_run_keeps_nothing(channel: Path, tmp_path: Path) -> None:
    code, log = train(channel, tmp_path, "--dry-run")
    assert code == 0, log
    assert "epoch 1/1" in log
    assert not list(tmp_path.iterdir())
