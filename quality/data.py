"""Where the real data lies, which is no part of the product: `RATCHET_DATA`, or `shared/data` beside the checkout."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class Absent(Exception):
    """The data is not there; the text says what to do."""


def folder(name: str) -> Path:
    """The folder of a data set. Raises Absent."""
    data = Path(os.environ.get("RATCHET_DATA") or ROOT.parent / "shared" / "data")
    if not (data / name).is_dir():
        raise Absent(f"{data / name} is missing: name the folder of the data sets in RATCHET_DATA.")
    return data / name
