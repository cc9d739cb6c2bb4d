"""What goes into a bundle for its endpoint: the code, and wheels of the runtime that the model was judged with."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from ratchet.catalog import load
from ratchet.endpoint import container, inference
from ratchet.errors import BadBundle, TrainingFailed
from ratchet.serving.bundle import read_bundle, write_bundle

from tests import bundles
from tests.emulated import CHECKOUT

FEATURES = Path(str(load("adclick").module("features").__file__))
NAMES = [f"{name}-{version}-py3-none-any.whl" for name, version in container.NEEDS.items()]


class Pip:
    """Downloads what it is asked for, but for what it is told to leave out."""

    def __init__(self, without: Sequence[str] = ()) -> None:
        self.commands: list[list[str]] = []
        self.without = without

    def __call__(self, command: Sequence[str]) -> int:
        self.commands.append(list(command))
        folder = Path(command[command.index("--dest") + 1])
        for name in NAMES:
            if not name.startswith(tuple(self.without)):
                (folder / name).write_bytes(b"wheel")
        return 1 if self.without else 0


def test_the_code_the_features_and_the_wheels_are_there(tmp_path: Path) -> None:
    container.write(tmp_path / "model", FEATURES, tmp_path, run=(pip := Pip()))
    code = tmp_path / "model/code"
    assert (code / "inference.py").read_bytes() == Path(str(inference.__file__)).read_bytes()
    assert (code / "features.py").read_bytes() == FEATURES.read_bytes()
    assert sorted(path.name for path in (code / "wheels").iterdir()) == NAMES
    assert "--no-index" not in pip.commands[0]


def test_wheels_that_were_shipped_are_taken_without_any_index(tmp_path: Path) -> None:
    shipped = tmp_path / "wheels"
    shipped.mkdir()
    for name in NAMES:
        (shipped / name).touch()
    container.write(tmp_path / "model", FEATURES, shipped, run=(pip := Pip()))
    command = pip.commands[0]
    assert command[command.index("--no-index") :][1:3] == ["--find-links", str(shipped)]


def test_a_wheel_that_cannot_be_had_fails_by_name(tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match=r"pip ended with 1.*wheels/: .*onnxruntime==.*Python 3.12"):
        container.write(tmp_path / "model", FEATURES, tmp_path / "wheels", run=Pip(without=["onnxruntime"]))


def test_the_endpoint_runs_what_the_inference_layer_has() -> None:
    pinned = re.findall(r"^([a-z]+)==(\S+)$", (CHECKOUT / "layers/inference/requirements.txt").read_text(), re.M)
    assert dict(pinned) == dict(container.NEEDS)


def test_the_bundles_reader_reads_over_the_code_and_takes_no_other_member(tmp_path: Path) -> None:
    bundles.unpacked(tmp_path / "made", pipeline="adclick")
    container.write(tmp_path / "made", FEATURES, tmp_path, run=Pip())
    write_bundle(tmp_path / "made", tmp_path / "model.tar.gz")
    read = read_bundle(tmp_path / "model.tar.gz", tmp_path / "read", "adclick")
    assert sorted(path.name for path in read.folder.iterdir()) == ["bundle.json", "model.onnx", "reference.npz"]
    # As SageMaker packs it, with its folders.
    subprocess.run(["tar", "czf", tmp_path / "sm.tar.gz", "-C", tmp_path / "made", "."], check=True)
    read_bundle(tmp_path / "sm.tar.gz", tmp_path / "read too", "adclick")
    (tmp_path / "made/code/extra.py").touch()
    subprocess.run(["tar", "czf", tmp_path / "bad.tar.gz", "-C", tmp_path / "made", "."], check=True)
    with pytest.raises(BadBundle, match=r"code/extra\.py"):
        read_bundle(tmp_path / "bad.tar.gz", tmp_path / "not read", "adclick")
