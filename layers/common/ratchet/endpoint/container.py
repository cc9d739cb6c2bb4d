"""What an endpoint needs besides the model goes into the bundle: so what is approved is all that is ever served.

Runs inside a training job. SageMaker's PyTorch inference image lacks ONNX Runtime; inference.py takes it from wheels
beside it, so that nothing is installed when an endpoint starts: there may be no network, and no place to write to.
"""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ratchet.errors import TrainingFailed
from ratchet.wheels import Run

NEEDS = {
    "flatbuffers": "25.12.19",
    "onnxruntime": "1.31.1",
    "packaging": "26.3",
    "protobuf": "7.36.2",
}
"""Those of the layer `inference`: the endpoint answers by the very runtime that the model was judged with."""
IMAGE = ("--python-version", "3.12", "--implementation", "cp", "--abi", "cp312", "--abi", "abi3", "--abi", "none")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "any")
"""The Python and the platform of the inference image, which need not be the training image's."""


def write(
    model_dir: Path, features: Path, shipped: Path, needs: Mapping[str, str] = NEEDS, run: Run = subprocess.call
) -> None:
    """Writes `code/` below `model_dir`: inference.py, the pipeline's `features`, and the wheels that both need.

    From the folder `shipped` where it has them all, since a job may have no network, else from the index. Raises
    TrainingFailed.
    """
    code = model_dir / "code"
    (code / "wheels").mkdir(parents=True)
    shutil.copyfile(Path(__file__).with_name("inference.py"), code / "inference.py")
    shutil.copyfile(features, code / "features.py")
    pinned = [f"{name}=={version}" for name, version in needs.items()]
    place = ["--no-index", "--find-links", str(shipped)] if _has_all(shipped, needs) else []
    platforms = [part for name in PLATFORMS for part in ("--platform", name)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    told = [*IMAGE, *platforms, "--only-binary", ":all:", "--dest", str(code / "wheels"), *place, *pinned]
    ended = run([*command, *told])
    if not _has_all(code / "wheels", needs):
        raise TrainingFailed(
            f"The endpoint's wheels cannot be had (pip ended with {ended}); ship them in the code archive's folder "
            f"{shipped.name}/: {', '.join(pinned)}, for Python 3.12 on x86_64."
        )


def _has_all(folder: Path, needs: Mapping[str, str]) -> bool:
    """Whether there is a wheel for each; one for another Python is what pip then says it cannot find."""
    return all(any(folder.glob(f"{name}-{version}-*.whl")) for name, version in needs.items())
