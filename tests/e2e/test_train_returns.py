"""`train.py` of returns for real: what its network learns from prepared rows, and how it goes on after being killed."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow.parquet as pq
import pytest
from ratchet.keys import Keys
from ratchet.serving.bundle import read_bundle, write_bundle
from ratchet.tables.material import Order
from ratchet.tables.prepare import prepare

from tests.channels import RUN_TS
from tests.fakes import Clock, MemoryStore
from tests.landed import EXECUTION, START, hold_lease, land, returns, rows
from tests.training_scripts import start, train


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


@pytest.fixture(scope="module")
def trained(channel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    base = tmp_path_factory.mktemp("ml")
    started = time.monotonic()
    code, log = train("returns", channel, base)
    assert code == 0, log
    write_bundle(base / "model", base / "model.tar.gz")
    bundle = read_bundle(base / "model.tar.gz", base / "read", "returns")
    return {"base": base, "log": log, "bundle": bundle, "seconds": time.monotonic() - started}


def test_five_thousand_rows_take_less_than_a_minute(trained: dict[str, Any]) -> None:
    assert trained["seconds"] < 60


def test_the_means_are_those_of_the_manifest(trained: dict[str, Any], channel: Path) -> None:
    manifest = json.loads((channel / "manifest.json").read_text())
    means = {name: facts["mean"] for name, facts in manifest["targets"].items()}
    assert trained["bundle"].document["train_mean"] == pytest.approx(means, abs=1e-6)


def session(trained: dict[str, Any]) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(trained["bundle"].model_path, providers=["CPUExecutionProvider"])


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
    answered = session(trained).run(["predictions"], {"features": features})[0]
    assert np.square(answered - realised).mean() == pytest.approx(metrics["validation_mse"], rel=1e-4)
    lines = [line for line in trained["log"].splitlines() if line.startswith(f"epoch {metrics['best_epoch']}/")]
    assert f"validation_loss={metrics['best_validation_loss']:.6f}" in lines[0]


def test_a_killed_run_resumes_after_its_last_epoch_and_ends_with_the_same_weights(
    channel: Path, trained: dict[str, Any], tmp_path: Path
) -> None:
    process = start("returns", channel, tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch 3/"):
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    assert not (tmp_path / "model").exists()
    code, log = train("returns", channel, tmp_path)
    assert code == 0, log
    resumed = next(line for line in log.splitlines() if line.startswith("resumed after epoch"))
    epoch = int(resumed.rsplit(" ", 1)[1])
    assert epoch >= 3
    assert next(line for line in log.splitlines() if line.startswith("epoch ")).startswith(f"epoch {epoch + 1}/")
    with np.load(tmp_path / "model" / "reference.npz") as arrays:
        np.testing.assert_array_equal(arrays["predictions"], trained["bundle"].reference()[1])


def test_a_checkpoint_of_other_hyperparameters_is_not_resumed(channel: Path, tmp_path: Path) -> None:
    train("returns", channel, tmp_path, "--epochs", "1")
    code, log = train("returns", channel, tmp_path, "--epochs", "2", "--hidden_dims", "16", "--use_layernorm", "True")
    assert code == 0, log
    assert "starting over" in log
    assert json.loads((tmp_path / "output" / "data" / "metrics.json").read_text())["epochs"] == 2
