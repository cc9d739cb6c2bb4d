"""Runs a pipeline's `train.py` in the training environment, with what SageMaker's toolkit sets around it."""

import os
import subprocess
from pathlib import Path

from tests.channels import RUN_TS

ROOT = Path(__file__).parents[1]
PYTHON = ROOT / ".ratchet" / "envs" / "training" / "bin" / "python"
TRAIN_URI = "s3://bucket/train/train.parquet"


def start(pipeline: str, channel: Path, base: Path, *arguments: str) -> subprocess.Popen[str]:
    """The running script, which reads `channel` and writes below `base`."""
    assert PYTHON.is_file(), "The training environment is missing: `make test` and `ratchet up` make it"
    script = ROOT / "layers" / "common" / "pipelines" / pipeline / "train.py"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "layers" / "common"),
        "PYTHONUNBUFFERED": "1",
        "SAGEMAKER_BASE_DIR": str(base),
        "SM_CHANNEL_TRAIN": str(channel),
        "SM_MODEL_DIR": str(base / "model"),
        "SM_OUTPUT_DATA_DIR": str(base / "output" / "data"),
    }
    command = [str(PYTHON), str(script), "--run_ts", RUN_TS, "--train_uri", TRAIN_URI, *arguments]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, env=environment, **output)  # type: ignore[call-overload, no-any-return]


def train(pipeline: str, channel: Path, base: Path, *arguments: str) -> tuple[int, str]:
    """The script's exit code and log."""
    process = start(pipeline, channel, base, *arguments)
    output, _ = process.communicate(timeout=300)
    return process.returncode, output
