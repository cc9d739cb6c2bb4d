"""The split of rows by a salted hash of their group. Numpy only.

A group's part depends on its name and the salt alone: it stays the same however much data comes, and no group is in two
parts. Time plays no role, so there is no embargo.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from ratchet.catalog import Data
from ratchet.tables.split import PARTS, validate


def parts_of(groups: NDArray[np.str_], data: Data) -> NDArray[np.int8]:
    """The index in `PARTS` of each row by its group [N]. Raises BadConfiguration for the shares."""
    validate(data)
    names, which = np.unique(groups, return_inverse=True)
    edges = np.cumsum([data.split[part] for part in PARTS])[:-1]
    places = [_place(f"{data.salt}{name}") for name in names.tolist()]
    codes: NDArray[np.int8] = np.searchsorted(edges, places, "right").astype(np.int8)[which]
    return codes


def _place(salted: str) -> float:
    """From 0 to 1, evenly spread: the first 64 bits of SHA-256."""
    return int.from_bytes(hashlib.sha256(salted.encode()).digest()[:8]) / 2.0**64
