"""Pins the SageMaker PyTorch images into the template: `make images`, when AWS has published new ones.

Boundary: reads the image table that ships in the `sagemaker-core` wheel (the SDK itself is not installed) and rewrites
the template between the markers; nothing at deploy or run time uses it.
"""

import json
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

WHEEL = "sagemaker-core==2.27.0"
"""What `sagemaker==3.27.0` resolves to: the table moved there with the SDK's third version."""
TABLE = "sagemaker/core/image_uri_config/pytorch.json"
TEMPLATE = Path(__file__).parent.parent / "template.yaml"
BEGIN, END = "  # images: begin", "  # images: end"
OLDEST = (2, 3)
"""The first image with Python 3.11, which the common layer needs."""
SERVING = "py312"
"""The Python that `ratchet/endpoint/container.py` takes wheels for."""


def fetch() -> dict[str, Any]:
    """The table: of `training` and `inference` versions, registries per region, Python versions."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, WHEEL]
        subprocess.run(pip, check=True)  # noqa: S603 - a fixed command
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            table: dict[str, Any] = json.loads(wheel.read(TABLE))
    return table


def mappings(table: dict[str, Any]) -> str:
    """The mappings as YAML text: the registry's account by region, the tag's ends by framework version, and the tag of
    the newest inference image with the Python of the wheels in bundles.
    """
    versions = {name: entry for name, entry in table["training"]["versions"].items() if _number(name) >= OLDEST}
    accounts = {region: account for entry in versions.values() for region, account in entry["registries"].items()}
    rows = [f'    {region}: {{Account: "{account}"}}' for region, account in sorted(accounts.items())]
    tags = [f'    "{name}": {{Python: {entry["py_versions"][-1]}}}' for name, entry in versions.items()]
    serving = table["inference"]["versions"]
    newest = max((name for name, entry in serving.items() if SERVING in entry["py_versions"]), key=_number)
    image = ["  InferenceImages:", f"    pytorch: {{Tag: {newest}-cpu-{SERVING}}}"]
    source = f"  # From {WHEEL}: written by `make images`, not by hand."
    return "\n".join([BEGIN, source, "  TrainingRegistries:", *rows, "  TrainingFrameworks:", *tags, *image, END])


def pin(template: str, block: str) -> str:
    """The template with the block between its markers."""
    pattern = re.compile(f"{re.escape(BEGIN)}\n.*?{re.escape(END)}", re.DOTALL)
    if len(pattern.findall(template)) != 1:
        raise SystemExit(f"{TEMPLATE.name} must hold the markers '{BEGIN.strip()}' and '{END.strip()}' once.")
    return pattern.sub(lambda _: block, template)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


if __name__ == "__main__":
    TEMPLATE.write_text(pin(TEMPLATE.read_text(), mappings(fetch())))
